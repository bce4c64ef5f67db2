"""What does `python -m loadline_serving` run?"""

from loadline_serving.main import run

run()
