"""The live stabiliser: only past frames of the same scene are used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from danmatte.frame import Pixels, Probabilities, Size
from danmatte.inference.matting import MaskOptions, MaskRequest, Matting
from danmatte.telemetry.timing import Timing
from danmatte.video.live_stabiliser import LiveStabiliser
from tests.service import pictures
from tests.service.inference.test_matting import served

SIZE = Size(90, 160)


@pytest.fixture
def matting() -> Iterator[Matting]:
    made = Matting(workers=1, max_pixels=10**6)
    yield made
    made.close()


def scene(seed: int, light: int = 0) -> Pixels:
    """Return a grey picture by its seed; `light` changes its brightness."""
    return cv2.add(cv2.cvtColor(pictures.noise(*SIZE, seed), cv2.COLOR_RGB2GRAY), light)


def person(certainty: float) -> Probabilities:
    """Return probabilities with a person of this certainty in the middle."""
    values = np.full(SIZE, 0.1, np.float32)
    values[20:70, 50:110] = certainty
    return values


def middle(alpha: Probabilities) -> float:
    """Return the value in the middle."""
    return float(alpha[45, 80])


def test_a_mask_stays_steady_while_the_networks_output_wavers() -> None:
    stabiliser, grey = LiveStabiliser(), scene(1)
    painted = [middle(stabiliser.step(grey, person(0.7 if n % 2 == 0 else 0.45), n * 40).alpha) for n in range(10)]
    assert all(value >= 0.5 for value in painted)


def test_each_region_is_stabilised_by_its_own_history() -> None:
    facts, stabiliser = served().manifest, LiveStabiliser()
    _, height, width, _ = facts.picture.shape
    shown = cv2.resize(pictures.noise(*SIZE), (width, height))[np.newaxis]
    painted = []
    for n in range(10):
        frame, found = stabiliser.expect(40 * n), []
        for certainty in (0.7 if n % 2 == 0 else 0.45, 0.2):  # an uncertain person, and no text
            values = np.full(facts.regions.shape[1:3], certainty, np.float32)
            alpha, _ = frame(shown, SIZE, values, facts.regions.grid, facts)
            found.append(middle(alpha) >= 0.5)
        painted.append(found)
    assert painted == [[True, False]] * 10


def test_a_cut_is_reported_and_resets_the_stabiliser() -> None:
    stabiliser = LiveStabiliser()
    for n in range(3):
        assert not stabiliser.step(scene(1), person(0.9), n * 40).cut
    after = stabiliser.step(scene(2, light=100), person(0.2), 120)
    assert after.cut
    assert middle(after.alpha) < 0.5


@pytest.mark.parametrize("pts_ms", [0, 80, 40 * 40])
def test_a_jump_in_time_resets_the_stabiliser(pts_ms: int) -> None:
    stabiliser = LiveStabiliser()
    for n in range(3):
        stabiliser.step(scene(1), person(0.9), n * 40)
    fresh = LiveStabiliser().step(scene(1), person(0.45), pts_ms)
    assert np.array_equal(stabiliser.step(scene(1), person(0.45), pts_ms).alpha, fresh.alpha)


def test_a_different_frame_size_resets_the_stabiliser() -> None:
    stabiliser = LiveStabiliser()
    stabiliser.step(scene(1), person(0.9), 0)
    assert stabiliser.step(scene(1)[:60], person(0.9)[:60], 40).alpha.shape == (60, 160)


@pytest.mark.parametrize("size", [(90, 160), (360, 640), (640, 360), (100, 100)])
async def test_a_stabilised_mask_is_at_the_position_of_the_plain_one(matting: Matting, size: tuple[int, int]) -> None:
    wanted = MaskRequest(pictures.encoded(".png", pictures.rectangle(*size)), MaskOptions("raw", threshold=0.5))
    plain = (await matting.run(wanted, served(), Timing())).mask.alpha > 0
    steady = (await matting.run(wanted, served(), Timing(), LiveStabiliser().expect(0))).mask.alpha > 0
    assert np.count_nonzero(plain & steady) / np.count_nonzero(plain | steady) > 0.95
    rows, columns = np.nonzero(steady)
    expected_rows, expected_columns = np.nonzero(plain)
    assert rows.mean() == pytest.approx(expected_rows.mean(), abs=0.5)
    assert columns.mean() == pytest.approx(expected_columns.mean(), abs=0.5)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 5), (10, 640)])
async def test_frames_of_any_small_size_are_stabilised(matting: Matting, size: tuple[int, int]) -> None:
    stabiliser, body = LiveStabiliser(), pictures.encoded(".png", np.full((*size, 3), 255, np.uint8))
    for n in range(3):
        matte = await matting.run(MaskRequest(body, MaskOptions("raw")), served(), Timing(), stabiliser.expect(n * 40))
        assert matte.mask.alpha.shape == size


async def test_a_processed_frame_reports_whether_it_was_a_cut(matting: Matting) -> None:
    stabiliser = LiveStabiliser()
    cuts = []
    for n, picture in enumerate([scene(1)] * 3 + [scene(2, light=100)] * 2):
        frame = stabiliser.expect(n * 40)
        request = MaskRequest(pictures.encoded(".png", cv2.merge([picture] * 3)), MaskOptions("raw"))
        await matting.run(request, served(), Timing(), frame)
        cuts.append(frame.cut)
    assert cuts == [False, False, False, True, False]


def test_concurrent_frames_are_stabilised_one_at_a_time() -> None:
    stabiliser = LiveStabiliser()
    with ThreadPoolExecutor(4) as threads:
        steps = [threads.submit(stabiliser.step, scene(1), person(0.9), 40 * n) for n in range(12)]
        for step in steps:
            assert step.result(10).alpha.shape == SIZE


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_the_mask_does_not_depend_on_the_colour_order_of_the_network(colour: str) -> None:
    facts = served(colour=colour).manifest
    _, height, width, _ = facts.picture.shape
    picture = cv2.resize(pictures.noise(*SIZE), (width, height))
    values = np.full(facts.regions.shape[1:3], 0.1, np.float32)
    values[4:12, 6:18] = 0.9
    shown = picture if colour == "RGB" else np.ascontiguousarray(picture[..., ::-1])
    alpha, grid = LiveStabiliser().expect(0)(shown[np.newaxis], SIZE, values, facts.regions.grid, facts)
    other = served(colour="RGB").manifest
    expected, _ = LiveStabiliser().expect(0)(picture[np.newaxis], SIZE, values, other.regions.grid, other)
    assert alpha == pytest.approx(expected, abs=1e-5)
    assert alpha.shape == SIZE
    assert (grid.step_y, grid.step_x, grid.offset_y, grid.offset_x) == (1, 1, 0, 0)  # a frame fills 90 of 96 rows
