"""Detection of what a graph expects and returns, if it has no ``model.toml``."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from danmatte_workbench.artifact import Format, detect_format, resolve_graph_path
from danmatte_workbench.cache import find_cache_folder
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import conversion, opening
from danmatte_workbench.graph.anatomy import Anatomy
from danmatte_workbench.graph.meaning import find_meaning
from danmatte_workbench.normalisation import Channels, Normalisation
from danmatte_workbench.reading import PLAIN, ReadOptions
from danmatte_workbench.source import Source

DEFAULT_SIDE = 513
DEFAULT_SIZE = (DEFAULT_SIDE, DEFAULT_SIDE)
OFFICIAL = "SemanticPredictions"  # the output of DeepLab's own exports, which may be followed by a copy
TOLERANCE, STEPS = 1e-3, 255  # an 8-bit graph may differ by one of its quantization steps
# Defaults for float inputs without normalisation: PyTorch's statistics of ImageNet, or TensorFlow's −1 to 1.
IMAGENET = Normalisation("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
SIGNED = Normalisation("RGB", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
DESCRIBE = "describe it in a model.toml"
RunAll: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, ...]]
Shape: TypeAlias = tuple[int, ...]
Size: TypeAlias = tuple[int, int]  # height, width


@dataclass(frozen=True)
class GraphFacts:
    """Facts about a graph, read by one of the libraries.

    picture: the input. floats, channels_first: its type and layout. encoded: whether it takes JPEG strings.
    fixed: its (height, width), or None if it isn't fixed.
    port: the first convolution's input port; None without one. identical: whether it receives the unchanged picture.
    decision: the choice among classes at which a cut may end. answers: the graph's outputs.
    before: for a size, a function from pictures to the values at ``port``.
    run: for a size, a function from pictures to tensors. scores: for a size, the shape of the scores that the graph
        decides by; empty without a decision.
    """

    picture: str
    floats: bool
    encoded: bool
    channels_first: bool
    fixed: tuple[int, int] | None
    port: str | None
    identical: bool
    decision: str | None
    answers: tuple[str, ...]
    before: Callable[[Size], RunAll]
    run: Callable[[Size, tuple[str, ...]], RunAll]
    scores: Callable[[Size], Shape]


def inspect(path: Path, size: Size | None = None, options: ReadOptions = PLAIN) -> Source:
    """Describe the graph at ``path``, of any format that `artifact.detect_format` knows.

    The cut is derived from its structure. The normalisation before the cut is measured with random pictures. The person
    is taken to be class 1 of 2, and 15 of 21 as in PASCAL VOC. A graph whose output isn't a class map at picture scale
    is kept whole, and its tensors are compared as they are.

    size: (height, width), for graphs that take any size.
    options: options for reading the file; a graph that was read with any is stored in the user's cache.

    Assumptions are listed in the source's notes. Raises InputError if something can't be determined.
    """
    original = resolve_graph_path(path)
    kind, digest = detect_format(original), options.compute_digest(original)
    path = opening.prepare(original, options, find_cache_folder() / "graphs" / digest)
    kind = kind if path == original else detect_format(path)
    try:
        source = _describe(path, kind, size)
    except InputError as error:
        raise InputError(str(error).replace(str(path), str(original))) from error
    name = re.sub(r"[^a-z0-9_-]+|^[_-]+", "", original.stem.lower())[:64] or "model"
    return replace(source, name=name, digest=digest)


def _describe(path: Path, kind: Format, size: Size | None) -> Source:
    facts = _read_facts(path, kind, size)
    if facts.encoded:
        raise InputError(
            f"{path}: its input {facts.picture} takes encoded pictures; cut it after the decoder, with "
            "`workbench convert --input auto`, and optimize the IR"
        )
    notes: list[str] = []
    if facts.fixed:
        size = facts.fixed
    else:
        size, note = conversion.choose_size(path, size, DEFAULT_SIZE)
        notes += [note] if note else []
    port, normalisation = _find_entry(facts, size, notes)
    given = normalisation if port == facts.picture else None
    if not facts.answers:
        raise InputError(f"{path}: no output depends on its input")
    run = facts.run(size, facts.answers)

    def answer(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(np.array(one) for one in run(pixels if given is None else given.apply(pixels)))

    with conversion.name_graph(path):
        found = find_meaning(facts.answers, answer, lambda: facts.scores(size), size)
    return Source(
        name="model",
        path=path,
        digest="",
        licence="LicenseRef-unknown",
        picture=facts.picture,
        port=port,
        size=size,
        colour=normalisation.colour,
        mean=normalisation.mean,
        scale=normalisation.scale,
        answer=found.answers[0],
        node=(facts.decision or found.answers[0]) if found.meaning == "person" else found.answers[0],
        person=found.person,
        rule="stretch",
        fill=(127, 127, 127),
        format=kind,
        meaning=found.meaning,
        answers=found.answers if found.meaning == "tensors" else (),
        kinds=found.kinds,
        notes=(*notes, *found.notes),
    )


@dataclass(frozen=True)
class CutPlaces:
    """The places at which a graph is cut, from its structure alone.

    port: the first convolution's input, or else the picture.
    node: the decision, or else the only output; None for several outputs.
    size: the graph's own (height, width), or the default.
    """

    port: str
    node: str | None
    answers: tuple[str, ...]
    size: Size


def find_cut(path: Path) -> CutPlaces:
    """Return where the graph at ``path`` would be cut. Raises InputError if it doesn't take one picture."""
    facts = _read_facts(path, detect_format(path), None)
    node = facts.decision or (facts.answers[0] if len(facts.answers) == 1 else None)
    if facts.encoded and facts.port:
        from danmatte_workbench.runtimes import tensorflow

        size = tensorflow.read_picture_size(path, facts.port) or DEFAULT_SIZE
    else:
        size = facts.fixed or conversion.choose_size(path, None, DEFAULT_SIZE)[0]
    return CutPlaces(facts.port or facts.picture, node, facts.answers, size)


