"""Where videos are and tracks go: a place of files by name, whichever kind it is."""

import hashlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple

from danmatte.errors import MissingExtraError, StorageError
from danmatte.video.reader import ClockName, Video


class StoredFile(NamedTuple):
    """A file of a storage: its name below the storage's root, with `/` between folders.

    `revision` is another one once the content is: an etag where there is one, otherwise its time.
    """

    name: str
    size_bytes: int
    revision: str


class Storage(ABC):
    """Files below a root, which `place` names. Every method raises StorageError where the place can't be used.

    Names that begin with a dot, and what is in folders of such names, aren't listed unless that folder is asked for.
    """

    place: str

    @abstractmethod
    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        """The files in a folder of the root and below it; none where there is no such folder."""

    @abstractmethod
    def describe(self, name: str) -> StoredFile:
        """A file as it is now."""

    @abstractmethod
    def open_video(self, name: str, clock: ClockName) -> Video:
        """A video to be decoded from where it is; raises TrackError, too."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A small file's bytes."""

    @abstractmethod
    def compute_digest(self, name: str) -> str:
        """The SHA-256 of a file in hexadecimal."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> None:
        """A new file: there whole or not at all. Raises FileExistsError, and leaves the one that is there."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """A file, in place of the one that may be there."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file, if there is one."""


class LocalStorage(Storage):
    """A folder."""

    unfinished: ClassVar[str] = ".danmatte-"  # what unfinished files are called first

    def __init__(self, root: Path) -> None:
        self._root, self.place = root, str(root)

    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        yield from self._walk(self._root / folder, f"{folder}/" if folder else "")

    def describe(self, name: str) -> StoredFile:
        with self._explain(name):
            return _describe(name, (self._root / name).stat())

    def open_video(self, name: str, clock: ClockName) -> Video:
        return Video(self._root / name, clock)

    def read(self, name: str) -> bytes:
        with self._explain(name):
            return (self._root / name).read_bytes()

    def compute_digest(self, name: str) -> str:
        with self._explain(name), (self._root / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def has(self, name: str) -> bool:
        return (self._root / name).exists()

    def create(self, name: str, data: bytes) -> None:
        # A link is made in one step, and never over another file; renaming would replace one.
        self._write(name, data, os.link)

    def put(self, name: str, data: bytes) -> None:
        self._write(name, data, os.rename)

    def remove(self, name: str) -> None:
        with self._explain(name):
            (self._root / name).unlink(missing_ok=True)

    def _write(self, name: str, data: bytes, settle: Callable[[str, Path], None]) -> None:
        path = self._root / name
        with self._explain(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=self.unfinished, delete=False) as file:
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).chmod(0o644)
                    settle(file.name, path)
                finally:
                    Path(file.name).unlink(missing_ok=True)

    def _walk(self, folder: Path, prefix: str) -> Iterator[StoredFile]:
        """Name after name, a folder at a time."""
        try:
            with os.scandir(folder) as found:
                entries = sorted(
                    (entry for entry in found if not entry.name.startswith(".")), key=lambda each: each.name
                )
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{folder}: expected a folder: {error.strerror}") from error
        for entry in entries:
            if entry.is_dir():
                yield from self._walk(folder / entry.name, f"{prefix}{entry.name}/")
            elif entry.is_file():
                yield _describe(f"{prefix}{entry.name}", entry.stat())

    @contextmanager
    def _explain(self, name: str) -> Iterator[None]:
        """FileExistsError passes; whatever else the system says becomes a StorageError."""
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            raise StorageError(f"{self._root / name}: expected a place to read and write: {error.strerror}") from error


def _describe(name: str, facts: os.stat_result) -> StoredFile:
    return StoredFile(name, facts.st_size, str(facts.st_mtime_ns))


def open_storage(place: str) -> Storage:
    """The storage that a path or a URL names; raises StorageError, and MissingExtraError for a URL's libraries."""
    scheme, colon, rest = place.partition("://")
    if not colon or scheme == "file":
        return LocalStorage(Path(rest if colon else place))
    try:
        from danmatte.library.remote import RemoteStorage
    except ImportError as error:
        raise MissingExtraError(place, "library", "fsspec") from error
    return RemoteStorage(place)
