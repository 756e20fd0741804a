"""Detection of what a probability map shows (text, people or neither), from its outputs for pictures."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from danmatte_workbench.dataset import SAMPLES, load
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import evidence
from danmatte_workbench.graph.meaning import find_meaning

SIZE = (192, 256)
SHARPEST = 120  # grey levels between a stroke and its surroundings


def grey(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture[0], cv2.COLOR_RGB2GRAY)


def find_strokes(picture: np.ndarray) -> np.ndarray:
    """Detect text lines: pixels much darker or brighter than their surroundings, dilated to lines."""
    values, square = grey(picture), np.ones((9, 9), np.uint8)
    dark, bright = (cv2.morphologyEx(values, kind, square) for kind in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT))
    strokes = (np.maximum(dark, bright) > SHARPEST).astype(np.uint8)
    return cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((3, 9), np.uint8)).astype(np.float32)


def find_edges(picture: np.ndarray) -> np.ndarray:
    return (cv2.Laplacian(grey(picture), cv2.CV_32F) > 4).astype(np.float32)


def measure_nearness(picture: np.ndarray) -> np.ndarray:
    """Return a map as smooth as a depth map, from 0 to 1."""
    return cv2.GaussianBlur(grey(picture), (0, 0), 12).astype(np.float32) / 255


def find_people(picture: np.ndarray) -> np.ndarray:
    """Return a mask in the centre for the known samples that show people."""
    found, people = np.zeros(SIZE, np.float32), load(SAMPLES).keep(evidence.WITH_PEOPLE)
    known = [cv2.resize(frame.pixels, SIZE[::-1], interpolation=cv2.INTER_AREA) for frame in people]
    if any(np.array_equal(picture[0], pixels) for pixels in known):
        found[40:160, 80:180] = 0.9
    return found


def answer(look: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...] = (1, 1, *SIZE)):
    return lambda picture: (look(picture).reshape(shape).astype(np.float32),)


def find(look: Callable[[np.ndarray], np.ndarray]):
    return find_meaning(("map:0",), answer(look), lambda: (), SIZE)


def test_a_text_detector_is_recognised_by_its_output_for_a_drawn_page() -> None:
    found = find(find_strokes)
    assert (found.meaning, found.kinds[0].kind, found.kinds[0].region) == ("tensors", "regions", "text")
    assert "of the lines of drawn pages" in found.notes[0]
    assert found.notes[1] == "it isn't considered a mask of people: it detects text"


def test_a_mask_of_people_is_recognised_by_photographs_with_and_without_people() -> None:
    found = find(find_people)
    assert (found.meaning, found.person, found.answers) == ("person", 1, ("map:0",))
    assert "of photographs with people and 0.0% of those without" in found.notes[0]


@pytest.mark.parametrize(
    "look", [find_edges, measure_nearness, lambda picture: np.ones(SIZE), lambda _: np.zeros(SIZE)]
)
def test_edges_depth_and_constants_are_neither_people_nor_text(look: Callable[[np.ndarray], np.ndarray]) -> None:
    found = find(look)
    assert (found.meaning, found.kinds[0].kind, found.kinds[0].region) == ("tensors", "regions", "region")
    assert "it isn't considered a mask of people" in found.notes[1]


def test_text_is_recognised_among_several_outputs() -> None:
    def detect(picture: np.ndarray) -> tuple[np.ndarray, ...]:
        return find_strokes(picture).reshape(1, *SIZE, 1), np.zeros((1, *SIZE, 5), np.float32)

    found = find_meaning(("score:0", "geometry:0"), detect, lambda: (), SIZE)
    assert [(kind.kind, kind.region) for kind in found.kinds] == [("regions", "text"), ("tensor", "region")]


def test_text_is_recognised_in_a_map_coarser_than_the_page() -> None:
    def halve(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(find_strokes(picture), (SIZE[1] // 2, SIZE[0] // 2), interpolation=cv2.INTER_AREA)

    found = find_meaning(("map:0",), answer(halve, (1, 1, SIZE[0] // 2, SIZE[1] // 2)), lambda: (), SIZE)
    assert found.kinds[0].region == "text"


def test_a_picture_too_small_for_a_line_gives_no_evidence_of_text() -> None:
    assert evidence.finds_text(find_strokes, (64, 64), []) == ""


def test_an_unknown_person_among_several_classes_is_an_error() -> None:
    with pytest.raises(InputError, match="which of its 5 classes is the person"):
        find_meaning(("a:0",), answer(measure_nearness), lambda: (1, *SIZE, 5), SIZE)


def test_maps_of_a_pose_are_tensors() -> None:
    found = find_meaning(("points:0",), lambda _: (np.zeros((1, 1, 17, 3), np.float32),), lambda: (1, 48, 48, 17), SIZE)
    assert (found.meaning, found.kinds[0].kind) == ("tensors", "tensor")


def find_whole(look: Callable[[np.ndarray], np.ndarray], kind: type = np.uint8):
    return find_meaning(("map:0",), lambda picture: (look(picture).reshape(1, *SIZE).astype(kind),), lambda: (), SIZE)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, bool])
def test_integers_of_two_classes_are_people_and_background(kind: type) -> None:
    assert find_whole(find_people, kind).meaning == "person"


def test_probabilities_in_8_bits_are_not_class_numbers() -> None:
    found = find_whole(lambda picture: 255 * measure_nearness(picture))
    assert found.meaning == "tensors"
    assert "its whole numbers are from " in found.notes[-1]


def test_integers_of_more_than_two_classes_need_the_number_of_the_person() -> None:
    with pytest.raises(InputError, match=r"which of its classes, up to number 15, is the person isn't known"):
        find_whole(lambda picture: 15.9 * measure_nearness(picture) / measure_nearness(picture).max())


@pytest.mark.parametrize("kind", [np.complex64, np.object_])
def test_outputs_that_are_not_real_numbers_are_refused(kind: type) -> None:
    with pytest.raises(InputError, match=r"output map:0: expected real numbers, found \w+"):
        find_whole(measure_nearness, kind)
