"""All positions of a run.json with their declared types, so that tests can change each."""

from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from danmatte_workbench.report.records import RunRecord

Path = tuple[str | int, ...]


def walk(facts: dict[str, Any]) -> Iterator[tuple[Path, inspect.Type, Any]]:
    """Yield path, declared type and content of every position that a record declares, the run itself first."""
    yield from _descend((), inspect.type_info(RunRecord), facts)


def list_kinds(facts: dict[str, Any]) -> dict[tuple[str, str], tuple[Path, inspect.Type]]:
    """Return one position for each field of each record in the facts."""
    found: dict[tuple[str, str], tuple[Path, inspect.Type]] = {}
    for path, kind, content in walk(facts):
        if isinstance(kind, inspect.StructType):
            for field in kind.fields:
                if content.get(field.encode_name) is not None:
                    found.setdefault((kind.cls.__name__, field.name), ((*path, field.encode_name), field.type))
    return found


def get(facts: dict[str, Any], path: Path) -> Any:
    """Return the content of a position."""
    place: Any = facts
    for key in path:
        place = place[key]
    return place


def put(facts: dict[str, Any], path: Path, value: Any) -> None:
    """Replace the content of a position."""
    get(facts, path[:-1])[path[-1]] = value


def write(facts: dict[str, Any], path: Path) -> str:
    """Return a position in the form of error messages, where keys of free dictionaries are dots."""
    words, kind = "$", inspect.type_info(RunRecord)
    for step, key in enumerate(path):
        kind = _choose(kind, get(facts, path[:step]))
        if isinstance(kind, inspect.StructType):
            words += f".{key}"
            kind = next(field.type for field in kind.fields if field.encode_name == key)
        elif isinstance(kind, inspect.DictType):
            words, kind = f"{words}[...]", kind.value_type
        else:
            assert isinstance(kind, inspect.VarTupleType | inspect.TupleType)
            words += f"[{key}]"
            kind = kind.item_type if isinstance(kind, inspect.VarTupleType) else kind.item_types[int(key)]
    return words


def _descend(path: Path, kind: inspect.Type, content: Any) -> Iterator[tuple[Path, inspect.Type, Any]]:
    kind = _choose(kind, content)
    yield path, kind, content
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            if field.encode_name in content:
                yield from _descend((*path, field.encode_name), field.type, content[field.encode_name])
    elif isinstance(kind, inspect.DictType):
        for key, item in content.items():
            yield from _descend((*path, key), kind.value_type, item)
    elif isinstance(kind, inspect.VarTupleType):
        for number, item in enumerate(content):
            yield from _descend((*path, number), kind.item_type, item)


def _choose(kind: inspect.Type, content: Any) -> inspect.Type:
    """Return the member of a union with None that matches the content."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    return next(option for option in kind.types if isinstance(option, inspect.NoneType) == (content is None))