def _read_facts(path: Path, kind: Format, size: Size | None) -> GraphFacts:
    if kind in ("frozen", "savedmodel", "keras"):
        return _read_tensorflow_facts(path)
    return _read_openvino_facts(path, kind, size)


def _find_picture(path: Path, anatomy: Anatomy) -> str:
    """Return the name of the graph's only input. Raises InputError if there are none or several."""
    # Keras creates placeholders for control flow that no node reads.
    read = anatomy.index_readers()
    pictures = [node for node in anatomy.find_kinds({"Placeholder"}) if read.get(node.name)]
    if len(pictures) != 1:
        names = [node.name for node in pictures]
        hint = "; make the other inputs constants: --freeze NAME=VALUE" if names else ""
        raise InputError(
            f"{path}: expected one input, a picture, found {len(names)}: {', '.join(names) or 'none'}{hint}"
        )
    return pictures[0].name


def _read_tensorflow_facts(path: Path) -> GraphFacts:
    from danmatte_workbench.runtimes import tensorflow

    anatomy = Anatomy.from_tensorflow(path)
    name = _find_picture(path, anatomy)
    port, decision = anatomy.find_first_convolution(name), anatomy.find_decision()
    shape = tensorflow.read_static_shape(path, name)
    if shape and (len(shape) != 4 or shape[0] > 1):
        raise InputError(f"{path}: expected one picture at a time, [1,H,W,3], as input, found {list(shape)}")
    channels_first = len(shape) == 4 and shape[1] == 3 != shape[3]
    sides = shape[2:4] if channels_first else shape[1:3]
    # The ends that depend on the picture or, if there is a decision, on the decision.
    reachable = anatomy.find_reachable(decision or name)
    ends = [end for end in anatomy.find_ends() if end in reachable]
    if decision and OFFICIAL in reachable:
        ends = [OFFICIAL]

    def run(size: Size, answers: tuple[str, ...]) -> RunAll:
        return tensorflow.make_runner_of_all(path, feed=f"{name}:0", fetches=answers)

    def run_before(size: Size) -> RunAll:
        return run(size, (tensorflow.find_feeding_tensor(path, str(port)),))

    def compute_scores_shape(size: Size) -> Shape:
        if decision is None:
            return ()
        scores = tensorflow.find_feeding_tensor(path, f"0:{decision}")
        return run(size, (scores,))(np.zeros((1, *size, 3), np.uint8))[0].shape

    return GraphFacts(
        picture=f"{name}:0",
        floats=tensorflow.takes_floats(path, name),
        encoded=tensorflow.takes_strings(path, name),
        channels_first=channels_first,
        fixed=(sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else None,
        port=port,
        identical=port is not None and anatomy.find_feeder(port) == name,
        decision=decision,
        answers=tuple(f"{end}:0" for end in ends),
        before=run_before,
        run=run,
        scores=compute_scores_shape,
    )


def _read_openvino_facts(path: Path, kind: Format, size: Size | None) -> GraphFacts:
    sketch = conversion.sketch(path, DEFAULT_SIDE, size)
    anatomy = sketch.anatomy
    name = anatomy.find_kinds({"Parameter"})[0].name
    port = anatomy.find_first_convolution(name)

    def run(size: Size, answers: tuple[str, ...]) -> RunAll:
        if kind == "tflite":  # TFLite's own interpreter, because OpenVINO rounds differently in 8-bit graphs
            from danmatte_workbench.runtimes import tflite

            return tflite.make_runner(path, size=size, fetches=answers, threads=1)
        from danmatte_workbench.configuration import configure

        return conversion.make_source_runner(path, configure(), shape=(1, *size, 3), answers=answers)

    return GraphFacts(
        picture=sketch.picture,
        floats=sketch.floats,
        encoded=False,
        channels_first=sketch.channels_first,
        fixed=sketch.fixed,
        port=port,
        identical=port is not None and anatomy.find_feeder(port) == name,
        decision=None,
        answers=sketch.answers,
        before=lambda size: conversion.make_feeding_runner(path, str(port), (1, *size, 3)),
        run=run,
        scores=lambda size: sketch.scores,
    )


def _find_entry(facts: GraphFacts, size: Size, notes: list[str]) -> tuple[str, Normalisation]:
    """Return the place where the network begins, and the normalisation that it expects there."""
    plain = Normalisation("RGB", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    if facts.port is None:
        if facts.floats:
            notes.append("its input is given unchanged pixels, from 0 to 255")
        return facts.picture, plain
    if facts.identical and facts.floats:
        assumed = IMAGENET if facts.channels_first else SIGNED
        notes.append(
            f"its input takes floats, and the graph contains no normalisation: (pixel − {list(assumed.mean)}) / "
            f"{list(assumed.scale)}, RGB, was assumed; if that is wrong, {DESCRIBE}"
        )
        return facts.picture, assumed
    measured = _measure_normalisation(facts, size)
    if isinstance(measured, str):
        notes.append(f"{measured}, so it isn't cut there and gets unchanged pixels; if that is wrong, {DESCRIBE}")
        return facts.picture, plain
    if facts.floats and max(abs(value) for value in measured.scale) <= 2:
        subtracted = f", of which it subtracts {measured.mean}" if any(measured.mean) else ""
        notes.append(f"its input takes floats from 0 to 1{subtracted}")
        return facts.picture, Normalisation("RGB", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    return facts.port, measured


def _measure_normalisation(facts: GraphFacts, size: Size) -> Normalisation | str:
    """Fit mean, scale and colour order of the part before the cut; return the reason, in words, if they don't fit.

    The input is noise, because every channel has to vary independently for the least-squares fit.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    (seen,) = facts.before(size)(pixels)
    if seen.shape != pixels.shape:
        return f"at {facts.port}, a picture of {pixels.shape} has the shape {seen.shape}"
    given = pixels.reshape(-1, 3).astype(np.float64)
    design = np.column_stack([given, np.ones(len(given))])
    fit, *_ = np.linalg.lstsq(design, seen.reshape(-1, 3).astype(np.float64), rcond=None)
    error = float(np.abs(design @ fit - seen.reshape(-1, 3)).max())
    gains, shift = fit[:3], fit[3]
    order = [int(channel) for channel in np.abs(gains).argmax(axis=0)]
    gain = gains[order, range(3)]
    if error > max(TOLERANCE, float(np.ptp(seen)) / STEPS) or order not in ([0, 1, 2], [2, 1, 0]) or np.any(gain == 0):
        return f"the preprocessing before {facts.port} isn't a mean and a scale"
    colour: Literal["RGB", "BGR"] = "RGB" if order == [0, 1, 2] else "BGR"
    return Normalisation(colour, _round_channels(-shift / gain), _round_channels(1 / gain))


def _round_channels(values: np.ndarray) -> Channels:
    first, second, third = (round(float(value), 4) + 0.0 for value in values)  # no -0.0
    return first, second, third
