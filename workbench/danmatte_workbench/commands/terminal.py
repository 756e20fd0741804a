"""The console on which commands print tables."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 110  # columns, if the output is no terminal and COLUMNS isn't set


def make_console() -> "Console":
    """Return a console as wide as the terminal; for a pipe or file wide enough that no column is truncated."""
    from rich.console import Console

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else WIDTH)
