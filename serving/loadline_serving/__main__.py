"""What does `python -m loadline_serving` run?"""

import sys

from loadline_serving.main import main

sys.exit(main())
