"""A cache on disk of figures that take long to compute, one per line, so that an interrupted run can resume."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path


class Journal:
    """Lists of figures by key. Write errors are ignored, and so is an incomplete last line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[float]] = {}
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        self._is_torn = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                key, values = json.loads(line)
                self._known[str(key)] = [float(value) for value in values]
            except (ValueError, TypeError):
                continue

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, key: str, find: Callable[[], Sequence[float]]) -> list[float]:
        """Return the figures of that key: from the file, or computed by ``find`` and written at once."""
        if key not in self._known:
            values = [float(value) for value in find()]
            self._known[key] = values
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as file:
                    # An incomplete last line of an interrupted run is ended first, so that it doesn't corrupt this one.
                    file.write("\n" * self._is_torn + json.dumps([key, values]) + "\n")
                self._is_torn = False
            except OSError:
                pass  # only a resumed run is affected: it has to compute the figures again
        return self._known[key]
