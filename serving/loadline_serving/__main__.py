"""What does `python -m loadline_serving` run?"""

from loadline_serving.entry import run

run()
