"""Atomic writes of files, and file names within the limits of file systems."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_LONGEST_NAME_BYTES: Final = 255
_DIGITS: Final = 8


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically, replacing an existing one; after an OSError, only the existing one is left."""
    unfinished = name_unfinished(path, ".part")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise


def name_unfinished(path: Path, ending: str) -> Path:
    """Return the path of a file while it is being written: a hidden one in the same folder.

    If the name is too long for the ending, it is cut, and a digest keeps it distinct from others with the same start.
    """
    name = f".{path.name}"
    if len(os.fsencode(name + ending)) > _LONGEST_NAME_BYTES:
        ending = f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:_DIGITS]}{ending}"
    return path.with_name(cut_name(name, ending))


def cut_name(name: str, ending: str) -> str:
    """Return the name with this ending, cut before the ending if it is too long, but never within a character."""
    encoded, room = os.fsencode(name), _LONGEST_NAME_BYTES - len(os.fsencode(ending))
    return f"{name if len(encoded) <= room else encoded[:room].decode('utf-8', 'ignore')}{ending}"
