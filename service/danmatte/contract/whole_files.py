"""Files that are there whole or not at all, and names that file systems take."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_LONGEST_NAME_BYTES: Final = 255
_DIGITS: Final = 8


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file, in place of one that may be there. Raises OSError, and leaves that one and nothing else."""
    unfinished = name_unfinished(path, ".part")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise


def name_unfinished(path: Path, ending: str) -> Path:
    """Where a file is until it is whole: hidden, beside its place.

    Of a name that leaves no room for the ending, a digest tells it from others that begin alike.
    """
    name = f".{path.name}"
    if len(os.fsencode(name + ending)) > _LONGEST_NAME_BYTES:
        ending = f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:_DIGITS]}{ending}"
    return path.with_name(cut_name(name, ending))


def cut_name(name: str, ending: str) -> str:
    """The name with this ending, cut before that where it would be too long, and never within a letter."""
    encoded, room = os.fsencode(name), _LONGEST_NAME_BYTES - len(os.fsencode(ending))
    return f"{name if len(encoded) <= room else encoded[:room].decode('utf-8', 'ignore')}{ending}"
