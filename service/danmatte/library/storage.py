"""The interface of storages, which contain videos and tracks as named files."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from danmatte.contract.whole_files import cut_name
from danmatte.tracks.batch import is_video_name
from danmatte.video.reader import ClockName, Video

_CHUNK_BYTES = 2**20  # read at once for a digest


class StoredFile(NamedTuple):
    """A file of a storage; its name is relative to the storage's root, with `/` between folders.

    `revision` changes with the content: it is the ETag if there is one, otherwise the time of the last change.
    """

    name: str
    size_bytes: int
    revision: str


class Storage(ABC):
    """A storage of files below the root `place`. Every method raises StorageError if the storage can't be used.

    Hidden files and folders, whose names begin with a dot, are listed only if that folder is requested itself.
    """

    place: str

    @abstractmethod
    def check_source(self) -> None:
        """Raise InvalidParameterError if the folder of videos certainly doesn't exist."""

    @abstractmethod
    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield the files in a folder and below it; none if there is no such folder."""

    def list_videos(self) -> Iterator[StoredFile]:
        """Yield the files whose names have a video's extension."""
        return (file for file in self.list_files() if is_video_name(file.name))

    @abstractmethod
    def describe(self, name: str) -> StoredFile:
        """Return a file's current state."""

    @abstractmethod
    def open_video(self, name: str, clock: ClockName) -> Video:
        """Open a video to decode it in place; raises TrackError, too."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a small file's bytes."""

    @abstractmethod
    def compute_digest(self, name: str, report: Callable[[], object] = lambda: None) -> str:
        """Return the SHA-256 of a file in hexadecimal; calls `report` repeatedly while it reads."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Return whether a file exists."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> None:
        """Create a file atomically. Raises FileExistsError, and leaves the existing file unchanged."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Write a file, and replace an existing one."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""


def digest_file(file: BinaryIO, report: Callable[[], object]) -> str:
    """Return the SHA-256 of the rest of an open file, in hexadecimal; calls `report` after each chunk."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        report()
    return digest.hexdigest()


def name_beside(video: str, ending: str) -> str:
    """Return the name of a file that belongs to a video: the video's with this ending, shortened if it is too long."""
    folder, slash, name = video.rpartition("/")
    return f"{folder}{slash}{cut_name(name, ending)}"
