"""The console that commands print their tables on."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 110  # columns, where there is no terminal to ask and COLUMNS says nothing


def make_console() -> "Console":
    """As wide as the terminal; in a pipe or a file wide enough for every column, so that no number is cut off."""
    from rich.console import Console

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else WIDTH)
