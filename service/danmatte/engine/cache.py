"""A disk cache of compiled graphs."""

import hashlib
import logging
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from danmatte.errors import SettingsError

log = logging.getLogger(__name__)
_DIGEST_BYTES = 32
_UNFINISHED = ".unfinished-"
_ABANDONED_S = 3600.0


class GraphCache:
    """A cache of compiled graphs as bytes, by key; above `limit_bytes`, the least recently used are deleted.

    A damaged file counts as missing. OpenVINO doesn't validate compiled graphs, so no other user may have write access
    to the folder; raises SettingsError otherwise. Failures of the disk are never errors: the graph is compiled again.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            facts = folder.stat()
        except OSError as error:
            raise SettingsError(f"{folder}: expected a folder for compiled graphs: {error.strerror}") from error
        if facts.st_mode & 0o022 or facts.st_uid != os.geteuid():
            raise SettingsError(f"{folder}: expected a folder that only this user can write to")

    # OpenVINO's CACHE_DIR imports a file without checking whether it is damaged. Here, each starts with its digest.

    def get(self, key: str) -> bytes | None:
        """Return the blob, if it exists and isn't damaged."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, blob = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(blob).digest() == digest:
            return blob
        log.warning("%s: damaged, deleted", path)
        self.discard(key)
        return None

    def put(self, key: str, blob: bytes) -> None:
        """Write the blob atomically, and delete the least recently used ones above the limit."""
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=_UNFINISHED, delete=False) as file:
                try:
                    file.write(hashlib.sha256(blob).digest() + blob)
                    file.close()
                    Path(file.name).rename(self._path(key))
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            kept_bytes = 0
            blobs = [(path, path.stat()) for path in self._folder.glob("*.blob")]
            for path, facts in sorted(blobs, key=lambda blob: blob[1].st_mtime_ns, reverse=True):
                kept_bytes += facts.st_size
                if kept_bytes > self._limit_bytes:
                    path.unlink(missing_ok=True)
            for path in self._folder.glob(f"{_UNFINISHED}*"):
                if path.stat().st_mtime < time.time() - _ABANDONED_S:  # left by a process that was killed
                    path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: the compiled graph wasn't cached: %s", self._folder, error)

    def discard(self, key: str) -> None:
        """Delete a blob."""
        with suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.blob"
