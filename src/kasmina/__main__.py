"""``python -m kasmina``."""

import sys

from kasmina.cli import main

if __name__ == "__main__":
    sys.exit(main())
