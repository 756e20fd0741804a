"""Answers that cost something to find, kept on disk by the digest of their question."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danmatte_workbench.errors import MachineError


@dataclass(frozen=True)
class Results:
    """``folder``/<kind>/<digest>.json: each answer with its question, complete or absent.

    A question is plain data that names everything its answer depends on; what can't be read counts as never asked.
    """

    folder: Path

    def get(self, kind: str, question: Mapping[str, Any]) -> Any:
        """The answer; None when there is none."""
        try:
            kept = json.loads(self.path(kind, question).read_text(encoding="utf-8"))
            return kept["answer"] if kept["question"] == _plain(question) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, kind: str, question: Mapping[str, Any], answer: Any) -> None:
        """Keep the answer, whole or not at all. Raises MachineError where it can't be written."""
        path = self.path(kind, question)
        content = json.dumps({"question": _plain(question), "answer": answer}, allow_nan=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, unfinished = tempfile.mkstemp(prefix=".", dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
            Path(unfinished).replace(path)
        except OSError as error:
            raise MachineError(f"{path}: can't be written ({error})") from error

    def path(self, kind: str, question: Mapping[str, Any], suffix: str = ".json") -> Path:
        """Where the answer is or would be."""
        text = json.dumps(_plain(question), sort_keys=True)
        return self.folder / kind / f"{hashlib.sha256(text.encode()).hexdigest()}{suffix}"


def _plain(question: Mapping[str, Any]) -> Any:
    """As JSON gives it back: tuples are lists there."""
    return json.loads(json.dumps(question))
