"""Figures that took long to find, one a line on disk, so that a killed run doesn't look for them again."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path


class Journal:
    """Lists of figures by key. A file that can't be written is done without; a torn last line is left out."""

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
        """The figures of that key: from the file, or found now and written at once."""
        if key not in self._known:
            values = [float(value) for value in find()]
            self._known[key] = values
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as file:
                    # What a killed run left of its last line must not spoil this one.
                    file.write("\n" * self._is_torn + json.dumps([key, values]) + "\n")
                self._is_torn = False
            except OSError:
                pass  # slower after a kill, but no worse otherwise
        return self._known[key]
