"""What lies in the folder of models: names and times, no contents."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from danmatte.contract import artifact
from danmatte.models import policy

# Of each file when it was last written, its size and its number: a copy in progress differs from moment to moment.
Stamp: TypeAlias = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Found:
    """A model's versions, newest first, and its policy."""

    versions: dict[int, Stamp] = field(default_factory=dict)
    policy: Stamp = ()


EMPTY = Found()


def survey(root: Path) -> dict[str, Found]:
    """Every model of the folder."""
    return {name: find(root, name) for name in artifact.names(root)}


def find(root: Path, name: str) -> Found:
    """One model, empty when it isn't there."""
    home = root / name
    return Found(
        {version: _stamp(home / str(version), artifact.FILES) for version in artifact.versions(root, name)},
        _stamp(home, (policy.FILE,)),
    )


def _stamp(folder: Path, names: tuple[str, ...]) -> Stamp:
    return tuple(_facts(folder / name) for name in names)


def _facts(path: Path) -> tuple[int, int, int]:
    try:
        facts = path.lstat()
    except OSError:
        return (0, 0, 0)
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
