"""``python -m workbench``."""

import sys

from danmatte_workbench.cli import main

sys.exit(main())
