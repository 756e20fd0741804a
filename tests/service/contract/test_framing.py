"""Positions in frames, inputs and masks: exact up to the borders."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte.contract.framing import Framing, project, resize
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.frame import Frame, Pixels, Probabilities, Size
from tests.service.pictures import noise, rectangle
from tests.service.toy import Toy, manifest

SIZES = [
    (360, 640),
    (720, 1280),
    (1280, 720),
    (480, 640),
    (33, 1000),
    (1000, 33),
    (97, 161),
    (17, 16),
    (1, 1),
]


def read(toy: Toy) -> Manifest:
    """Return the toy's manifest."""
    return msgspec.convert(manifest(toy), Manifest)


def brightness(picture: Pixels, toy: Toy) -> Probabilities:
    """Return the output of the toy's graph."""
    cells = picture[0].reshape(toy.rows, toy.step, toy.columns, toy.step, 3)
    return (cells.mean((1, 3, 4)) / 255).astype(np.float32)


def whole(values: Probabilities, grid: Grid, scaled: Size, mask: Size) -> Probabilities:
    """Return the projection's bands as one array."""
    projected = np.full(mask, np.nan, np.float32)
    for rows, band in project(values, grid, scaled, mask):
        projected[rows] = band
    return projected


def mask_of(pixels: Pixels, toy: Toy, size: Size) -> Probabilities:
    """Return the mask of a frame, without an engine."""
    facts, frame = read(toy), Frame(pixels, Size(*pixels.shape[:2]))
    framing = Framing.of(facts)
    values = brightness(framing.fit(frame), toy)
    return framing.compute_mask(values, facts.regions.grid, size, frame.size)


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
@pytest.mark.parametrize("mask", [(180, 320), (360, 640), (90, 77)])
@pytest.mark.parametrize("frame", [(360, 640), (720, 1280), (1280, 720), (480, 640), (481, 853)])
def test_a_rectangle_keeps_its_position_from_frame_to_mask(
    rule: str, mask: tuple[int, int], frame: tuple[int, int]
) -> None:
    painted = mask_of(rectangle(*frame), Toy(height=288, width=512, rule=rule), Size(*mask)) >= 0.5
    rows, columns = np.flatnonzero(painted.any(1)), np.flatnonzero(painted.any(0))
    height, width = mask
    # Within a pixel of the mask, or of the graph's own grid where that is coarser.
    shrink = min(288 / frame[0], 512 / frame[1]) if rule == "letterbox" else None
    scaled = (frame[0] * shrink, frame[1] * shrink) if shrink else (288, 512)
    near_y, near_x = max(1, height / scaled[0] * 2), max(1, width / scaled[1] * 2)
    assert rows[0] == pytest.approx(height * 0.25, abs=near_y)
    assert rows[-1] + 1 == pytest.approx(height * 0.5, abs=near_y)
    assert columns[0] == pytest.approx(width * 0.375, abs=near_x)
    assert columns[-1] + 1 == pytest.approx(width * 0.75, abs=near_x)


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
@pytest.mark.parametrize("frame", SIZES)
def test_a_projected_ramp_is_exact_up_to_the_border(rule: str, frame: tuple[int, int]) -> None:
    """Bilinear interpolation preserves a ramp, so any wrong shift or scale is visible, also at the edges."""
    facts = read(Toy(height=96, width=160, rule=rule))
    scaled, grid = Framing.of(facts).scale_size(Size(*frame)), facts.regions.grid
    mask = Size(60, 100)
    ys = grid.offset_y + grid.step_y * np.arange(24)
    xs = grid.offset_x + grid.step_x * np.arange(40)
    values = (ys[:, None] * 2 + xs[None] * 3).astype(np.float32)
    v = np.clip((np.arange(60) + 0.5) * scaled.height / 60 - 0.5, ys[0], ys[-1])
    u = np.clip((np.arange(100) + 0.5) * scaled.width / 100 - 0.5, xs[0], xs[-1])
    expected = v[:, None] * 2 + u[None] * 3
    assert np.abs(whole(values, grid, scaled, mask) - expected).max() < 1e-3


@given(
    values=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    mask=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    scaled=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    steps=st.tuples(st.floats(0.25, 40), st.floats(0.25, 40), st.floats(-9, 9), st.floats(-9, 9)),
)
def test_projection_is_the_bilinear_interpolation_of_the_contract(
    values: tuple[int, int], mask: tuple[int, int], scaled: tuple[int, int], steps: tuple[float, ...]
) -> None:
    grid = Grid(*steps)
    surface = np.random.default_rng(1).random(values, dtype=np.float32)
    v = ((np.arange(mask[0]) + 0.5) * scaled[0] / mask[0] - 0.5 - grid.offset_y) / grid.step_y
    u = ((np.arange(mask[1]) + 0.5) * scaled[1] / mask[1] - 0.5 - grid.offset_x) / grid.step_x
    rows = np.stack([np.interp(u, np.arange(values[1]), row) for row in surface])
    expected = np.stack([np.interp(v, np.arange(values[0]), column) for column in rows.T], axis=1)
    received = whole(surface, grid, Size(*scaled), Size(*mask))
    assert received.shape == mask
    assert np.abs(received - expected).max() < 0.1 / 255


