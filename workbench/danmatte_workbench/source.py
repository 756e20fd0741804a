"""The graph to optimize, and its description in ``model.toml``."""

import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from danmatte.contract.framing import Framing
from danmatte.contract.near_words import did_you_mean
from danmatte.contract.ports import PICTURE_SIDES
from danmatte_workbench import artifact
from danmatte_workbench.artifact import Format, detect_format, list_graph_files, resolve_graph_path
from danmatte_workbench.errors import InputError
from danmatte_workbench.kinds import OutputKind, override_kinds
from danmatte_workbench.normalisation import Normalisation
from danmatte_workbench.strict_toml import expect_keys, read_toml

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
Meaning = Literal["person", "tensors"]
_KEYS = {
    "the top": {"name", "graph", "licence", "input", "output", "resize"},
    "[input]": {"tensor", "port", "height", "width", "colour", "mean", "scale"},
    "[output]": {"tensor"},
    "[resize]": {"rule", "fill"},
    "[student]": {"graph", "height", "width"},
}


@dataclass(frozen=True)
class StudentGraph:
    """A smaller graph with the source's input and output, trained to replace it at its own ``size`` (height, width).

    ``digest`` is empty if there is no student.
    """

    path: Path = Path()
    digest: str = ""
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Source:
    """A trained graph.

    picture, answer: input and output tensors of the whole graph (``node:0``). The input is a picture of ``size``; the
        output is class numbers, logits or probabilities.
    port, node: where the graph is cut: the first convolution's input, and the decision over classes. If ``port`` equals
        ``picture``, the graph doesn't normalise pixels, and its input expects pixels normalised by ``mean`` and
        ``scale``.
    mean, scale: what the part before the cut does to pixels: (pixel − mean) / scale, per channel in ``colour`` order.
    meaning: whether the output is a mask of people. The ``answers`` of other graphs are compared according to their
        ``kinds``; their node and person have no meaning.
    notes: assumptions that aren't stated in the graph, in words.
    student: a smaller graph that recipes may start from instead.
    """

    name: str
    path: Path
    digest: str
    licence: str
    picture: str
    port: str
    size: tuple[int, int]
    colour: Literal["RGB", "BGR"]
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    answer: str
    node: str
    person: int
    rule: Literal["stretch", "letterbox"]
    fill: tuple[int, int, int]
    format: Format = "frozen"
    meaning: Meaning = "person"
    answers: tuple[str, ...] = ()
    kinds: tuple[OutputKind, ...] = ()
    notes: tuple[str, ...] = ()
    student: StudentGraph = StudentGraph()

    @property
    def normalised(self) -> bool:
        """Whether the whole graph expects normalised pictures rather than pixels."""
        return self.port == self.picture

    @property
    def normalisation(self) -> Normalisation:
        """The normalisation that the network's first layer expects."""
        return Normalisation(self.colour, self.mean, self.scale)

    @property
    def fetches(self) -> tuple[str, ...]:
        """The output tensors of the whole graph."""
        return self.answers or (self.answer,)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The input's shape, NHWC."""
        return (1, *self.size, 3)

    @property
    def student_digest(self) -> str:
        """The student's digest; empty without a student."""
        return self.student.digest

    @property
    def framing(self) -> Framing:
        """How frames are fitted to the graph's input."""
        return Framing(self.size, self.rule, self.fill)


