"""Strict reading of TOML files written by users; errors name the file, the place and the nearest known word."""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError


def read_toml(path: Path) -> dict[str, Any]:
    """Return the file's content. Raises InputError if it can't be read or isn't TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: isn't TOML: {error}") from error


def expect_keys(
    table: Mapping[str, Any], keys: Collection[str], path: Path, place: str, *, optional: Collection[str] = ()
) -> None:
    """Check that the table has every required key, and no unknown ones.

    Raises InputError that names the file, the place in it, and the nearest known word.
    """
    known = {*keys, *optional}
    for name in table:
        if name not in known:
            raise InputError(f"{path}: unknown key {name} in {place}{did_you_mean(name, sorted(known))}")
    for name in sorted({*keys} - table.keys()):
        raise InputError(f"{path}: {place} lacks {name}")
