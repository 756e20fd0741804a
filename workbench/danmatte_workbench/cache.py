"""Where the workbench keeps what took long to find or to make, for later runs."""

import os
from pathlib import Path


def find_cache_folder() -> Path:
    """The folder that the environment variable ``WORKBENCH_CACHE`` names, or one in the user's own cache."""
    given = os.environ.get("WORKBENCH_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else user / "danmatte"