def read(path: Path) -> Source:
    """Return the source that the ``model.toml`` at ``path`` describes.

    Raises InputError that names the file and the place in it.
    """
    table = read_toml(path)
    expect_keys(table, _KEYS["the top"], path, "the top", optional={"student"})
    for section in [name for name in ("input", "output", "resize", "student") if name in table]:
        if not isinstance(table[section], dict):
            raise InputError(f"{path}: expected a table [{section}]")
        optional = {"node", "person", "meaning"} if section == "output" else ()
        expect_keys(table[section], _KEYS[f"[{section}]"], path, f"[{section}]", optional=optional)
    entry, answer, resize = table["input"], table["output"], table["resize"]
    name, scale, fill = (
        _read_text(table, "name", path),
        _read_three(entry, "scale", path),
        _read_three(resize, "fill", path),
    )
    if not NAME.fullmatch(name):
        raise InputError(f"{path}: name: expected lower-case letters, digits, - and _ only, found {name!r}")
    if 0.0 in scale:
        raise InputError(f"{path}: scale: expected three numbers other than 0, found {entry['scale']!r}")
    if not all(value.is_integer() and 0 <= value <= 255 for value in fill):
        raise InputError(f"{path}: fill: expected three whole numbers from 0 to 255, found {resize['fill']!r}")
    graph = resolve_graph_path(path.parent / _read_text(table, "graph", path))
    return Source(
        name=name,
        path=graph,
        digest=artifact.digest(*list_graph_files(graph)),
        licence=_read_text(table, "licence", path),
        picture=_read_text(entry, "tensor", path),
        port=_read_text(entry, "port", path),
        size=(_read_whole(entry, "height", path, PICTURE_SIDES), _read_whole(entry, "width", path, PICTURE_SIDES)),
        colour=_read_choice(entry, "colour", ("RGB", "BGR"), path),
        mean=_read_three(entry, "mean", path),
        scale=scale,
        answer=_read_texts(answer, "tensor", path)[0],
        **_read_answer(answer, path),
        rule=_read_choice(resize, "rule", ("stretch", "letterbox"), path),
        fill=(int(fill[0]), int(fill[1]), int(fill[2])),
        format=detect_format(graph),
        student=_read_student(table["student"], path) if "student" in table else StudentGraph(),
    )


def _read_student(table: dict[str, Any], path: Path) -> StudentGraph:
    graph = resolve_graph_path(path.parent / _read_text(table, "graph", path))
    size = (_read_whole(table, "height", path, PICTURE_SIDES), _read_whole(table, "width", path, PICTURE_SIDES))
    return StudentGraph(graph, artifact.digest(*list_graph_files(graph)), size)


def check_size(source: Source) -> None:
    """Raise InputError if the source's picture size is outside the limits for published versions."""
    if not all(side in PICTURE_SIDES for side in source.size):
        taken = f"{source.size[1]}×{source.size[0]}"
        limits = f"{PICTURE_SIDES[0]} to {PICTURE_SIDES[-1]} pixels"
        raise InputError(f"{source.path}: takes pictures of {taken}; published versions need sides of {limits}")


def find(name: str, *folders: Path) -> Path | None:
    """Return the ``model.toml`` of the model called ``name``, from the first folder that has it.

    If ``name`` is itself a path, return it if it is a ``.toml``, and None if it is a graph. Raises InputError if
    nothing is found.
    """
    for models in folders:
        described = models / name / "model.toml"
        if described.exists():
            return described
    if Path(name).exists():
        return Path(name) if Path(name).suffix == ".toml" else None
    known = sorted({path.parent.name for models in folders for path in models.glob("*/model.toml")})
    where = " or ".join(map(str, folders))
    raise InputError(f"{name}: no such file, and no such model in {where}{did_you_mean(name, known)}")


def _read_answer(answer: dict[str, Any], path: Path) -> dict[str, Any]:
    """Read the fields of ``[output]``: node and person of a mask, or with ``meaning`` the kinds of other outputs."""
    if "meaning" not in answer:
        for key in ("node", "person"):
            if key not in answer:
                raise InputError(f"{path}: [output] lacks {key}, or meaning if the output is no mask of people")
        return {"node": _read_text(answer, "node", path), "person": _read_whole(answer, "person", path, range(65536))}
    tensors, words = _read_texts(answer, "tensor", path), _read_texts(answer, "meaning", path)
    if len(words) != len(tensors):
        raise InputError(
            f"{path}: [output] meaning: expected one for each of {len(tensors)} tensors, found {len(words)}"
        )
    try:
        given = [f"{tensor}={word}" for tensor, word in zip(tensors, words, strict=True)]
        kinds = override_kinds([OutputKind("tensor", "")] * len(tensors), tensors, given)
    except InputError as error:
        raise InputError(f"{path}: [output] {str(error).removeprefix('--')}") from error
    kinds = tuple(replace(kind, reason="as model.toml says") for kind in kinds)
    return {"node": tensors[0], "person": 0, "meaning": "tensors", "answers": tensors, "kinds": kinds}


