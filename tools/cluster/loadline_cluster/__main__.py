"""What does `python -m loadline_cluster` do?"""

import sys

from loadline_cluster.cli import main

sys.exit(main())
