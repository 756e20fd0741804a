"""`python -m danmatte_workbench` is the command `workbench`."""

import sys

from danmatte_workbench.cli import main

sys.exit(main())
