"""A scan of the folder of models: names, sizes and times of files, but no contents."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from danmatte.contract import artifact
from danmatte.models import policy

# For each file its modification time, size and inode, which change while a file is being copied.
Stamp: TypeAlias = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class FoundModel:
    """A model's versions on disk, newest first, with the stamps of their files and of the policy."""

    versions: dict[int, Stamp] = field(default_factory=dict)
    policy: Stamp = ()


NOTHING = FoundModel()


def scan_models(root: Path, policies: Path | None = None) -> dict[str, FoundModel]:
    """Return every model of the folder, by name; `policies` is the folder of their policies, if that is another one."""
    return {name: scan_model(root, name, policies) for name in artifact.list_models(root)}


def scan_model(root: Path, name: str, policies: Path | None = None) -> FoundModel:
    """Return one model; empty if it doesn't exist."""
    home = root / name
    return FoundModel(
        {version: _stamp(home / str(version), artifact.FILES) for version in artifact.list_versions(root, name)},
        _stamp((policies or root) / name, (policy.FILE,)),
    )


def _stamp(folder: Path, names: tuple[str, ...]) -> Stamp:
    stamp: list[tuple[int, int, int]] = []
    for name in names:
        try:
            facts = (folder / name).stat()
        except OSError:
            stamp.append((0, 0, 0))
        else:
            stamp.append((facts.st_mtime_ns, facts.st_size, facts.st_ino))
    return tuple(stamp)
