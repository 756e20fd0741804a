"""The second pass: its region covers all people, has a suitable aspect ratio, and is the only part that changes."""

import json
from pathlib import Path

import numpy as np
import pytest

from danmatte.contract.manifest import Manifest, parse
from danmatte.engine import Arrays, FakeEngine, Served
from danmatte.frame import Pixels, Probabilities, Size
from danmatte.tracks import TrackHeader, TrackReader, TrackWriter
from danmatte.tracks.pipeline import Pipeline
from danmatte.tracks.refinement import RefinedRegion, Refiner, Region
from danmatte.tracks.selection import TrackPlan
from danmatte.tracks.tally import Tally
from danmatte.video.reader import Video
from tests.service.toy import Toy, manifest
from tests.service.tracks.videos import write

FRAME, WORKING = Size(720, 1280), Size(180, 320)


@pytest.fixture(params=["stretch", "letterbox"])
def square(request: pytest.FixtureRequest) -> Manifest:
    """Return the manifest of a network with square input."""
    return parse(json.dumps(manifest(Toy(height=128, width=128, rule=request.param))).encode())


def answer(known: Manifest, *people: tuple[int, int, int, int]) -> Probabilities:
    """Return the output for a frame with people at these rows and columns, in the mask's pixels."""
    values = np.zeros(known.regions.shape[1:3], np.float32)
    down = 128 / 180 if known.picture.resize.rule == "stretch" else 128 / 320
    for top, bottom, left, right in people:
        rows, columns = (
            slice(round(a * by / 4), round(b * by / 4)) for a, b, by in ((top, bottom, down), (left, right, 128 / 320))
        )
        values[rows, columns] = 1
    return values


def test_the_region_contains_the_person_and_some_surroundings(square: Manifest) -> None:
    region = Refiner(square, FRAME, WORKING).choose_region(answer(square, (60, 140, 100, 150)))
    assert region is not None
    assert region.top <= 60 - 8
    assert region.left <= 100 - 5
    assert region.top + region.size.height >= 140 + 8
    assert region.left + region.size.width >= 150 + 5
    assert region.size.height * region.size.width < 0.4 * 180 * 320


def test_the_aspect_ratio_of_the_region_is_limited(square: Manifest) -> None:
    refiner = Refiner(square, FRAME, WORKING)
    tall, wide = (refiner.choose_region(answer(square, person)) for person in ((30, 150, 160, 176), (90, 110, 60, 240)))
    assert tall.size.width >= 0.78 * tall.size.height
    assert wide.size.height >= wide.size.width / 1.85


def test_the_region_contains_all_people_but_no_specks(square: Manifest) -> None:
    refiner = Refiner(square, FRAME, WORKING)
    two = refiner.choose_region(answer(square, (60, 120, 60, 90), (70, 120, 150, 180)))
    assert two.left <= 60
    assert two.left + two.size.width >= 180
    speck = refiner.choose_region(answer(square, (60, 120, 60, 110), (20, 30, 290, 300)))
    assert speck.left + speck.size.width < 250


def test_a_region_at_the_border_is_moved_inwards(square: Manifest) -> None:
    region = Refiner(square, FRAME, WORKING).choose_region(answer(square, (100, 180, 280, 320)))
    assert region.top + region.size.height == 180
    assert region.left + region.size.width == 320
    assert region.size.width >= 0.78 * region.size.height


@pytest.mark.parametrize("people", [(), ((0, 180, 40, 280),)], ids=["no people", "everywhere"])
def test_no_region_is_chosen_without_people_or_if_they_fill_the_frame(square: Manifest, people: tuple) -> None:
    assert Refiner(square, FRAME, WORKING).choose_region(answer(square, *people)) is None


@pytest.mark.parametrize(
    ("frame", "working", "detail"),
    [
        ((720, 1280), (180, 320), (720, 1280)),
        ((480, 854), (180, 320), (540, 960)),
        ((2160, 3840), (180, 320), (720, 1280)),
        ((90, 160), (180, 320), (180, 320)),
        ((720, 1280), (36, 64), (720, 1280)),
    ],
)
def test_frames_are_decoded_at_an_integer_multiple_of_the_mask_size(
    square: Manifest, frame: tuple[int, int], working: tuple[int, int], detail: tuple[int, int]
) -> None:
    assert Refiner(square, Size(*frame), Size(*working)).detail_size == Size(*detail)


@pytest.mark.parametrize("offset", [1.5, 0.0], ids=["centres", "corners"])
def test_the_region_is_centred_on_its_person_to_the_pixel(offset: float) -> None:
    """Cells 8 to 15 down and 12 to 19 across; a cell is 4 pixels of the input, 5.625 and 10 of the mask."""
    facts = manifest(Toy(height=128, width=128, rule="stretch"))
    facts["outputs"][0]["grid"] |= {"offset_y": offset, "offset_x": offset}
    values = np.zeros((32, 32), np.float32)
    values[8:16, 12:20] = 1
    region = Refiner(parse(json.dumps(facts).encode()), FRAME, WORKING).choose_region(values)
    moved = offset - 1.5
    middle = ((48 + moved) * 180 / 128, (64 + moved) * 320 / 128)
    sides = (45 + 2 * 0.05 * 180, 80 * 1.25)
    assert region.top == pytest.approx(middle[0] - sides[0] / 2, abs=1)
    assert region.left == pytest.approx(middle[1] - sides[1] / 2, abs=1)
    assert region.size.height == pytest.approx(sides[0], abs=1.5)
    assert region.size.width == pytest.approx(sides[1], abs=1.5)


