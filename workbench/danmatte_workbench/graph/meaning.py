"""Detection of what a graph's outputs mean (people, text or others), from its outputs for pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import evidence
from danmatte_workbench.kinds import OutputKind, find_kinds
from danmatte_workbench.source import Meaning

LOOKED_AT, NEAR = 3, 0.05  # number of photographs whose outputs are examined; tolerance of probabilities
TOLERANCE = 1e-3
COARSEST = 40  # maximum number of input pixels per place of a class map
PERSONS = {1: 1, 2: 1, 21: 15}  # class of the person by number of channels; 21 are PASCAL VOC's
MAX_CLASSES = 256
STRETCHED = 2.0  # maximum ratio between the strides of a map's two sides
Answer: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, ...]]
Shape: TypeAlias = tuple[int, ...]
Size: TypeAlias = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Finding:
    """The detected meaning of a graph's outputs.

    answers: names of the outputs with this meaning.
    person: the person's class.
    kinds: kinds of outputs that are no masks of people.
    notes: the reasons, in words.
    """

    meaning: Meaning
    answers: tuple[str, ...]
    person: int
    kinds: tuple[OutputKind, ...]
    notes: tuple[str, ...]


def find_meaning(names: tuple[str, ...], answer: Answer, get_scores: Callable[[], Shape], size: Size) -> Finding:
    """Detect the meaning from the outputs for noise, photographs and drawn text of ``size`` (height, width).

    names: the outputs' names.
    answer: a function from (1, H, W, 3) uint8 pictures to all outputs.
    get_scores: returns the shape of the scores that the graph decides by; empty without a decision.

    Raises InputError if the class of the person isn't known.
    """
    tensors = answer(np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8))
    for name, tensor in zip(names, tensors, strict=True):
        if tensor.dtype.kind not in "biuf":
            raise InputError(f"output {name}: expected real numbers, found {tensor.dtype}")
    # A choice among classes deep inside a network, such as that of a pose, isn't a class map of the picture.
    is_map = any(count_classes(tensor.shape, size) for tensor in tensors)
    classes = count_classes(get_scores(), size) if is_map else None
    if classes is not None and classes not in PERSONS:
        raise InputError(f"which of its {classes} classes is the person isn't known; state it in a model.toml")
    refusal = seen = ""
    if classes is None and len(tensors) == 1:
        whole = tensors[0].dtype.kind != "f"
        classes = count_classes(tensors[0].shape, size)
        if whole and classes == 1:
            refusal = _explain_no_class_numbers(tensors[0], answer, size)
            if not refusal:
                return Finding(
                    "person", names, 1, (), ("its output is class numbers, of which 1 was assumed to be the person",)
                )
        if classes and not whole:
            refusal = _explain_no_classes(tensors[0], classes, answer, size)
        if classes == 1 and not (whole or refusal):
            refusal, seen = _look_for_people(answer, size)
    if classes is None or refusal or classes not in PERSONS:
        answers = [tensors, *(answer(picture) for picture in _read_samples(size))]
        kinds = _name_regions(find_kinds(answers, size), answer, size)
        notes = [f"{name}: {kind}" for name, kind in zip(names, kinds, strict=True)]
        notes += [f"it isn't considered a mask of people: {refusal}"] if refusal else []
        return Finding("tensors", names, 0, kinds, tuple(notes))
    person = PERSONS[classes]
    what = (
        f"one map of probabilities{seen}"
        if classes == 1
        else f"class {person} of {classes} was assumed to be the person"
    )
    note = f"its output is considered a mask of people: {what}; if it is something else, use --meaning"
    return Finding("person", names[:1], person, (), (note,))


def _explain_no_class_numbers(tensor: np.ndarray, answer: Answer, size: Size) -> str:
    """Return why a map of whole numbers isn't people and background (e.g. 8-bit probabilities); empty if it may be.

    Raises InputError if it contains more than two classes.
    """
    maps = [tensor, *(answer(picture)[0] for picture in _read_samples(size))]
    low, high = (int(function([function(one) for one in maps])) for function in (np.min, np.max))
    if low < 0 or high > max(PERSONS):
        return f"its whole numbers are from {low} to {high}, so they aren't class numbers"
    if high > 1:
        raise InputError(
            f"which of its classes, up to number {high}, is the person isn't known; state it in a model.toml"
        )
    return ""


def _explain_no_classes(tensor: np.ndarray, classes: int, answer: Answer, size: Size) -> str:
    """Return why maps at picture scale aren't classes with people, such as depth or a pose; empty if they may be."""
    maps = [tensor, *(answer(picture)[0] for picture in _read_samples(size))]
    low, high = (float(function([function(one) for one in maps])) for function in (np.min, np.max))
    if classes == 1:
        return "" if low >= -TOLERANCE and high <= 1 + TOLERANCE else f"its numbers are from {low:.3g} to {high:.3g}"
    if classes not in PERSONS:
        return f"it has {classes} maps, and which of them is the person isn't known"
    if low < -NEAR or high > 1 + NEAR:
        return ""  # logits
    channels = 1 if tensor.shape[-1] != classes else tensor.ndim - 1
    sums = [one.sum(axis=channels) for one in maps]
    apart = max(float(np.abs(total - 1).max()) for total in sums)
    return (
        ""
        if apart < NEAR
        else f"its {classes} maps aren't exclusive classes: their sums differ from 1 by up to {apart:.2g}"
    )


