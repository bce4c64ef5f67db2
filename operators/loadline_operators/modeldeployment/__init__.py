"""How does a ModelDeployment come true?"""