def describe(source: Source, graph: str) -> str:
    """Return a ``model.toml`` for the source, as `read` would read it.

    graph: the graph's file name in it.
    """
    notes = "".join(f"# {note}\n" for note in source.notes)
    if source.meaning == "person":
        answer = f"tensor = {_quote(source.answer)}\nnode = {_quote(source.node)}\nperson = {source.person}\n"
    else:
        kinds = source.kinds or (OutputKind("tensor", ""),) * len(source.fetches)
        words = [f"regions:{kind.region}" if kind.kind == "regions" else kind.kind for kind in kinds]
        reasons = "".join(f"# {name}: {kind}\n" for name, kind in zip(source.fetches, kinds, strict=True))
        answer = f"{reasons}tensor = {_quote(list(source.fetches))}\nmeaning = {_quote(words)}\n"
    return f"""{notes}name = {_quote(source.name)}
graph = {_quote(graph)}
licence = {_quote(source.licence)}

[input]
tensor = {_quote(source.picture)}
port = {_quote(source.port)}
height = {source.size[0]}
width = {source.size[1]}
colour = {_quote(source.colour)}
mean = {list(source.mean)}
scale = {list(source.scale)}

[output]
{answer}
[resize]
rule = {_quote(source.rule)}
fill = {list(source.fill)}
"""


def _quote(value: str | list[str]) -> str:
    """Return one or several texts in TOML's syntax, which differs from JSON's in one character only."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def override_meanings(source: Source, given: tuple[str, ...]) -> Source:
    """Return the source with the kinds of outputs that the user gave: ``KIND`` or ``OUTPUT=KIND``, of `kinds.KINDS`.

    Without any, the source is returned unchanged. Raises InputError for an unknown kind or output.
    """
    if not given:
        return source
    found = source.kinds or tuple(OutputKind("tensor", "unknown") for _ in source.fetches)
    kinds = override_kinds(found, source.fetches, given)
    return replace(source, meaning="tensors", node=source.answer, person=0, answers=source.fetches, kinds=kinds)


def _read_text(table: dict[str, Any], key: str, path: Path) -> str:
    value = table[key]
    if not isinstance(value, str):
        raise InputError(f"{path}: {key}: expected text, found {value!r}")
    return value


def _read_texts(table: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    """Read one text or a list of texts."""
    value = table[key] if isinstance(table[key], list) else [table[key]]
    if not value or not all(isinstance(item, str) for item in value):
        raise InputError(f"{path}: {key}: expected text, found {table[key]!r}")
    return tuple(value)


def _read_whole(table: dict[str, Any], key: str, path: Path, numbers: range) -> int:
    value = table[key]
    if type(value) is not int or value not in numbers:
        raise InputError(f"{path}: {key}: expected a whole number from {numbers[0]} to {numbers[-1]}, found {value!r}")
    return value


def _read_choice(table: dict[str, Any], key: str, choices: tuple[str, ...], path: Path) -> Any:
    if table[key] not in choices:
        raise InputError(f"{path}: {key}: expected one of {', '.join(choices)}, found {table[key]!r}")
    return table[key]


def _read_three(table: dict[str, Any], key: str, path: Path) -> tuple[float, float, float]:
    value = table[key]
    # Python counts True as a number, and TOML allows nan and inf.
    is_list = isinstance(value, list) and len(value) == 3
    if not is_list or not all(type(item) in (int, float) and math.isfinite(item) for item in value):
        raise InputError(f"{path}: {key}: expected three numbers, found {value!r}")
    return (float(value[0]), float(value[1]), float(value[2]))
