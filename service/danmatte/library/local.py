"""Storage in a folder of this machine."""

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from danmatte.errors import InvalidParameterError, StorageError
from danmatte.library.storage import Storage, StoredFile, digest_file
from danmatte.tracks.batch import is_video_name
from danmatte.video.playlist import list_named_files
from danmatte.video.reader import ClockName, Video

_LOST_AND_FOUND = "lost+found"  # a folder that only root can read, in the root of every ext4 volume


class LocalStorage(Storage):
    """Storage in a folder."""

    unfinished: ClassVar[str] = ".danmatte-"  # prefix of unfinished files

    def __init__(self, root: Path) -> None:
        self._root, self.place = root, str(root)

    def check_source(self) -> None:
        if not self._root.is_dir():
            raise InvalidParameterError(f"{self.place}: expected a folder of videos, found none")

    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        yield from self._walk(self._root / folder, f"{folder}/" if folder else "")

    def list_videos(self) -> Iterator[StoredFile]:
        """List videos, except files that a playlist in their folder, or in a folder above it, names."""
        segments = set[str]()
        for file in self._walk(self._root, "", segments=segments):
            if is_video_name(file.name) and os.path.normpath(self._root / file.name) not in segments:
                yield file

    def describe(self, name: str) -> StoredFile:
        with self._explain(name):
            return _describe(name, (self._root / name).stat())

    def open_video(self, name: str, clock: ClockName) -> Video:
        return Video(self._root / name, clock)

    def read(self, name: str) -> bytes:
        with self._explain(name):
            return (self._root / name).read_bytes()

    def compute_digest(self, name: str, report: Callable[[], object] = lambda: None) -> str:
        with self._explain(name), (self._root / name).open("rb") as file:
            return digest_file(file, report)

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
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:  # not passed on, because to callers it means that the file itself exists
                raise StorageError(f"{path.parent}: expected a folder to write to, found a file") from error
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=self.unfinished, delete=False) as file:
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).chmod(0o644)
                    settle(file.name, path)
                finally:
                    Path(file.name).unlink(missing_ok=True)

    def _walk(
        self,
        folder: Path,
        prefix: str,
        *,
        above: frozenset[tuple[int, int]] = frozenset(),
        segments: set[str] | None = None,
    ) -> Iterator[StoredFile]:
        """Yield the files below a folder, by name, one folder at a time.

        Links to a folder `above` are skipped, because they would never end. While a folder is walked, `segments`
        contains the files that its playlists name.
        """
        try:
            with os.scandir(folder) as found:
                listed = (each for each in found if each.name[0] != "." and each.name != _LOST_AND_FOUND)
                entries = sorted(listed, key=lambda each: each.name)
            own = folder.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{folder}: expected a folder to read: {error.strerror}") from error
        place = (own.st_dev, own.st_ino)
        if place in above:
            return
        named = set[str]()
        if segments is not None:
            named = {str(path) for entry in entries for path in list_named_files(Path(entry.path))} - segments
            segments |= named
        for entry in entries:
            facts = _look_at(entry)
            if facts is None:
                continue
            if stat.S_ISDIR(facts.st_mode):
                inner = f"{prefix}{entry.name}/"
                yield from self._walk(folder / entry.name, inner, above=above | {place}, segments=segments)
            elif stat.S_ISREG(facts.st_mode):
                yield _describe(f"{prefix}{entry.name}", facts)
        if segments is not None:
            segments -= named

    @contextmanager
    def _explain(self, name: str) -> Iterator[None]:
        """Translate OSError to StorageError; FileExistsError is passed on."""
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            raise StorageError(f"{self._root / name}: expected to read or write it: {error.strerror}") from error


def _look_at(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the state of a folder's entry, or of its link's target; None if that doesn't exist."""
    try:
        return entry.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise StorageError(f"{entry.path}: expected a file or a folder to read: {error.strerror}") from error


def _describe(name: str, facts: os.stat_result) -> StoredFile:
    return StoredFile(name, facts.st_size, str(facts.st_mtime_ns))
