"""The folder in which the workbench caches results that take long to compute."""

import os
from pathlib import Path


def find_cache_folder() -> Path:
    """Return the folder named by the environment variable ``WORKBENCH_CACHE``, or else one in the user's cache."""
    given = os.environ.get("WORKBENCH_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else user / "danmatte"