def test_the_padding_of_a_letterboxed_input_is_not_searched_for_people() -> None:
    letterboxed = parse(json.dumps(manifest(Toy(height=128, width=128, rule="letterbox"))).encode())
    refiner, alone = Refiner(letterboxed, FRAME, WORKING), answer(letterboxed, (60, 140, 100, 150))
    beside = alone.copy()
    beside[20:30, 10:20] = 1  # 18 of 32 rows show the frame
    assert refiner.choose_region(beside) == refiner.choose_region(alone)
    assert refiner.choose_region(np.where(np.arange(32)[:, None] >= 18, np.ones((32, 32), np.float32), 0)) is None


def test_the_second_pass_crops_its_region_and_changes_only_the_mask_there(square: Manifest) -> None:
    refiner, region = Refiner(square, FRAME, WORKING), Region(40, 60, Size(60, 90))
    frame = np.zeros((720, 1280, 3), np.uint8)
    frame[160:280, 240:420] = 255  # the upper left quarter of the region
    picture = refiner.cut_out(frame, region)
    assert picture.shape == (1, 128, 128, 3)
    values = picture[0, ..., 0].reshape(32, 4, 32, 4).mean((1, 3)).astype(np.float32) / 255
    mask = np.full(WORKING, 0.5, np.float32)
    refiner.merge(mask, RefinedRegion(values, region))
    assert mask[40:67, 60:101].min() > 0.95
    assert max(mask[73:100, 60:150].max(), mask[40:100, 109:150].max()) < 0.05
    outside = np.ones(WORKING, bool)
    outside[region.slices] = False
    assert (mask[outside] == 0.5).all()


def test_a_first_pass_of_an_earlier_frame_is_ignored(square: Manifest) -> None:
    mask = np.ones(WORKING, np.float32)
    refined = RefinedRegion(np.zeros((32, 32), np.float32), Region(0, 0, Size(80, 80)), alone=True)
    Refiner(square, FRAME, WORKING).merge(mask, refined)
    assert (mask[:80, :80] == 0).all()


def test_a_small_figure_is_included_in_the_region_only_if_it_moves(square: Manifest) -> None:
    refiner, both = Refiner(square, FRAME, WORKING), answer(square, (40, 140, 60, 110), (140, 156, 180, 196))
    moved = np.zeros((11, 20), bool)
    alone = refiner.choose_region(both, moved)
    assert alone == refiner.choose_region(both)
    assert alone is not None
    assert alone.left + alone.size.width < 180
    moved[9, 11] = True
    region = refiner.choose_region(both, moved)
    assert region is not None
    assert region.left + region.size.width >= 196


def test_the_first_pass_keeps_some_weight_where_it_is_certain(square: Manifest) -> None:
    mask = np.ones(WORKING, np.float32)
    refined = RefinedRegion(np.zeros((32, 32), np.float32), Region(0, 0, Size(80, 80)))
    Refiner(square, FRAME, WORKING).merge(mask, refined)
    assert mask[:80, :80] == pytest.approx(0.3, abs=1e-5)


class CountingEngine(FakeEngine):
    """An engine that stores its inputs."""

    def __init__(self, known: Manifest) -> None:
        super().__init__(known)
        self.shown: list[Pixels] = []

    def compute(self, inputs: Arrays) -> Arrays:
        self.shown.append(inputs[0])
        return super().compute(inputs)


async def make_track(video: Path, out: Path, served: Served, *, refine: bool) -> tuple[np.ndarray, Tally]:
    plan = TrackPlan(WORKING, stabiliser=None, refine=refine)
    with Video(video) as opened, TrackWriter(out, TrackHeader(plan.size, "person")) as writer:
        tally = await Pipeline(served, in_flight=4).run(opened, plan, writer, lambda _: None)
    with TrackReader(out) as track:
        return np.array([entry.mask for entry in track]), tally


async def test_tracks_with_a_second_pass_are_more_accurate(tmp_path: Path, toy_manifest: Manifest) -> None:
    pictures = [np.zeros((720, 1280), np.uint8) for _ in range(12)]
    truths = np.zeros((12, *WORKING), bool)
    for at, picture in enumerate(pictures):
        picture[300 : 300 + 92, 411 + 12 * at : 411 + 12 * at + 77] = 255
        truths[at] = picture[2::4, 2::4] > 127
    video = write(tmp_path / "small.mp4", pictures)
    engine = CountingEngine(toy_manifest)
    coarse, once = await make_track(video, tmp_path / "a.mattes", Served(toy_manifest, engine), refine=False)
    fine, twice = await make_track(video, tmp_path / "b.mattes", Served(toy_manifest, engine), refine=True)
    assert (once.inferred, once.looked_closer, twice.inferred, twice.looked_closer) == (12, 0, 12, 12)
    assert 12 + 12 + 3 <= len(engine.shown) < 12 + 12 + 12  # the whole picture isn't needed for every frame
    assert (fine ^ truths).sum() < 0.5 * (coarse ^ truths).sum()
