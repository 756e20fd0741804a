"""A version's folder on disk, read as hostile input: what was checked is what is handed on."""

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from danmatte.contract.manifest import (
    GRAPH_LIMIT_BYTES,
    MANIFEST_LIMIT_BYTES,
    NAME,
    WEIGHTS_LIMIT_BYTES,
    File,
    Manifest,
    parse,
)
from danmatte.errors import ManifestError

_VERSION = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_CHUNK_BYTES = 2**24
FILES = ("manifest.json", "graph.xml", "graph.bin")


@dataclass(frozen=True)
class Artifact:
    """A version whose every byte was checked."""

    manifest: Manifest
    graph: bytes
    weights: bytes


def names(root: Path) -> list[str]:
    """The models of a folder, in order; links and other names are passed over."""
    return sorted(name for name in _folders(root) if re.search(NAME, name))


def versions(root: Path, name: str) -> list[int]:
    """The published versions of a model, newest first; whatever isn't one is passed over."""
    return sorted((int(entry) for entry in _folders(root / name) if _VERSION.fullmatch(entry)), reverse=True)


def read(root: Path, name: str, version: int) -> Artifact:
    """The version's manifest and files, each read once; raises ManifestError."""
    folder = root / name / str(version)
    place = folder / "manifest.json"
    manifest = parse(contents(place, MANIFEST_LIMIT_BYTES), str(place))
    for field, expected, received in (("name", name, manifest.name), ("version", version, manifest.version)):
        if expected != received:
            raise ManifestError(str(place), f"$.{field}", f"{expected!r} as in the path", received)
    return Artifact(
        manifest,
        graph=_checked(folder / "graph.xml", manifest.files.graph, GRAPH_LIMIT_BYTES),
        weights=_checked(folder / "graph.bin", manifest.files.weights, WEIGHTS_LIMIT_BYTES),
    )


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _checked(path: Path, expected: File, limit: int) -> bytes:
    data = contents(path, limit)
    if len(data) != expected.size_bytes:
        raise ManifestError(str(path), "size_bytes", str(expected.size_bytes), len(data))
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected.sha256:
        raise ManifestError(str(path), "sha256", expected.sha256, digest)
    return data


def contents(path: Path, limit: int) -> bytes:
    """The bytes of a plain file of at most `limit` bytes: links, pipes and devices are refused unread."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode):
                raise ManifestError(str(path), "file", "a plain file", stat.filemode(facts.st_mode))
            if facts.st_size > limit:
                raise ManifestError(str(path), "file", f"at most {limit} bytes", facts.st_size)
            return b"".join(iter(lambda: os.read(file, _CHUNK_BYTES), b""))[:limit]
        finally:
            os.close(file)
    except OSError as error:
        raise ManifestError(str(path), "file", "a plain file", error.strerror) from error
