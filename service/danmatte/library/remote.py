"""Storage at a URL, through fsspec: object stores, HTTP listings, and everything else that fsspec supports."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, ClassVar, cast

from fsspec.core import url_to_fs

from danmatte.errors import InvalidParameterError, MissingExtraError, StorageError, TrackError
from danmatte.library.storage import Storage, StoredFile, digest_file
from danmatte.video.playlist import is_playlist_name
from danmatte.video.reader import ClockName, Video

_WHOLE_BYTES = 2**26  # smaller videos are fetched in one request, larger ones in ranges during decoding
_RANGE_BYTES = 2**23
_PAGE = 1000  # objects per page of an S3 listing
_REVISIONS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "updated", "mtime", "last_modified", "created")


class RemoteStorage(Storage):
    """Storage at a URL. Raises MissingExtraError if the library for its protocol isn't installed."""

    options: ClassVar[dict[str, Any]] = {"use_listings_cache": False}  # because other machines write there, too

    def __init__(self, url: str) -> None:
        self.place = url.rstrip("/")
        try:
            self._files, self._root = url_to_fs(self.place, **self.options)
        except ImportError as error:
            raise MissingExtraError(url, "library", error.name or "a library for its protocol") from error
        except ValueError as error:
            raise InvalidParameterError(f"{url}: expected a URL that fsspec supports: {error}") from error
        self._digest = ("", "")  # name and digest of the video that was fetched last

    def check_source(self) -> None:
        if "http" not in self._files.protocol:  # object stores have no folders, so any prefix is valid
            return
        with self._explain(""):
            is_there = self._files.exists(self._root)
        if not is_there:
            raise InvalidParameterError(f"{self.place}: expected a list of videos, found none")

    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        root = self._find(folder)
        with self._explain(folder):
            listed = self._list_objects(root) if "s3" in self._files.protocol else self._walk(root)
            for path, facts in listed:
                name = path.removeprefix(f"{self._root}/")
                within = path.removeprefix(f"{root}/")
                if not any(part.startswith(".") for part in within.split("/")):
                    yield self._describe(name, facts)

    def describe(self, name: str) -> StoredFile:
        with self._explain(name):
            return self._describe(name, self._files.info(self._find(name)))

    def open_video(self, name: str, clock: ClockName) -> Video:
        if is_playlist_name(name):
            raise TrackError(f"{self.place}/{name}: expected a video, received a playlist, which is read from folders")
        path = self._find(name)
        with self._explain(name):
            size_bytes = self._files.size(path)
            if size_bytes is not None and size_bytes > _WHOLE_BYTES:
                ranges = self._files.open(path, "rb", block_size=_RANGE_BYTES, cache_type="readahead")
                file = cast(BinaryIO, _ExplainedFile(ranges, partial(self._explain, name)))
            else:
                data = self._files.cat_file(path)
                self._digest = (name, hashlib.sha256(data).hexdigest())
                file = io.BytesIO(data)
        return Video(PurePosixPath(self.place, name), clock, file)

    def read(self, name: str) -> bytes:
        with self._explain(name):
            data: bytes = self._files.cat_file(self._find(name))
        return data

    def compute_digest(self, name: str, report: Callable[[], object] = lambda: None) -> str:
        if name == self._digest[0]:
            return self._digest[1]
        with self._explain(name), self._files.open(self._find(name), "rb", block_size=_RANGE_BYTES) as file:
            return digest_file(file, report)

    def has(self, name: str) -> bool:
        with self._explain(name):
            return bool(self._files.exists(self._find(name)))

    def create(self, name: str, data: bytes) -> None:
        with self._explain(name):
            self._files.pipe_file(self._find(name), data, mode="create")

    def put(self, name: str, data: bytes) -> None:
        with self._explain(name):
            self._files.pipe_file(self._find(name), data)

    def remove(self, name: str) -> None:
        with self._explain(name), suppress(FileNotFoundError):
            self._files.rm_file(self._find(name))

    def _find(self, name: str) -> str:
        return f"{self._root}/{name}" if name else str(self._root)

    def _describe(self, name: str, facts: dict[str, Any]) -> StoredFile:
        if facts.get("size") is None:  # an HTTP listing contains only names
            facts = self._files.info(self._find(name))
        revision = next((facts[key] for key in _REVISIONS if facts.get(key)), "")
        if isinstance(revision, datetime):  # some libraries give a datetime in one call and seconds in another
            revision = revision.timestamp()
        return StoredFile(name, facts.get("size") or 0, str(revision))

    def _list_objects(self, root: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """List an S3 bucket page by page; fsspec would hold the listing of a whole folder in memory."""
        bucket, _, prefix = root.partition("/")
        page: dict[str, Any] = {"IsTruncated": True}
        while page["IsTruncated"]:
            after = {"ContinuationToken": page["NextContinuationToken"]} if "NextContinuationToken" in page else {}
            wanted = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else "", "MaxKeys": _PAGE}
            page = self._files.call_s3("list_objects_v2", **wanted, **after)
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):
                    yield f"{bucket}/{found['Key']}", {"size": found["Size"], "ETag": found["ETag"]}

    def _walk(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the files below a folder, by name, one folder at a time."""
        try:
            found = sorted(self._files.ls(folder, detail=True), key=lambda facts: facts["name"])
        except FileNotFoundError:
            return
        for facts in found:
            path = str(facts["name"]).rstrip("/")
            if facts["type"] == "directory":
                yield from self._walk(path)
            elif path != folder:
                yield path, facts

    @contextmanager
    def _explain(self, name: str) -> Iterator[None]:
        """Translate what a storage's library raises to StorageError; FileExistsError and TrackError are passed on."""
        try:
            yield
        except (FileExistsError, StorageError, TrackError):
            raise
        except Exception as error:  # each library has its own exceptions
            words = f"{type(error).__name__}: {error}"
            raise StorageError(f"{self.place}/{name}: expected to read or write it: {words}") from error


class _ExplainedFile(io.RawIOBase):
    """A storage's file that is being decoded; what the storage's library raises becomes a StorageError.

    Otherwise a failure of the storage would be taken for a broken video.
    """

    def __init__(self, file: Any, explain: Callable[[], AbstractContextManager[None]]) -> None:
        self._file, self._explain = file, explain

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        with self._explain():
            data: bytes = self._file.read(size)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        with self._explain():
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
