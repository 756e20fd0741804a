"""A published version's folder: read as untrusted input, and written atomically."""

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
    """A version's manifest and files in memory, with verified digests."""

    manifest: Manifest
    graph: bytes
    weights: bytes
    answers: StoredAnswers | None = None


def list_models(root: Path) -> list[str]:
    """Return the names of a folder's models, sorted; folders with other names are ignored."""
    return sorted(name for name in _list_folders(root) if re.search(NAME, name))


def list_versions(root: Path, name: str) -> list[int]:
    """Return the published versions of a model, newest first; other folders are ignored."""
    return sorted((int(entry) for entry in _list_folders(root / name) if _VERSION.fullmatch(entry)), reverse=True)


def list_ignored(root: Path) -> list[str]:
    """Return the ignored folders that were probably meant as a model or a version, each with the reason.

    A folder was probably meant as a version if it contains a manifest or a graph, or has a similar name: `v2`, `02`,
    `1.0`. Other folders and hidden ones are left out; a model's publisher may keep measurements there, for example.
    """
    ignored = []
    for name in sorted(_list_folders(root)):
        if name.startswith("."):
            continue
        if not re.search(NAME, name):
            ignored.append(f"{root / name}: expected a model's name, {NAME}")
            continue
        others = [entry for entry in _list_folders(root / name) if not entry.startswith(".")]
        misnamed = [entry for entry in sorted(others) if _resembles_version(root / name / entry)]
        ignored += [f"{root / name / entry}: expected a version, a whole number from 1 on" for entry in misnamed]
    return ignored


def _resembles_version(folder: Path) -> bool:
    if _VERSION.fullmatch(folder.name):
        return False
    return bool(_NEARLY_VERSION.match(folder.name)) or any((folder / file).exists() for file in (MANIFEST, GRAPH))


def read_version(root: Path, name: str, version: int) -> Artifact:
    """Return the version's manifest and files, each read only once; raises ManifestError."""
    folder = root / name / str(version)
    place = str(folder / MANIFEST)
    manifest = read_manifest(folder)
    for field, expected, received in (("name", name, manifest.name), ("version", version, manifest.version)):
        if expected != received:
            raise ManifestError(place, f"$.{field}", f"{expected!r} as in the path", received)
    answers = None
    if manifest.files.answers:  # older versions were published without
        data = _read_checked(folder / ANSWERS, manifest.files.answers, ANSWERS_LIMIT_BYTES)
        answers = parse_answers(data, str(folder / ANSWERS))
    return Artifact(
        manifest,
        graph=_read_checked(folder / GRAPH, manifest.files.graph, GRAPH_LIMIT_BYTES),
        weights=_read_checked(folder / WEIGHTS, manifest.files.weights, WEIGHTS_LIMIT_BYTES),
        answers=answers,
    )


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the version in this folder, whatever the folder's name; raises ManifestError."""
    place = folder / MANIFEST
    return parse(read_plain_file(place, MANIFEST_LIMIT_BYTES), str(place))


def _list_folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir()]  # or links to folders, as volumes have
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
    """Return the bytes of a plain file of at most `limit` bytes; raises ManifestError.

    Links, pipes and devices are rejected without reading them.
    """
    try:
        # without O_NONBLOCK, opening a pipe would block until a process opens it for writing
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
    """Publish the next version in a model's folder atomically; return the version's folder.

    `describe` returns the manifest for a version number. It is called again if another process takes that number
    meanwhile. Raises ManifestError for a manifest that readers would reject, and OSError.
    """
    home.mkdir(parents=True, exist_ok=True)
    # hidden, so that readers ignore it, and in the same file system, so that renaming it is atomic
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
                if folder.exists():  # another process has published this number
                    continue
                raise
            return folder
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def choose_version(home: Path) -> int:
    """Return the next version number, after all numbers that are names of folders or files."""
    numbers = [int(path.name) for path in home.iterdir() if re.fullmatch(r"[1-9]\d*", path.name)]
    return max(numbers, default=0) + 1


def describe_bytes(data: bytes) -> File:
    """Return the manifest's description of a file with these bytes: digest and size."""
    return File(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def describe_file(path: Path) -> File:
    """Return the manifest's description of a file: digest and size."""
    with path.open("rb") as file:
        return File(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=path.stat().st_size)