@pytest.mark.parametrize("frame", SIZES)
def test_a_letterbox_keeps_the_aspect_ratio_and_fills_the_rest(frame: tuple[int, int]) -> None:
    facts = read(Toy(height=96, width=160, fill=(10, 20, 30)))
    scaled = Framing.of(facts).scale_size(Size(*frame))
    white = np.full((*frame, 3), 255, np.uint8)
    picture = Framing.of(facts).fit(Frame(white, Size(*frame)))
    assert picture.shape == (1, 96, 160, 3)
    assert scaled.height == 96 or scaled.width == 160
    assert (picture[0, : scaled.height, : scaled.width] == 255).all()
    assert (picture[0, scaled.height :] == (10, 20, 30)).all()
    assert (picture[0, :, scaled.width :] == (10, 20, 30)).all()


def test_the_fill_follows_the_colour_order() -> None:
    facts = read(Toy(height=96, width=160, fill=(10, 20, 30), colour="BGR"))
    picture = Framing.of(facts).fit(Frame(np.zeros((96, 96, 3), np.uint8), Size(96, 96)))
    assert picture[0, 0, 159].tolist() == [30, 20, 10]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [((720, 1280), (90, 160)), ((1, 1000), (1, 160)), ((721, 1280), (90, 160)), ((3, 5), (96, 160))],
)
def test_scaled_sizes_are_rounded_and_at_least_one_pixel(frame: tuple[int, int], expected: tuple[int, int]) -> None:
    assert Framing.of(read(Toy())).scale_size(frame) == expected


def test_half_a_pixel_of_a_scaled_size_is_rounded_up() -> None:
    assert Framing((96, 160), "letterbox").scale_size((5, 320)) == (3, 160)


@pytest.mark.parametrize("size", [(50, 125), (50, 1000), (10, 125), (100, 125), (100, 2000)])
def test_resizing_keeps_a_middle_edge_in_the_middle_whichever_axis_shrinks(size: tuple[int, int]) -> None:
    pixels = np.zeros((50, 1000, 3), np.uint8)
    pixels[:, 500:] = 255
    row = resize(pixels, Size(*size))[size[0] // 2, :, 0].astype(float) / 255
    assert size[1] - row.sum() == pytest.approx(size[1] / 2, abs=0.02)


def test_a_frame_of_the_right_size_is_not_copied() -> None:
    pixels = rectangle(96, 160)
    assert np.shares_memory(Framing.of(read(Toy())).fit(Frame(pixels, Size(96, 160))), pixels)


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
@pytest.mark.parametrize("frame", [(720, 1280), (481, 853), (90, 160), (300, 40)])
def test_fast_fitting_differs_from_exact_fitting_by_at_most_two_levels(rule: str, frame: tuple[int, int]) -> None:
    framing = Framing((97, 161), rule, (10, 20, 30))
    pixels = noise(*frame)
    fast, exact = framing.fit(Frame(pixels, Size(*frame))), framing.fit_exactly(pixels)
    assert fast.shape == exact.shape == (1, 97, 161, 3)
    assert np.abs(fast.astype(int) - exact).max() <= 2


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
def test_extracting_the_frame_from_the_input_reverses_fitting(rule: str) -> None:
    framing, pixels = Framing((96, 160), rule, (255, 0, 255)), rectangle(180, 160)
    seen = framing.extract(framing.fit(Frame(pixels, Size(180, 160))), Size(180, 160), Size(180, 160))
    assert np.abs(seen.astype(int) - pixels).mean() < 4


@given(
    values=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    mask=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    frame=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    threshold=st.floats(0, 1),
    rule=st.sampled_from(["stretch", "letterbox"]),
)
def test_soft_hard_and_alpha_masks_are_consistent(
    values: tuple[int, int], mask: tuple[int, int], frame: tuple[int, int], threshold: float, rule: str
) -> None:
    framing, surface = Framing((96, 160), rule), np.random.default_rng(2).random(values, dtype=np.float32)
    grid = Grid.guess(framing.size, values)
    soft = framing.compute_mask(surface, grid, mask, frame)
    hard = framing.compute_hard_mask(surface, grid, mask, frame, threshold)
    assert np.array_equal(hard, soft > threshold)
    assert np.array_equal(framing.compute_alpha(surface, grid, mask, frame, threshold) == 255, soft >= threshold)
    levels = framing.compute_alpha(surface, grid, mask, frame, None)
    assert np.abs(levels - 255 * soft).max() <= 0.51
