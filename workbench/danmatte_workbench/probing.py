"""What a bare graph can tell about itself, when nobody wrote a ``model.toml`` for it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from danmatte_workbench import artifact
from danmatte_workbench.artifact import Format, format_of, graph_files, graph_path
from danmatte_workbench.errors import InputError
from danmatte_workbench.normalisation import Channels, Normalisation
from danmatte_workbench.source import Meaning, Source

if TYPE_CHECKING:
    from danmatte_workbench.graph.anatomy import Anatomy

DEFAULT_SIDE = 513
OFFICIAL = "SemanticPredictions"  # DeepLab's own exports, where a copy of it may follow
TOLERANCE, STEPS = 1e-3, 255  # graphs of 8 bits may be off by one of their steps
COARSEST = 40  # input pixels to one place of a class map
PERSONS = {1: 1, 2: 1, 21: 15}  # by the number of classes, one channel being two; 21 are PASCAL VOC's
MOST_CLASSES = 256
# What floats are taken for where nothing tells: PyTorch's statistics of ImageNet, or TensorFlow's −1 to 1.
IMAGENET = Normalisation("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
SIGNED = Normalisation("RGB", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
DESCRIBE = "describe it in a model.toml"
RunAll: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, ...]]
Shape: TypeAlias = tuple[int, ...]
Size: TypeAlias = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Findings:
    """What a library says of a graph.

    picture: the input; floats, channels_first: what it takes; fixed: its (height, width) where it says so.
    port: the first convolution's input port, None where the picture reaches no convolution. identical: whether
    that port gets the picture as it came. decision: where a cut may end at a choice among classes. answers: what the
    graph ends in. before, run, scores: for pictures of a (height, width), what the port gets, what tensors the graph
    gives, and the shape of what it chooses among, which is empty where it doesn't choose.
    """

    picture: str
    floats: bool
    channels_first: bool
    fixed: tuple[int, int] | None
    port: str | None
    identical: bool
    decision: str | None
    answers: tuple[str, ...]
    before: Callable[[Size], RunAll]
    run: Callable[[Size, tuple[str, ...]], RunAll]
    scores: Callable[[Size], Shape]


def inspect(path: Path, size: Size | None = None) -> Source:
    """Describe the graph at ``path``, of any of the formats that `artifact.format_of` knows.

    The cut is found in its structure; what the part before the cut does to pixels is measured, by feeding it
    random pictures; the person is class 1 of two and 15 of 21, PASCAL VOC's. A graph whose answer is no map of
    classes at the picture's scale is kept whole, its tensors compared as they are. ``size`` is (height, width), for
    graphs that take any. What was assumed is in the source's notes. Raises InputError when something can't be found
    out.
    """
    path = graph_path(path)
    kind = format_of(path)
    facts = _facts(path, kind)
    notes: list[str] = []
    if size is None:
        size = facts.fixed or (DEFAULT_SIDE, DEFAULT_SIDE)
        if facts.fixed is None:
            notes.append(f"its input takes any size; {DEFAULT_SIDE}×{DEFAULT_SIDE} was taken")
    port, normalisation = _entry(path, facts, size, notes)
    meaning, answers, person = _meaning(path, facts, size, normalisation if port == facts.picture else None, notes)
    return Source(
        name=re.sub(r"[^a-z0-9_-]+|^[_-]+", "", path.stem.lower())[:64] or "model",
        path=path,
        digest=artifact.digest(*graph_files(path)),
        licence="LicenseRef-unknown",
        picture=facts.picture,
        port=port,
        size=size,
        colour=normalisation.colour,
        mean=normalisation.mean,
        scale=normalisation.scale,
        answer=answers[0],
        node=(facts.decision or answers[0]) if meaning == "person" else answers[0],
        person=person,
        rule="stretch",
        fill=(127, 127, 127),
        format=kind,
        meaning=meaning,
        answers=answers if meaning == "tensors" else (),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class Cut:
    """Where a graph is cut by its structure alone: at the first convolution, or else the picture, and at the decision,
    or else the only answer; None for a graph of several. ``size`` is the graph's own (height, width), or the usual one.
    """

    port: str
    node: str | None
    answers: tuple[str, ...]
    size: Size


def cut_of(path: Path) -> Cut:
    """Where the graph at ``path`` would be cut. Raises InputError for what is no graph of one picture."""
    facts = _facts(path, format_of(path))
    node = facts.decision or (facts.answers[0] if len(facts.answers) == 1 else None)
    return Cut(facts.port or facts.picture, node, facts.answers, facts.fixed or (DEFAULT_SIDE, DEFAULT_SIDE))


def _facts(path: Path, kind: Format) -> Findings:
    if kind in ("frozen", "savedmodel", "keras"):
        return _tensorflow_facts(path)
    return _openvino_facts(path, kind)


def _tensorflow_facts(path: Path) -> Findings:
    from danmatte_workbench.runtimes import tensorflow

    anatomy = tensorflow.anatomy(path)
    pictures = anatomy.of_kind({"Placeholder"})
    if len(pictures) != 1:
        names = [node.name for node in pictures]
        raise InputError(f"{path}: expected one input, a picture, found {len(names)}: {', '.join(names) or 'none'}")
    name = pictures[0].name
    port, decision = anatomy.first_convolution(name), anatomy.decision()
    shape = tensorflow.static_shape(path, name)
    sides = shape[2:4] if len(shape) == 4 and shape[1] == 3 != shape[3] else shape[1:3]

    def run(size: Size, answers: tuple[str, ...]) -> RunAll:
        return tensorflow.runner_of_all(path, feed=f"{name}:0", fetches=answers)

    def before(size: Size) -> RunAll:
        return run(size, (tensorflow.node_feeding(path, str(port)),))

    def scores(size: Size) -> Shape:
        if decision is None:
            return ()
        (found,) = run(size, (tensorflow.node_feeding(path, f"0:{decision}"),))(np.zeros((1, *size, 3), np.uint8))
        return found.shape

    return Findings(
        picture=f"{name}:0",
        floats=tensorflow.takes_floats(path, name),
        channels_first=len(shape) == 4 and shape[1] == 3 != shape[3],
        fixed=(sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else None,
        port=port,
        identical=port is not None and anatomy.feeder(port) == name,
        decision=decision,
        answers=tuple(f"{end}:0" for end in _ends(anatomy, name, decision)),
        before=before,
        run=run,
        scores=scores,
    )


def _ends(anatomy: "Anatomy", picture: str, decision: str | None) -> list[str]:
    """What the picture leads to; where there is a decision, what that leads to."""
    after = anatomy.behind(decision or picture)
    return [OFFICIAL] if decision and OFFICIAL in after else [end for end in anatomy.ends() if end in after]


def _openvino_facts(path: Path, kind: Format) -> Findings:
    from danmatte_workbench.runtimes import conversion, openvino

    sketch = conversion.sketch(path, DEFAULT_SIDE)
    anatomy = sketch.anatomy
    name = anatomy.of_kind({"Parameter"})[0].name
    port = anatomy.first_convolution(name)
    return Findings(
        picture=sketch.picture,
        floats=sketch.floats,
        channels_first=sketch.channels_first,
        fixed=sketch.fixed,
        port=port,
        identical=port is not None and anatomy.feeder(port) == name,
        decision=None,
        answers=sketch.answers,
        before=lambda size: openvino.feeding_runner(path, str(port), (1, *size, 3)),
        run=lambda size, answers: _tensors(path, kind, size, answers),
        scores=lambda size: sketch.scores,
    )


def _tensors(path: Path, kind: Format, size: Size, answers: tuple[str, ...]) -> RunAll:
    if kind == "tflite":
        from danmatte_workbench.runtimes import tflite

        return tflite.runner(path, size=size, fetches=answers, threads=1)
    from danmatte_workbench.configuration import configure
    from danmatte_workbench.runtimes import openvino

    return openvino.source_runner(path, configure(), shape=(1, *size, 3), answers=answers)


def _entry(path: Path, facts: Findings, size: Size, notes: list[str]) -> tuple[str, Normalisation]:
    """Where the network begins, and what pixels are to be there."""
    plain = Normalisation("RGB", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    if facts.port is None:
        if facts.floats:
            notes.append("its input was given pixels as they are, from 0 to 255")
        return facts.picture, plain
    if facts.identical and facts.floats:
        assumed = IMAGENET if facts.channels_first else SIGNED
        notes.append(
            f"its input takes floats, and nothing in it normalises: (pixel − {list(assumed.mean)}) / "
            f"{list(assumed.scale)}, RGB, was assumed; if that is wrong, {DESCRIBE}"
        )
        return facts.picture, assumed
    measured = _normalisation(path, facts, size)
    if facts.floats and max(abs(value) for value in measured.scale) <= 2:
        notes.append(f"its input takes floats from 0 to 1, of which it subtracts {measured.mean}")
        return facts.picture, Normalisation("RGB", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    return facts.port, measured


def _normalisation(path: Path, facts: Findings, size: Size) -> Normalisation:
    """Mean, scale and colour order of the part before the cut, fitted to what it does to noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    (seen,) = facts.before(size)(pixels)
    if seen.shape != pixels.shape:
        raise InputError(f"{path}: before {facts.port} a picture of {pixels.shape} has become {seen.shape}; {DESCRIBE}")
    given = pixels.reshape(-1, 3).astype(np.float64)
    design = np.column_stack([given, np.ones(len(given))])
    fit, *_ = np.linalg.lstsq(design, seen.reshape(-1, 3).astype(np.float64), rcond=None)
    error = float(np.abs(design @ fit - seen.reshape(-1, 3)).max())
    gains, shift = fit[:3], fit[3]
    order = [int(channel) for channel in np.abs(gains).argmax(axis=0)]
    gain = gains[order, range(3)]
    if error > max(TOLERANCE, float(np.ptp(seen)) / STEPS) or order not in ([0, 1, 2], [2, 1, 0]) or np.any(gain == 0):
        raise InputError(f"{path}: what happens before {facts.port} isn't a mean and a scale; {DESCRIBE}")
    colour: Literal["RGB", "BGR"] = "RGB" if order == [0, 1, 2] else "BGR"
    return Normalisation(colour, _channels(-shift / gain), _channels(1 / gain))


