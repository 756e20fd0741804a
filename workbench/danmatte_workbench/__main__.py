"""Entry point of `python -m danmatte_workbench`, which is the same as the command `workbench`."""

import sys

from danmatte_workbench.cli import main

sys.exit(main())
