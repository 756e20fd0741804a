"""The folder in which the workbench caches results that take long to compute, and how its files are written."""

import os
import tempfile
from pathlib import Path

from danmatte_workbench.errors import MachineError


def find_cache_folder() -> Path:
    """Return the folder named by the environment variable ``WORKBENCH_CACHE``, or else one in the user's cache."""
    given = os.environ.get("WORKBENCH_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else user / "danmatte"


def write_cached(path: Path, text: str) -> None:
    """Write a file atomically, even if several processes do so at once. Raises MachineError if it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=".", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(unfinished).replace(path)
    except OSError as error:
        raise MachineError(f"{path}: can't be written ({error})") from error
