"""Output folders of a run, and checks that they can be written, before a run that may take hours."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from danmatte_workbench.errors import InputError, MachineError


@dataclass(frozen=True)
class Places:
    """Output paths: published models, folders of runs, the store between runs, and an optional copy of run.json."""

    models: Path
    runs: Path
    store: Path
    json: Path | None = None

    def check(self) -> None:
        """Raise InputError or MachineError, naming the flag, for a path that can't be written."""
        for flag, folder in (("--models", self.models), ("--runs", self.runs), ("--store", self.store)):
            _check_folder(flag, folder)
        if self.json is None or str(self.json) == "-":
            return
        if self.json.is_dir():
            raise InputError(f"--json: expected a file, received the folder {self.json}")
        _check_folder("--json", self.json.parent)

    def describe_namesake(self, name: str, digest: str) -> str:
        """Return a warning if the newest version of that name was made from another graph; otherwise an empty string.

        Frameworks often give all exports the same name, but servers treat the newest version as the better one of the
        same model.
        """
        from danmatte.contract import ManifestError
        from danmatte.contract.artifact import list_versions, read_manifest

        for version in list_versions(self.models, name)[:1]:
            folder = self.models / name / str(version)
            with suppress(ManifestError):  # servers can't load it either
                if read_manifest(folder).recipe.source.digest != digest:
                    return (
                        f"{folder} was made from another graph; the winner will be published as its next version, "
                        "unless a model.toml has another name (see workbench describe) or --models another folder"
                    )
        return ""


def _check_folder(flag: str, folder: Path) -> None:
    """Raise MachineError if the folder can't be written, or doesn't exist and can't be created."""
    place = folder.absolute()
    try:
        while not place.exists():
            place = place.parent
    except OSError as error:
        raise MachineError(f"{flag}: {folder}: can't be written ({error.strerror})") from error
    if not place.is_dir():
        raise MachineError(f"{flag}: {folder}: can't be written ({place} isn't a folder)")
    if not os.access(place, os.W_OK | os.X_OK):
        raise MachineError(f"{flag}: {folder}: can't be written (no permission to write in {place})")


def make_run_folder(home: Path) -> Path:
    """Create the next numbered folder in ``home`` and return it; safe against other processes.

    Raises MachineError if it can't be created.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name) for path in home.iterdir() if path.name.isdecimal()), default=0)
        while True:
            number += 1
            try:
                (home / str(number)).mkdir()
            except FileExistsError:
                continue
            return home / str(number)
    except OSError as error:
        raise MachineError(f"{home}: can't be written ({error})") from error
