"""What the training that a folder keeps was made from: so that it goes on only where the same is asked for again."""

import json
from collections.abc import Mapping
from pathlib import Path

from danmatte_workbench.artifact import digest
from danmatte_workbench.errors import InputError, MachineError

FILE = "origin.json"


def describe_file(path: Path) -> str:
    """A file in words, by what is in it. Raises InputError where there is none."""
    return f"the file of sha256 {digest(path)}"


def check_origin(folder: Path, network: str, options: Mapping[str, str]) -> None:
    """Note in the folder what the training of ``network`` depends on: its options, by flag.

    Stages that are finished there are taken as they are, so a training of other options would get the weights of the
    earlier one. Raises InputError where the folder keeps such a training, and MachineError where it can't be written.
    """
    path = folder / FILE
    known = _read(path)
    kept = known.setdefault(network, {})
    for flag, asked in options.items():
        before = kept.setdefault(flag, asked)
        if before != asked:
            raise InputError(
                f"{folder}: keeps a training of {network} with another {flag}: expected {before}, received {asked}; "
                "give another --output-dir"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise MachineError(f"{path}: can't be written ({error.strerror})") from error


def _read(path: Path) -> dict[str, dict[str, str]]:
    """What is noted, by network; nothing in a folder from before there were notes."""
    if not path.exists():
        return {}
    try:
        known: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({error}); give another --output-dir") from error
    return known
