"""A graph on disk."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import InputError

GRAPH, WEIGHTS = "graph.xml", "graph.bin"


@dataclass(frozen=True)
class Port:
    """A graph's input or output. A dimension that isn't fixed is −1."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Artifact:
    """An immutable graph: its main file, the sha256 over all its files, and its ports.

    ``path`` is an IR's XML, with the weights beside it, or a frozen TensorFlow graph.
    """

    path: Path
    digest: str
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()


def digest(*paths: Path) -> str:
    """sha256 over the files' bytes, one after another, in hexadecimal."""
    total = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    total.update(block)
        except OSError as error:
            raise InputError(f"{path}: can't be read ({error.strerror})") from error
    return total.hexdigest()


def graph_files(path: Path) -> tuple[Path, ...]:
    """The files that make up the graph whose main file is ``path``."""
    return (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)
