"""Where a run's things go, and whether they can go there: asked before the run, which may take hours."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from danmatte_workbench.errors import InputError, MachineError


@dataclass(frozen=True)
class Places:
    """Where things go: published models, run folders, what is kept between runs, and the facts once more."""

    models: Path
    runs: Path
    store: Path
    json: Path | None = None

    def check(self) -> None:
        """Raises InputError or MachineError, which name the flag, for a place where nothing can be written."""
        for flag, folder in (("--models", self.models), ("--runs", self.runs), ("--store", self.store)):
            _check_folder(flag, folder)
        if self.json is None or str(self.json) == "-":
            return
        if self.json.is_dir():
            raise InputError(f"--json: expected a file, received the folder {self.json}")
        _check_folder("--json", self.json.parent)

    def describe_namesake(self, name: str, digest: str) -> str:
        """In words, where the newest version of that name was made from a graph with another digest; else empty.

        Frameworks give all their exports one name, and servers take the newest version for a better one of the same.
        """
        from danmatte.contract import ManifestError
        from danmatte.contract.artifact import list_versions, read_manifest

        for version in list_versions(self.models, name)[:1]:
            folder = self.models / name / str(version)
            with suppress(ManifestError):  # nobody serves it either
                if read_manifest(folder).recipe.source.digest != digest:
                    return (
                        f"{folder} was made from another graph; the winner will be the next version beside it, "
                        "unless a model.toml names it otherwise (workbench describe) or --models is another folder"
                    )
        return ""


def _check_folder(flag: str, folder: Path) -> None:
    """Raises MachineError where the folder isn't there and can't be made, or can't be written."""
    place = folder.absolute()
    try:
        while not place.exists():
            place = place.parent
    except OSError as error:
        raise MachineError(f"{flag}: {folder}: can't be written ({error.strerror})") from error
    if not place.is_dir():
        raise MachineError(f"{flag}: {folder}: can't be written ({place} is no folder)")
    if not os.access(place, os.W_OK | os.X_OK):
        raise MachineError(f"{flag}: {folder}: can't be written (this user may not write in {place})")


def make_run_folder(home: Path) -> Path:
    """The next numbered folder in ``home``; nobody else gets the same. Raises MachineError where it can't be made."""
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
