"""What do the measured cells say, and how is that told?"""
