"""Record of the options of a stored training, so that it is resumed only with the same options."""

import json
from collections.abc import Mapping
from pathlib import Path

from danmatte_workbench.artifact import digest
from danmatte_workbench.errors import InputError, MachineError

FILE = "origin.json"


def describe_file(path: Path) -> str:
    """Return a description of a file by its digest. Raises InputError if there is no such file."""
    return f"the file of sha256 {digest(path)}"


def check_origin(folder: Path, network: str, options: Mapping[str, str]) -> None:
    """Record in ``folder`` the ``options``, by flag, on which the training of ``network`` depends.

    Finished stages in the folder are reused, so a training with other options would get the weights of the earlier one.
    Raises InputError if the folder holds a training with other options, and MachineError if it can't be written.
    """
    path = folder / FILE
    known = _read(path)
    kept = known.setdefault(network, {})
    for flag, value in options.items():
        before = kept.setdefault(flag, value)
        if before != value:
            raise InputError(
                f"{folder}: holds a training of {network} with another {flag}: expected {before}, received {value}; "
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
    """Return the recorded options by network; empty if there is no record, as in folders of earlier versions."""
    if not path.exists():
        return {}
    try:
        known: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({error}); give another --output-dir") from error
    return known
