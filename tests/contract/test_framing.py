"""The mapping of frames to the graph's input and of its output to masks: exact up to the borders."""

import numpy as np
import pytest
import tensorflow as tf

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid

GREEN = (10, 200, 30)


def ramp(height: int, width: int) -> np.ndarray:
    """Return a picture whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)


# Frames in


def test_a_stretched_frame_fills_the_input() -> None:
    framing = Framing((50, 70))
    assert framing.scale_size((100, 300)) == (50, 70)
    assert framing.fit_exactly(np.full((100, 300, 3), 9, np.uint8)).tolist() == np.full((1, 50, 70, 3), 9).tolist()


@pytest.mark.parametrize(
    ("frame", "inner"),
    [((100, 300), (22, 65)), ((300, 100), (65, 22)), ((65, 65), (65, 65)), ((1, 1000), (1, 65)), ((2, 3), (43, 65))],
)
def test_a_letterboxed_frame_keeps_its_aspect_ratio(frame: tuple[int, int], inner: tuple[int, int]) -> None:
    assert Framing((65, 65), "letterbox").scale_size(frame) == inner


def test_a_letterboxed_frame_lies_top_left_and_the_rest_is_filled() -> None:
    given = Framing((40, 40), "letterbox", GREEN).fit_exactly(np.full((20, 40, 3), 9, np.uint8))
    assert (given[0, :20] == 9).all()
    assert (given[0, 20:] == GREEN).all()


def test_a_frame_of_the_inputs_size_is_not_changed() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (33, 33, 3), dtype=np.uint8)
    for rule in ("stretch", "letterbox"):
        assert np.array_equal(Framing((33, 33), rule).fit_exactly(frame)[0], frame)


@pytest.mark.parametrize("size", [(30, 60), (60, 240), (240, 480), (240, 60), (120, 400)])
def test_resizing_maps_positions_of_pixel_centres(size: tuple[int, int]) -> None:
    """A ramp stays a ramp: position x of the frame maps to (x + 0.5)·n/w − 0.5 on both axes, enlarged or reduced."""
    height, width = 120, 240
    given = Framing(size).fit_exactly(ramp(height, width))[0]
    rows, columns = np.mgrid[: size[0], : size[1]]
    expected_x = np.clip((columns + 0.5) * width / size[1] - 0.5, 0, width - 1)
    expected_y = np.clip((rows + 0.5) * height / size[0] - 0.5, 0, height - 1)
    assert np.abs(given[..., 0] - expected_x).max() <= 1
    assert np.abs(given[..., 1] - expected_y).max() <= 1


# Masks out


def enlarged(values: np.ndarray, size: tuple[int, int], **options: bool) -> np.ndarray:
    """Return (h, w) values resized by TensorFlow."""
    return tf.compat.v1.image.resize_bilinear(values[None, ..., None], size, **options).numpy()[0, ..., 0]


@pytest.mark.parametrize(
    ("place", "options"),
    [
        (Grid.align_corners, {"align_corners": True}),
        (Grid.half_pixel, {"half_pixel_centers": True}),
        (Grid.asymmetric, {}),
    ],
)
@pytest.mark.parametrize(("inputs", "outputs"), [((65, 65), (33, 33)), ((97, 161), (7, 11)), ((513, 513), (33, 33))])
def test_a_grid_enlarges_as_tensorflow_does(place, options, inputs, outputs) -> None:
    values = np.random.default_rng(0).random(outputs, dtype=np.float32)
    mask = Framing(inputs).compute_mask(values, place(inputs, outputs), inputs, inputs)
    assert np.abs(mask - enlarged(values, inputs, **options)).max() < 1e-4


def test_a_single_output_value_fills_the_whole_mask() -> None:
    mask = Framing((65, 65)).compute_mask(
        np.full((1, 1), 0.3, np.float32), Grid.align_corners((65, 65), (1, 1)), (9, 9), (5, 5)
    )
    assert mask == pytest.approx(np.full((9, 9), 0.3))


def linear_mask(framing: Framing, grid: Grid, shape: tuple[int, int], size: tuple[int, int], frame: tuple[int, int]):
    """Return the mask of values that are their x position in the input, and the mask that the contract defines."""
    columns = grid.offset_x + grid.step_x * np.arange(shape[1], dtype=np.float32)
    values = np.broadcast_to(columns, shape).astype(np.float32)
    inner = framing.scale_size(frame)
    places = (np.arange(size[1]) + 0.5) * inner[1] / size[1] - 0.5
    return framing.compute_mask(values, grid, size, frame), np.clip(places, columns[0], columns[-1])


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
@pytest.mark.parametrize("frame", [(180, 320), (320, 180), (65, 65), (20, 30)])
@pytest.mark.parametrize("size", [(90, 160), (513, 513), (7, 5)])
def test_mask_pixels_are_sampled_at_their_positions_in_the_input(rule: str, frame, size) -> None:
    for place in (Grid.align_corners, Grid.half_pixel):
        grid = place((65, 65), (17, 17))
        mask, expected = linear_mask(Framing((65, 65), rule), grid, (17, 17), size, frame)
        assert np.abs(mask - expected).max() < 65 * 1e-4


def test_a_letterboxed_mask_excludes_the_filled_area() -> None:
    values = np.zeros((65, 65), np.float32)
    values[40:] = 1  # a 2:1 frame ends at row 33
    framing = Framing((65, 65), "letterbox")
    assert framing.compute_mask(values, Grid(1, 1, 0, 0), (100, 200), (100, 200)).max() == 0


@pytest.mark.parametrize("size", [(65, 65), (33, 20), (200, 150), (7, 300)])
def test_a_hard_mask_is_where_the_soft_one_is_over_the_threshold(size: tuple[int, int]) -> None:
    values = np.random.default_rng(4).random((17, 23), np.float32)
    framing, grid = Framing((65, 89)), Grid.align_corners((65, 89), (17, 23))
    soft = framing.compute_mask(values, grid, size, size)
    hard = framing.compute_hard_mask(values, grid, size, size, 0.4)
    assert hard.dtype == np.bool_
    assert np.array_equal(hard, soft > 0.4)
