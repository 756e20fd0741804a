"""Opening the storage at a path or URL."""

from pathlib import Path

from danmatte.errors import MissingExtraError
from danmatte.library.local import LocalStorage
from danmatte.library.storage import Storage


def open_storage(place: str) -> Storage:
    """Return the storage at a path or URL.

    Raises InvalidParameterError, StorageError, and MissingExtraError if a URL needs a library that isn't installed.
    """
    scheme, colon, rest = place.partition("://")
    if not colon or scheme == "file":
        return LocalStorage(Path(rest if colon else place))
    try:
        from danmatte.library.remote import RemoteStorage
    except ImportError as error:
        raise MissingExtraError(place, "library", "fsspec") from error
    return RemoteStorage(place)
