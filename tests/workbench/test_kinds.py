"""The kind of an output, detected from its values or given by the user."""

import numpy as np
import pytest

from danmatte_workbench import source as sources
from danmatte_workbench.errors import InputError
from danmatte_workbench.kinds import OutputKind, find_kinds, find_selection, override_kinds
from tests.workbench import tiny

RNG = np.random.default_rng(0)
SIZE = (64, 64)
CORNERS = RNG.uniform(0, 0.5, (1, 30, 2))
BOXES = np.concatenate([CORNERS, CORNERS + 0.3], axis=2).astype(np.float32)
LOGITS = RNG.normal(0, 3, (1, 10)).astype(np.float32)
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum()


@pytest.mark.parametrize(
    ("tensors", "kinds"),
    [
        ((np.array([[3.5]], np.float32),), ["regression"]),
        ((np.float32(3.5),), ["regression"]),
        ((SOFTMAX,), ["scores"]),
        ((LOGITS,), ["scores"]),
        ((RNG.normal(0, 1, (1, 512)).astype(np.float32),), ["embedding"]),
        ((LOGITS / np.linalg.norm(LOGITS),), ["embedding"]),
        ((np.ones((1, 2), np.float32),), ["tensor"]),
        ((np.array([[0.25, 0.75]], np.float32),), ["scores"]),
        ((RNG.uniform(0, 1, (1, 1, 64, 64)).astype(np.float32),), ["regions"]),
        ((RNG.uniform(0, 1, (1, 64, 64)).astype(np.float32),), ["regions"]),
        ((RNG.uniform(0, 9, (1, 64, 64, 1)).astype(np.float32),), ["tensor"]),
        ((RNG.uniform(0, 1, (1, 64, 64, 17)).astype(np.float32),), ["tensor"]),
        ((RNG.uniform(0, 1, (1, 1, 17, 3)).astype(np.float32),), ["tensor"]),
        ((np.ones((1, 64, 64), np.int64),), ["tensor"]),
        ((BOXES, RNG.uniform(0, 1, (1, 30)).astype(np.float32), np.float32(30)), ["boxes"] * 3),
        ((np.concatenate([100 * BOXES, BOXES[..., :2]], axis=2),), ["boxes"]),
        ((RNG.normal(0, 9, (1, 30, 4)).astype(np.float32),), ["tensor"]),
    ],
)
def test_the_kind_of_an_output_is_detected_from_its_values(tensors: tuple[np.ndarray, ...], kinds: list[str]) -> None:
    found = find_kinds([tuple(map(np.asarray, tensors))] * 2, SIZE)
    assert [each.kind for each in found] == kinds
    assert all(each.reason for each in found)


def find_boxes(count: int) -> tuple[np.ndarray, ...]:
    """Return that many boxes, classes and scores, in the form of torchvision's detectors."""
    corners = RNG.uniform(0, 40, (count, 2))
    boxes = np.concatenate([corners, corners + 9], axis=1).astype(np.float32)
    return boxes, RNG.integers(1, 9, count), RNG.uniform(0.05, 1, count).astype(np.float32)


@pytest.mark.parametrize("counts", [(3, 5, 2), (0, 4, 0), (1, 2, 1), (0, 1, 3)])
def test_boxes_are_detected_if_their_number_varies_between_pictures(counts: tuple[int, ...]) -> None:
    assert [each.kind for each in find_kinds([find_boxes(count) for count in counts], SIZE)] == ["boxes"] * 3


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ([(0, 4)] * 3, "empty for every picture"),
        ([(1, 0, 85)] * 3, "empty for every picture"),
        ([(3,), (7,), (0,)], "a row of numbers whose length differs"),
        ([(1,), (0,)], "a row of numbers whose length differs"),
        ([(2, 1, 28, 28), (0, 1, 28, 28), (5, 1, 28, 28)], "several maps"),
        ([(1, 3, 85), (1, 0, 85)], "too coarse for a map"),
    ],
)
def test_other_outputs_of_varying_shape_are_tensors(shapes: list[tuple[int, ...]], reason: str) -> None:
    (found,) = find_kinds([(RNG.uniform(0, 1, shape).astype(np.float32),) for shape in shapes], SIZE)
    assert found.kind == "tensor"
    assert reason in found.reason


