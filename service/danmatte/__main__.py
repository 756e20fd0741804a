"""`python -m danmatte` is the command `danmatte`."""

import sys

from danmatte.cli import main

if __name__ == "__main__":
    sys.exit(main())
