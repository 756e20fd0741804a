"""What is done to a source graph, as data: strict TOML, and a digest that covers everything that matters."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class StepSpec:
    """A step by kind, the revision of its code, and all its fields."""

    kind: str
    revision: int
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """Steps for one source graph. ``source`` is that graph's digest, ``toolchain`` the libraries' versions."""

    name: str
    source: str
    steps: tuple[StepSpec, ...]
    toolchain: Mapping[str, str]

    @property
    def digest(self) -> str:
        """sha256 over source, steps with revisions and fields, and toolchain; the name doesn't matter."""
        steps = [[step.kind, step.revision, dict(step.fields)] for step in self.steps]
        facts = json.dumps([self.source, steps, dict(self.toolchain)], sort_keys=True, default=list)
        return hashlib.sha256(facts.encode()).hexdigest()


@dataclass(frozen=True)
class Draft:
    """A recipe as written: steps by kind, with only the fields that differ from the step's own."""

    name: str
    about: str
    steps: tuple[tuple[str, Mapping[str, Any]], ...]


def read(path: Path) -> Draft:
    """The recipe in the TOML file. Raises InputError that names file, place and the nearest word."""
    table = read_toml(path)
    expect(table, {"name", "about", "step"}, path, "the top")
    steps = table["step"]
    if not isinstance(steps, list) or not all(isinstance(step, dict) and "kind" in step for step in steps):
        raise InputError(f"{path}: expected [[step]] tables, each with its kind")
    return Draft(
        name=str(table["name"]),
        about=str(table["about"]),
        steps=tuple((step["kind"], {name: value for name, value in step.items() if name != "kind"}) for step in steps),
    )


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content. Raises InputError where it can't be read or isn't TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: isn't TOML: {error}") from error


def expect(table: Mapping[str, Any], keys: set[str], path: Path, place: str) -> None:
    """Every key, and no other. Raises InputError that names file, place and the nearest word."""
    for name in table:
        if name not in keys:
            raise InputError(f"{path}: unknown key {name} in {place}{did_you_mean(name, sorted(keys))}")
    for name in sorted(keys - table.keys()):
        raise InputError(f"{path}: {place} lacks {name}")