def test_the_corner_order_and_unit_of_boxes_are_detected() -> None:
    shares, pixels = (find_kinds([(boxes,)], SIZE)[0] for boxes in (BOXES, 100 * BOXES))
    assert (shares.corners, shares.shares, pixels.corners, pixels.shares) == ("yxyx", True, "xyxy", False)


def test_kinds_given_by_the_user_override_detected_ones() -> None:
    found = (OutputKind("tensor", "found"), OutputKind("scores", "found"))
    overridden = override_kinds(found, ("a:0", "b:0"), ("a=regions:text",))
    assert [(each.kind, each.region, each.reason) for each in overridden] == [
        ("regions", "text", "given by the user"),
        ("scores", "region", "found"),
    ]
    assert [each.kind for each in override_kinds(found, ("a:0", "b:0"), ("embedding",))] == ["embedding"] * 2
    with pytest.raises(InputError, match="unknown output 'c'"):
        override_kinds(found, ("a:0", "b:0"), ("c=scores",))


def test_kinds_can_be_given_in_model_toml(tmp_path) -> None:
    described = tiny.description(tiny.PLAIN)
    (tmp_path / tiny.GRAPH).write_bytes(tiny.frozen(tiny.PLAIN))
    described["output"] = {"tensor": "out:0", "meaning": "regions:text"}
    (tmp_path / "model.toml").write_text(tiny.toml(described))
    found = sources.read(tmp_path / "model.toml")
    assert (found.meaning, found.fetches, found.kinds[0].region) == ("tensors", ("out:0",), "text")
    for wrong, says in (
        ({"tensor": "out:0"}, r"\[output\] lacks node, or meaning"),
        ({"tensor": "out:0", "meaning": "maps"}, r"\[output\] meaning: unknown 'maps'"),
    ):
        (tmp_path / "model.toml").write_text(tiny.toml(described | {"output": wrong}))
        with pytest.raises(InputError, match=says):
            sources.read(tmp_path / "model.toml")


def select(*rows: tuple[int, int, int]) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, 3)


def test_outputs_of_non_maximum_suppression_are_boxes() -> None:
    scores = RNG.uniform(0, 1, (1, 2, 30)).astype(np.float32)
    answers = [(select((0, 0, 3), (0, 1, 7)), BOXES, scores), (select((0, 1, 29)), BOXES, scores)]
    assert [each.kind for each in find_kinds(answers, SIZE)] == ["boxes"] * 3
    assert find_selection(answers) == (0, 1)


def test_a_selection_without_boxes_is_detected_by_its_varying_length() -> None:
    assert find_selection([(select((0, 0, 3)),), (select((0, 0, 3), (0, 1, 7)),)]) == (0, None)
    assert find_selection([(select((0, 0, 3)),), (select((0, 0, 4)),)]) is None


@pytest.mark.parametrize(
    "table",
    [
        select((1, 0, 3)),  # of a second picture
        select((0, 0, 3), (0, 0, 3)),  # twice the same
        select((0, 0, -1)),
        select((0, 0, 30)),  # there are 30 boxes, from 0 to 29
        np.zeros((1, 4), np.int64),
        np.zeros((1, 3), np.float32),
        select(),
    ],
)
def test_other_tables_of_integers_are_not_selections(table: np.ndarray) -> None:
    assert find_selection([(table, BOXES)] * 2) is None


def test_rows_of_numbers_that_sum_to_one_are_scores() -> None:
    rows = np.concatenate([np.roll(SOFTMAX, number) for number in range(5)])[None]
    (found,) = find_kinds([(rows,)] * 2, SIZE)
    assert (found.kind, found.reason) == ("scores", "5 rows of 10 numbers that sum to 1, such as a line's characters")
