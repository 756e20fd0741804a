"""A published version's folder: read as hostile input, and written whole or not at all."""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from danmatte.contract.manifest import (
    GRAPH_LIMIT_BYTES,
    MANIFEST_LIMIT_BYTES,
    NAME,
    WEIGHTS_LIMIT_BYTES,
    File,
    Manifest,
    encode,
    parse,
)
from danmatte.contract.stored_answers import ANSWERS_LIMIT_BYTES, StoredAnswers, parse_answers
from danmatte.errors import ManifestError

_VERSION = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_NEARLY_VERSION = re.compile(r"[-+vV]?[0-9]", re.ASCII)
_CHUNK_BYTES = 2**24
MANIFEST, GRAPH, WEIGHTS, ANSWERS = "manifest.json", "graph.xml", "graph.bin", "answers.json"
FILES = (MANIFEST, GRAPH, WEIGHTS, ANSWERS)


@dataclass(frozen=True)
class Artifact:
    """A version whose every byte was checked: what was checked is what is handed on."""

    manifest: Manifest
    graph: bytes
    weights: bytes
    answers: StoredAnswers | None = None


def list_models(root: Path) -> list[str]:
    """The names of a folder's models, in order; other names are passed over."""
    return sorted(name for name in _list_folders(root) if re.search(NAME, name))


def list_versions(root: Path, name: str) -> list[int]:
    """The published versions of a model, newest first; whatever isn't one is passed over."""
    return sorted((int(entry) for entry in _list_folders(root / name) if _VERSION.fullmatch(entry)), reverse=True)


def list_ignored(root: Path) -> list[str]:
    """The folders that look like a model's or a version's and are none, each with the reason.

    A version's have its manifest or its graph inside, or are named like one: `v2`, `02`, `1.0`. Others, and hidden
    ones, are whoever published the model's own: measurements, say.
    """
    ignored = []
    for name in sorted(_list_folders(root)):
        if name.startswith("."):
            continue
        if not re.search(NAME, name):
            ignored.append(f"{root / name}: expected a model's name, {NAME}")
            continue
        others = [entry for entry in _list_folders(root / name) if not entry.startswith(".")]
        strangers = [entry for entry in sorted(others) if _resembles_version(root / name / entry)]
        ignored += [f"{root / name / entry}: expected a version, a whole number from 1 on" for entry in strangers]
    return ignored


def _resembles_version(folder: Path) -> bool:
    if _VERSION.fullmatch(folder.name):
        return False
    return bool(_NEARLY_VERSION.match(folder.name)) or any((folder / file).exists() for file in (MANIFEST, GRAPH))


def read_version(root: Path, name: str, version: int) -> Artifact:
    """The version's manifest and files, each read once; raises ManifestError."""
    folder = root / name / str(version)
    place = str(folder / MANIFEST)
    manifest = read_manifest(folder)
    for field, expected, received in (("name", name, manifest.name), ("version", version, manifest.version)):
        if expected != received:
            raise ManifestError(place, f"$.{field}", f"{expected!r} as in the path", received)
    answers = None
    if manifest.files.answers:  # versions that were published before there were any have none
        data = _read_checked(folder / ANSWERS, manifest.files.answers, ANSWERS_LIMIT_BYTES)
        answers = parse_answers(data, str(folder / ANSWERS))
    return Artifact(
        manifest,
        graph=_read_checked(folder / GRAPH, manifest.files.graph, GRAPH_LIMIT_BYTES),
        weights=_read_checked(folder / WEIGHTS, manifest.files.weights, WEIGHTS_LIMIT_BYTES),
        answers=answers,
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the version in this folder, whatever the folder is called; raises ManifestError."""
    place = folder / MANIFEST
    return parse(read_plain_file(place, MANIFEST_LIMIT_BYTES), str(place))


def _list_folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir()]  # or links: volumes are full of them
    except OSError:
        return []


def _read_checked(path: Path, expected: File, limit: int) -> bytes:
    data = read_plain_file(path, limit)
    if len(data) != expected.size_bytes:
        raise ManifestError(str(path), "size_bytes", str(expected.size_bytes), len(data))
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected.sha256:
        raise ManifestError(str(path), "sha256", expected.sha256, digest)
    return data


def read_plain_file(path: Path, limit: int) -> bytes:
    """The bytes of a plain file of at most `limit` bytes: links, pipes and devices are refused unread."""
    try:
        # without O_NONBLOCK, opening a pipe would wait for somebody to write into it
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


def write_version(
    home: Path, graph: Path, weights: Path, describe: Callable[[int], Manifest], answers: bytes | None = None
) -> Path:
    """Publish the next version in a model's folder, whole or not at all; return the version's folder.

    `describe` makes the manifest of a number, and is asked again where somebody else takes that number meanwhile.
    Raises ManifestError for a manifest that readers would refuse, and OSError.
    """
    home.mkdir(parents=True, exist_ok=True)
    # hidden, and in the same file system: readers pass it over, and renaming it is one step
    unfinished = Path(tempfile.mkdtemp(prefix=".", dir=home))
    try:
        shutil.copyfile(graph, unfinished / GRAPH)
        shutil.copyfile(weights, unfinished / WEIGHTS)
        if answers is not None:
            (unfinished / ANSWERS).write_bytes(answers)
        unfinished.chmod(0o755)
        while True:
            version = choose_version(home)
            folder = home / str(version)
            (unfinished / MANIFEST).write_text(encode(describe(version), str(folder / MANIFEST)), encoding="utf-8")
            try:
                unfinished.rename(folder)
            except OSError:
                if folder.exists():  # somebody else published meanwhile
                    continue
                raise
            return folder
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def choose_version(home: Path) -> int:
    """The number after all that are taken; a file of such a name takes it, too."""
    numbers = [int(path.name) for path in home.iterdir() if re.fullmatch(r"[1-9]\d*", path.name)]
    return max(numbers, default=0) + 1


def describe_bytes(data: bytes) -> File:
    """A file of these bytes as the manifest gives it."""
    return File(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def describe_file(path: Path) -> File:
    """A file as the manifest gives it: digest and size."""
    with path.open("rb") as file:
        return File(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=path.stat().st_size)
