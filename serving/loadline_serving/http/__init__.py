"""How does the model answer over HTTP?"""
