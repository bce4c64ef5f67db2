"""How does one model version answer requests?"""
