"""The policy that chooses which of a model's versions serve: `models/<name>/serving.toml` (models/SERVING.md)."""

import logging
import os
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from danmatte.contract import artifact
from danmatte.contract.manifest import NAME
from danmatte.errors import ModelError, PolicyError

log = logging.getLogger(__name__)
FILE = "serving.toml"
REMEMBERED = ".serving.toml.last"  # a copy of the last readable policy
STABLE, CANARY, LATEST = RESERVED = ("stable", "canary", "latest")
LIMIT_BYTES = 64 * 2**10

Version = Annotated[int, Meta(ge=1, le=2**53)]
Label = Annotated[str, Meta(pattern=NAME)]


class Canary(Struct, frozen=True, forbid_unknown_fields=True):
    """A version on trial, and its share of the requests that don't select a version."""

    version: Version
    share: Annotated[float, Meta(ge=0, le=1)]


class Policy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How a model is served: by its newest version, at most `pin` if that is set, a canary, and further labels.

    Apart from the canary, a version above `pin` is served only to requests that select it. A model that isn't `enabled`
    isn't served and takes no memory.
    """

    enabled: bool = True
    pin: Version | None = None
    canary: Canary | None = None
    labels: dict[Label, Version] = {}

    def __post_init__(self) -> None:
        for label in self.labels:
            if label in RESERVED:
                raise ValueError(f"Expected a label other than {', '.join(RESERVED)}, got {label!r}")
        if self.canary and self.canary.version == self.pin:
            raise ValueError("Expected a canary other than the pinned version")

    def pin_to(self, version: int) -> "Policy":
        """Return the same policy with this version pinned, and no canary."""
        return msgspec.structs.replace(self, pin=version, canary=None)

    def order(self, versions: Iterable[int]) -> list[int]:
        """Return the versions that may become `stable`, newest first."""
        trial = self.canary.version if self.canary else None
        return sorted((v for v in versions if v != trial and v <= (self.pin or v)), reverse=True)


DEFAULT = Policy()
UNKNOWN = Policy(enabled=False)  # the policy of an unreadable file: the model may not be served


class PolicyFolder(NamedTuple):
    """The folder of policies, `<name>/serving.toml` below `root`, which is the folder of models by default.

    With `remembers`, a copy of each readable policy is kept beside it, and used if the file is broken at a later start.
    """

    root: Path
    remembers: bool = True


def read_policy(root: Path, name: str) -> Policy:
    """Return the model's policy on disk, or the default policy if there is no file; raises PolicyError."""
    return _read(root / name / FILE)


def remember_policy(root: Path, name: str) -> None:
    """Keep a copy of a readable policy, in case the file is broken at a later start.

    If the copy can't be written, that is only logged.
    """
    path, kept = root / name / FILE, root / name / REMEMBERED
    try:
        if not os.path.lexists(path):
            kept.unlink(missing_ok=True)
        elif not kept.is_file() or kept.read_bytes() != path.read_bytes():
            _write(kept, path.read_bytes())
    except OSError as error:
        log.info("%s: the policy can't be remembered: %s", path, error.strerror)


def recall_policy(root: Path, name: str) -> Policy | None:
    """Return the last readable policy, or None if there is no readable copy."""
    kept = root / name / REMEMBERED
    try:
        return _read(kept) if kept.is_file() else None
    except PolicyError:
        return None


def _read(path: Path) -> Policy:
    if not os.path.lexists(path):
        return DEFAULT
    try:
        # Kubernetes mounts a file as a link into a hidden folder beside it, so links within the folder are followed.
        whole = path.resolve() if path.resolve().is_relative_to(path.parent.resolve()) else path
        table = tomllib.loads(artifact.read_plain_file(whole, LIMIT_BYTES).decode())
    except (ModelError, ValueError) as error:
        raise PolicyError(f"{path}: expected a readable TOML file: {error}") from error
    try:
        return msgspec.convert(table, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{path}: {error}") from error


def write_policy(root: Path, name: str, policy: Policy) -> None:
    """Write the policy atomically; raises PolicyError if it can't be written."""
    put_files(root, name, {FILE: None if policy == DEFAULT else format_policy(policy).encode()})


def get_files(root: Path, name: str) -> dict[str, bytes | None]:
    """Return the bytes of the policy's file and of its remembered copy, valid or not.

    A file that doesn't exist is None. Raises PolicyError.
    """
    home = root / name
    try:
        return {file: (home / file).read_bytes() if (home / file).exists() else None for file in (FILE, REMEMBERED)}
    except OSError as error:
        raise PolicyError(f"{home / FILE}: can't be read: {error.strerror}") from error


def put_files(root: Path, name: str, files: Mapping[str, bytes | None]) -> None:
    """Write the files, each atomically, and delete those that are None; raises PolicyError if that isn't possible."""
    for file, data in files.items():
        path = root / name / file
        try:
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(exist_ok=True)
                _write(path, data)
        except OSError as error:
            raise PolicyError(f"{path}: can't be written here: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically; raises OSError."""
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            Path(file.name).chmod(0o644)
            Path(file.name).rename(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise


def format_policy(policy: Policy) -> str:
    """Return the policy as TOML."""
    table: dict[str, Any] = msgspec.to_builtins(policy)
    inner = {name: table.pop(name) for name in ("canary", "labels") if name in table}

    def format_pairs(pairs: dict[str, Any]) -> list[str]:
        # TOML writes booleans and numbers as JSON does, and names need no quotes.
        return [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in pairs.items()]

    lines = format_pairs(table)
    for name, pairs in inner.items():
        lines += ["", f"[{name}]", *format_pairs(pairs)]
    return "\n".join(lines).lstrip("\n") + "\n"
