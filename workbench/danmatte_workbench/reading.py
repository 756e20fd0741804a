"""Options for reading a graph: signature, inputs to freeze, checkpoint, and whether its code is trusted."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from danmatte_workbench.artifact import digest, list_graph_files
from danmatte_workbench.errors import InputError

Value: TypeAlias = bool | int | float
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class ReadOptions:
    """How to read a graph where its file leaves that open.

    signature: which function of a SavedModel to read; empty for the default one, or for the only one.
    freeze: inputs to replace by constants, as (name, value).
    trust_lambda: whether Python code in Keras' Lambda layers may run.
    checkpoint: the values of a TensorFlow 1 graph's variables.
    shape: the input's shape, for Keras models that can't be traced without one.
    """

    signature: str = ""
    freeze: tuple[tuple[str, Value], ...] = ()
    trust_lambda: bool = False
    checkpoint: Path | None = None
    shape: tuple[int, ...] = ()

    def compute_digest(self, path: Path) -> str:
        """Return the sha256 over the graph's files and over these options, if any are set."""
        plain = digest(*list_graph_files(path))
        if self == PLAIN:
            return plain
        files = sorted(find_checkpoint_files(self.checkpoint)) if self.checkpoint else []
        facts = [plain, digest(*files) if files else "", dataclasses.asdict(self)]
        return hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()


PLAIN = ReadOptions()


def find_checkpoint_files(checkpoint: Path) -> list[Path]:
    """Return the files of a TensorFlow checkpoint, which is named by the prefix of its files."""
    return [file for file in checkpoint.parent.glob(f"{checkpoint.name}.*") if file.suffix != ".meta"]


def parse_freeze(texts: Sequence[str]) -> tuple[tuple[str, Value], ...]:
    """Parse each ``name=value``; the value is true, false or a number. Raises InputError for anything else."""
    found: dict[str, Value] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals):
            raise InputError(f"--freeze: expected NAME=VALUE, such as phase_train=false, received {text}")
        if name in found:
            raise InputError(f"--freeze: {name} is given twice")
        found[name] = parse_value(value)
    return tuple(found.items())


def parse_value(text: str) -> Value:
    """Parse true, false or a number. Raises InputError for anything else."""
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InputError(f"--freeze: expected true, false or a number, received {text}")
