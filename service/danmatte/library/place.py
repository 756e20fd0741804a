"""Which storage a path or a URL names."""

from pathlib import Path

from danmatte.errors import MissingExtraError
from danmatte.library.local import LocalStorage
from danmatte.library.storage import Storage


def open_storage(place: str) -> Storage:
    """The storage that a path or a URL names.

    Raises InvalidParameterError, StorageError, and MissingExtraError for a URL's libraries.
    """
    scheme, colon, rest = place.partition("://")
    if not colon or scheme == "file":
        return LocalStorage(Path(rest if colon else place))
    try:
        from danmatte.library.remote import RemoteStorage
    except ImportError as error:
        raise MissingExtraError(place, "library", "fsspec") from error
    return RemoteStorage(place)
