"""The graph that is to be optimized, and what has to be known of it."""

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
from danmatte_workbench.kinds import OutputKind, say_kinds
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
    """A smaller graph with the source's input and output, trained to stand for it at its own ``size`` (height, width).

    An empty ``digest`` stands for none.
    """

    path: Path = Path()
    digest: str = ""
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Source:
    """A trained graph.

    picture, answer: the whole graph's tensors (``node:0``): a picture of ``size`` in; class numbers, logits or
        probabilities out.
    port, node: where it is cut: the first convolution's input, the decision over classes. Where ``port`` is
        ``picture``, nothing in the graph normalises pixels, and its input takes what ``mean`` and ``scale`` make.
    mean, scale: what the part before the cut does to pixels: (pixel − mean) / scale, per channel in ``colour`` order.
    meaning: whether the answer is a mask of people; other graphs' ``answers`` are compared as what ``kinds`` says of
        each, and they have no node and no person. notes: what was assumed of the graph and not found in it, in words.
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
        """Whether the whole graph takes normalised pictures rather than pixels."""
        return self.port == self.picture

    @property
    def normalisation(self) -> Normalisation:
        """What the network's first layer takes."""
        return Normalisation(self.colour, self.mean, self.scale)

    @property
    def fetches(self) -> tuple[str, ...]:
        """The tensors that make up the whole graph's answer."""
        return self.answers or (self.answer,)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The input's shape, NHWC."""
        return (1, *self.size, 3)

    @property
    def student_digest(self) -> str:
        """The student's digest; empty where there is none."""
        return self.student.digest

    @property
    def framing(self) -> Framing:
        """How frames enter the graph."""
        return Framing(self.size, self.rule, self.fill)


def read(path: Path) -> Source:
    """The source that the ``model.toml`` at ``path`` describes. Raises InputError that names file and place."""
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
        raise InputError(f"{path}: name: expected small letters, digits, - and _ only, found {name!r}")
    if 0.0 in scale:
        raise InputError(f"{path}: scale: expected three numbers that one can divide by, found {entry['scale']!r}")
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
    """Raises InputError for a source whose pictures are of a size that no published version may take."""
    if not all(side in PICTURE_SIDES for side in source.size):
        taken = f"{source.size[1]}×{source.size[0]}"
        limits = f"{PICTURE_SIDES[0]} to {PICTURE_SIDES[-1]} pixels"
        raise InputError(f"{source.path}: takes pictures of {taken}; expected sides of {limits}, as versions have")


def find(name: str, *folders: Path) -> Path | None:
    """The ``model.toml`` of the model called ``name``, in the first folder that has it, or ``name`` itself if it is the
    path of one; None for the path of a graph.

    Raises InputError for neither.
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
    """Where masks of people come from; or, with ``meaning``, what the answer is instead."""
    if "meaning" not in answer:
        for key in ("node", "person"):
            if key not in answer:
                raise InputError(f"{path}: [output] lacks {key}, or meaning where the answer is no mask of people")
        return {"node": _read_text(answer, "node", path), "person": _read_whole(answer, "person", path, range(65536))}
    tensors, words = _read_texts(answer, "tensor", path), _read_texts(answer, "meaning", path)
    if len(words) != len(tensors):
        raise InputError(f"{path}: [output] has {len(tensors)} tensors, and meaning says {len(words)}; one for each")
    try:
        said = [f"{tensor}={word}" for tensor, word in zip(tensors, words, strict=True)]
        kinds = say_kinds([OutputKind("tensor", "")] * len(tensors), tensors, said)
    except InputError as error:
        raise InputError(f"{path}: [output] {str(error).removeprefix('--')}") from error
    kinds = tuple(replace(kind, reason="as model.toml says") for kind in kinds)
    return {"node": tensors[0], "person": 0, "meaning": "tensors", "answers": tensors, "kinds": kinds}


def describe(source: Source, graph: str) -> str:
    """A ``model.toml`` that says of the source, whose file it calls ``graph``, what `read` would read."""
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
    """Text, or several, as TOML writes them, which is as JSON does but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def say_meanings(source: Source, said: tuple[str, ...]) -> Source:
    """The source whose outputs are what the user says: ``KIND``, or ``OUTPUT=KIND``, of `kinds.KINDS`.

    A mask of people stays one where nothing is said. Raises InputError for an unknown kind or output.
    """
    if not said:
        return source
    found = source.kinds or tuple(OutputKind("tensor", "not said") for _ in source.fetches)
    kinds = say_kinds(found, source.fetches, said)
    return replace(source, meaning="tensors", node=source.answer, person=0, answers=source.fetches, kinds=kinds)


def _read_text(table: dict[str, Any], key: str, path: Path) -> str:
    value = table[key]
    if not isinstance(value, str):
        raise InputError(f"{path}: {key}: expected text, found {value!r}")
    return value


def _read_texts(table: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    """One text or a list of them."""
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
    # True is a number to Python, and nan and inf are numbers to TOML.
    is_list = isinstance(value, list) and len(value) == 3
    if not is_list or not all(type(item) in (int, float) and math.isfinite(item) for item in value):
        raise InputError(f"{path}: {key}: expected three numbers, found {value!r}")
    return (float(value[0]), float(value[1]), float(value[2]))