def _look_for_people(answer: Answer, size: Size) -> tuple[str, str]:
    """Return why a single probability map doesn't show people, and the evidence if it does.

    Both are empty if the pictures are too small to tell.
    """
    if min(size) < evidence.SMALLEST:
        return "", ""
    names = (*evidence.WITH_PEOPLE, *evidence.WITHOUT_PEOPLE)
    photographs = dict(zip(names, _read_samples(size, names), strict=True))

    def look(picture: np.ndarray) -> np.ndarray:
        return _flatten(answer(picture)[0])

    if evidence.finds_text(look, size, [photographs[name] for name in evidence.WITHOUT_PEOPLE]):
        return "it detects text", ""
    covers, words = evidence.finds_people(look, photographs)
    return ("", f", and {words}") if covers else (words, "")


def _name_regions(kinds: tuple[OutputKind, ...], answer: Answer, size: Size) -> tuple[OutputKind, ...]:
    """Return the kinds; maps that detect text get the name and the reason."""
    named = list(kinds)
    for place, kind in enumerate(kinds):
        if kind.kind != "regions":
            continue
        reason = evidence.finds_text(
            lambda picture, place=place: _flatten(answer(picture)[place]),  # type: ignore[misc]
            size,
            _read_samples(size, evidence.WITHOUT_PEOPLE),
        )
        if reason:
            named[place] = replace(kind, region="text", reason=f"text: {reason}")
    return tuple(named)


def _flatten(values: np.ndarray) -> np.ndarray:
    """Return a single map as (h, w), without axes of size 1."""
    return values.reshape([side for side in values.shape if side != 1][-2:])


def _read_samples(size: Size, names: Sequence[str] = ()) -> list[np.ndarray]:
    """Return the workbench's sample photographs at this size, (1, H, W, 3) uint8 RGB: the named ones, or a few."""
    from danmatte_workbench.dataset import SAMPLES, load

    samples = load(SAMPLES)
    frames = {frame.name: frame for frame in (samples.keep(names) if names else samples.pick(LOOKED_AT))}
    pictures = [frames[name].pixels for name in names or frames]
    return [cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)[None] for pixels in pictures]


def count_classes(shape: Shape, size: Size) -> int | None:
    """Return the number of classes in a map of that shape, channels first or last; None if it is no class map.

    A class map has about the picture's scale, and nearly the same scale for both sides. The latter excludes, for
    example, the scores of a line's characters.
    """
    if len(shape) not in (3, 4) or not all(shape):  # a detector that found nothing returns no rows
        return None
    sides = shape[1:] if len(shape) == 4 else (*shape[1:], 1)
    channels, places = (sides[0], sides[1:]) if sides[0] < sides[2] else (sides[2], sides[:2])
    close = all(side * COARSEST >= wanted for side, wanted in zip(places, size, strict=True))
    strides = [wanted / side for side, wanted in zip(places, size, strict=True)]
    alike = max(strides) <= STRETCHED * min(strides)
    return channels if close and alike and channels <= MAX_CLASSES else None