def _channels(values: np.ndarray) -> Channels:
    first, second, third = (round(float(value), 4) for value in values)
    return first, second, third


def _meaning(
    path: Path, facts: Findings, size: Size, normalisation: Normalisation | None, notes: list[str]
) -> tuple[Meaning, tuple[str, ...], int]:
    """What the answers mean, which they are, and the person's class."""
    if not facts.answers:
        raise InputError(f"{path}: its input leads to no answer")
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    given = pixels if normalisation is None else normalisation.apply(pixels)
    tensors = facts.run(size, facts.answers)(given)
    shapes = [tensor.shape for tensor in tensors]
    classes = _classes(facts.scores(size), size)
    if classes is None and len(tensors) == 1:
        whole = not np.issubdtype(tensors[0].dtype, np.floating)
        classes = _classes(shapes[0], size)
        if whole and classes == 1:
            notes.append("its answer is class numbers; 1 was taken for the person")
            return "person", facts.answers, 1
    if classes is not None:
        return "person", facts.answers[:1], _person(path, classes)
    found = ", ".join(str(shape) for shape in shapes)
    notes.append(f"its answer is no map of classes ({found}); its tensors are compared as they are")
    return "tensors", facts.answers, 0


def _classes(shape: Shape, size: Size) -> int | None:
    """How many classes a map of that shape has, channels first or last; None where it is no map at picture scale."""
    if len(shape) not in (3, 4):
        return None
    sides = shape[1:] if len(shape) == 4 else (*shape[1:], 1)
    channels, places = (sides[0], sides[1:]) if sides[0] < sides[2] else (sides[2], sides[:2])
    close = all(side * COARSEST >= wanted for side, wanted in zip(places, size, strict=True))
    return channels if close and channels <= MOST_CLASSES else None


def _person(path: Path, classes: int) -> int:
    if classes not in PERSONS:
        raise InputError(f"{path}: which of its {classes} classes is the person? Say so in a model.toml")
    return PERSONS[classes]
