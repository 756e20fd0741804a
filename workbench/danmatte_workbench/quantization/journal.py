"""Figures that took long to find, one a line on disk, so that a killed run doesn't look for them again."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import openvino as ov


def cache_folder() -> Path:
    """Where such figures are kept: ``WORKBENCH_CACHE``, or the user's own cache."""
    given = os.environ.get("WORKBENCH_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else user / "danmatte"


def fingerprint(compiled: ov.CompiledModel) -> str:
    """What runs, in which precision and of which shape, in order; names may be numbered differently in each process."""
    lines = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        facts = node.get_rt_info()
        words = (str(facts[key].astype(str)) for key in ("layerType", "runtimePrecision") if key in facts)
        lines.append(" ".join((*words, *(str(port.get_partial_shape()) for port in node.outputs()))))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Journal:
    """Lists of figures by key. A file that can't be written is done without; a torn last line is left out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[float]] = {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return
        for line in lines:
            try:
                key, values = json.loads(line)
                self._known[str(key)] = [float(value) for value in values]
            except (ValueError, TypeError):
                continue

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, key: str, find: Callable[[], Sequence[float]]) -> list[float]:
        """The figures of that key: from the file, or found now and noted at once."""
        if key not in self._known:
            values = [float(value) for value in find()]
            self._known[key] = values
            self._note(key, values)
        return self._known[key]

    def _note(self, key: str, values: list[float]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, values]) + "\n")
        except OSError:
            return  # slower after a kill, but no worse otherwise
