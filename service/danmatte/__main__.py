"""Entry point of `python -m danmatte`, which is the same as the command `danmatte`."""

import sys

from danmatte.cli import main

if __name__ == "__main__":
    sys.exit(main())
