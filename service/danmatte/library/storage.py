"""Where videos are and tracks go: a place of files by name, whichever kind it is."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from danmatte.contract.whole_files import cut_name
from danmatte.tracks.batch import is_video_name
from danmatte.video.reader import ClockName, Video

_PIECE_BYTES = 2**20  # read at once for a digest


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
    def check_source(self) -> None:
        """Raises InvalidParameterError where there is surely no folder to read videos from."""

    @abstractmethod
    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        """The files in a folder of the root and below it; none where there is no such folder."""

    def list_videos(self) -> Iterator[StoredFile]:
        """The files whose names are a video's."""
        return (file for file in self.list_files() if is_video_name(file.name))

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
    def compute_digest(self, name: str, report: Callable[[], object] = lambda: None) -> str:
        """The SHA-256 of a file in hexadecimal; calls `report` again and again while it is read."""

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


def digest_file(file: BinaryIO, report: Callable[[], object]) -> str:
    """The SHA-256 of what can be read, in hexadecimal; `report` is called after each piece."""
    digest = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
        report()
    return digest.hexdigest()


def name_beside(video: str, ending: str) -> str:
    """The name of a file that belongs to a video: the video's with this ending, cut where it would be too long."""
    folder, slash, name = video.rpartition("/")
    return f"{folder}{slash}{cut_name(name, ending)}"
