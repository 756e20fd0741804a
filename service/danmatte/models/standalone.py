"""Opening of a single version, for programs without a server and a repository."""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from danmatte.contract import artifact
from danmatte.contract.cores import count_cores
from danmatte.contract.manifest import Manifest
from danmatte.contract.near_words import did_you_mean
from danmatte.engine import OpenVinoEngine, Served
from danmatte.errors import ManifestError, ModelError, UnknownModelError, UnknownVersionError

log = logging.getLogger(__name__)
Taken = TypeVar("Taken")


def open_version(
    root: Path, name: str = "", version: int | None = None, *, for_many: bool = False, cores: int = 0
) -> Served:
    """Open a version in the folder of models, the newest that can be served unless one is given.

    Without a name, it is of the only model, or otherwise of the only model that makes masks.

    `for_many`: many frames are computed at once, for throughput instead of latency. `cores` is the number of cores to
    compute with, 0 for all. Raises UnknownModelError, UnknownVersionError, and ModelError if no version can be served.
    """
    name, versions = _choose_versions(root, name, version)
    if version is not None:
        return _open(root, name, version, for_many=for_many, cores=cores)
    return _take_newest(root, name, versions, lambda each: _open(root, name, each, for_many=for_many, cores=cores))


def find_version(root: Path, name: str = "") -> Manifest:
    """Return the manifest of the newest version with valid files, without opening it; raises as `open_version` does."""
    name, versions = _choose_versions(root, name, None)
    return _take_newest(root, name, versions, lambda each: artifact.read_version(root, name, each).manifest)


def _choose_versions(root: Path, name: str, version: int | None) -> tuple[str, list[int]]:
    """Return the model's name, and its versions, newest first."""
    known = artifact.list_models(root)
    name = name or _choose_model(root, known)
    if name not in known:
        raise UnknownModelError(f"{root}: expected a model's name, received {name!r}{did_you_mean(name, known)}")
    versions = artifact.list_versions(root, name)
    if version is not None and version not in versions:
        raise UnknownVersionError(f"version: {name} has {versions}, received {version}")
    return name, versions


def _take_newest(root: Path, name: str, versions: list[int], take: Callable[[int], Taken]) -> Taken:
    """Return the result of `take` for the newest version for which it raises no ModelError."""
    faults = []
    for newest in versions:
        try:
            return take(newest)
        except ModelError as error:
            faults.append(str(error))
            log.warning("%s/%s is skipped: %s", name, newest, error)
    raise ModelError(f"{root / name}: no version can be served: {'; '.join(faults) or 'there is none'}")


def _choose_model(root: Path, known: list[str]) -> str:
    """Return the only model, or the only one that makes masks; empty if there is none or several."""
    if len(known) > 1:
        known = [name for name in known if _makes_masks(root, name)]
    return known[0] if len(known) == 1 else ""


def _makes_masks(root: Path, name: str) -> bool:
    """Return whether the newest version with a readable manifest makes masks."""
    for version in artifact.list_versions(root, name):
        with suppress(ManifestError):
            return artifact.read_manifest(root / name / str(version)).makes_masks
    return False


def _open(root: Path, name: str, version: int, *, for_many: bool, cores: int) -> Served:
    found = artifact.read_version(root, name, version)
    manifest, wanted = found.manifest, found.manifest.configuration
    if for_many and wanted.hint == "latency":  # this configuration was measured for one frame at a time
        wanted = msgspec.structs.replace(wanted, hint="throughput", streams=0, infer_requests=0)
        manifest = msgspec.structs.replace(manifest, configuration=wanted)
    return Served(manifest, OpenVinoEngine(manifest, found.graph, found.weights, cores or count_cores()))
