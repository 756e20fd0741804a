"""The positions of output values, by the three conventions of networks."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from danmatte.contract.grid import Grid

SIZES = some.tuples(some.integers(1, 2000), some.integers(1, 2000))


def find_last(grid: Grid, outputs: tuple[int, int]) -> tuple[float, float]:
    """Return the position of the last value, in input pixels."""
    return grid.offset_y + (outputs[0] - 1) * grid.step_y, grid.offset_x + (outputs[1] - 1) * grid.step_x


@given(SIZES, some.tuples(some.integers(2, 300), some.integers(2, 300)))
def test_aligned_corners_lie_on_corner_pixels(inputs: tuple[int, int], outputs: tuple[int, int]) -> None:
    grid = Grid.align_corners(inputs, outputs)
    assert (grid.offset_y, grid.offset_x) == (0, 0)
    assert find_last(grid, outputs) == pytest.approx((inputs[0] - 1, inputs[1] - 1))


@given(SIZES, SIZES)
def test_a_half_pixel_grid_is_symmetric_between_both_edges(inputs: tuple[int, int], outputs: tuple[int, int]) -> None:
    grid = Grid.half_pixel(inputs, outputs)
    last_y, last_x = find_last(grid, outputs)
    assert grid.offset_y + 0.5 == pytest.approx(inputs[0] - 0.5 - last_y)
    assert grid.offset_x + 0.5 == pytest.approx(inputs[1] - 0.5 - last_x)


@given(SIZES, SIZES)
def test_an_asymmetric_grid_starts_at_pixel_0_and_ends_a_step_before_the_edge(
    inputs: tuple[int, int], outputs: tuple[int, int]
) -> None:
    grid = Grid.asymmetric(inputs, outputs)
    last_y, last_x = find_last(grid, outputs)
    assert (grid.offset_y, grid.offset_x) == (0, 0)
    assert (last_y + grid.step_y, last_x + grid.step_x) == pytest.approx(inputs)


@given(SIZES)
def test_all_conventions_give_the_same_grid_for_outputs_of_the_inputs_size(size: tuple[int, int]) -> None:
    assert Grid.align_corners(size, size) == Grid.asymmetric(size, size) == Grid.half_pixel(size, size)


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ((513, 513), (33, 33), Grid.align_corners),
        ((512, 512), (32, 32), Grid.half_pixel),
        ((289, 513), (37, 65), Grid.align_corners),
        ((288, 513), (36, 65), Grid.half_pixel),
        ((65, 65), (1, 1), Grid.half_pixel),
    ],
)
def test_the_convention_of_a_grid_is_guessed_from_input_and_output_sizes(inputs, outputs, expected) -> None:
    assert Grid.guess(inputs, outputs) == expected(inputs, outputs)
