"""The second look: at the people, all of them, in proportions that the network knows, and exactly in its place."""

import json
from pathlib import Path

import numpy as np
import pytest

from service.engine import FakeEngine, Served
from service.frame import Pixels, Probabilities, Size
from service.manifest import Manifest, parse
from service.tracks import Header, TrackReader, TrackWriter
from service.tracks.closer import Closer, Place
from service.tracks.looking import Plan
from service.tracks.masks import Tally
from service.tracks.pipeline import Pipeline
from service.tracks.video import Video
from tests.service.toy import Toy, manifest
from tests.service.tracks.videos import write

FRAME, WORKING = Size(720, 1280), Size(180, 320)


@pytest.fixture(params=["stretch", "letterbox"])
def square(request: pytest.FixtureRequest) -> Manifest:
    """A network of square pictures."""
    return parse(json.dumps(manifest(Toy(height=128, width=128, rule=request.param))).encode())


def answer(known: Manifest, *people: tuple[int, int, int, int]) -> Probabilities:
    """What a network of brightness says to a frame with people at these rows and columns, in the mask's pixels."""
    values = np.zeros(known.output.shape[1:3], np.float32)
    down = 128 / 180 if known.resize.rule == "stretch" else 128 / 320
    for top, bottom, left, right in people:
        rows, columns = (
            slice(round(a * by / 4), round(b * by / 4)) for a, b, by in ((top, bottom, down), (left, right, 128 / 320))
        )
        values[rows, columns] = 1
    return values


def test_a_place_holds_the_person_and_some_of_what_is_around(square: Manifest) -> None:
    place = Closer(square, FRAME, WORKING).place(answer(square, (60, 140, 100, 150)))
    assert place is not None
    assert place.top <= 60 - 8
    assert place.left <= 100 - 5
    assert place.top + place.size.height >= 140 + 8
    assert place.left + place.size.width >= 150 + 5
    assert place.size.height * place.size.width < 0.4 * 180 * 320


def test_a_place_has_proportions_that_networks_know(square: Manifest) -> None:
    closer = Closer(square, FRAME, WORKING)
    tall, wide = (closer.place(answer(square, person)) for person in ((30, 150, 160, 176), (90, 110, 60, 240)))
    assert tall.size.width >= 0.78 * tall.size.height
    assert wide.size.height >= wide.size.width / 1.85


def test_all_people_are_in_it_and_specks_are_not(square: Manifest) -> None:
    closer = Closer(square, FRAME, WORKING)
    two = closer.place(answer(square, (60, 120, 60, 90), (70, 120, 150, 180)))
    assert two.left <= 60
    assert two.left + two.size.width >= 180
    speck = closer.place(answer(square, (60, 120, 60, 110), (20, 30, 290, 300)))
    assert speck.left + speck.size.width < 250


def test_at_the_border_a_place_moves_inwards(square: Manifest) -> None:
    place = Closer(square, FRAME, WORKING).place(answer(square, (100, 180, 280, 320)))
    assert place.top + place.size.height == 180
    assert place.left + place.size.width == 320
    assert place.size.width >= 0.78 * place.size.height


@pytest.mark.parametrize("people", [(), ((0, 180, 40, 280),)], ids=["nobody", "everywhere"])
def test_there_is_no_second_look_where_it_would_show_no_more(square: Manifest, people: tuple) -> None:
    assert Closer(square, FRAME, WORKING).place(answer(square, *people)) is None


@pytest.mark.parametrize(
    ("frame", "detail"),
    [((720, 1280), (720, 1280)), ((480, 854), (540, 960)), ((2160, 3840), (720, 1280)), ((90, 160), (180, 320))],
)
def test_frames_are_wanted_at_a_whole_number_of_times_the_masks_size(
    square: Manifest, frame: tuple[int, int], detail: tuple[int, int]
) -> None:
    assert Closer(square, Size(*frame), WORKING).detail == Size(*detail)


def test_the_second_look_is_at_the_place_and_its_answer_goes_there_only(square: Manifest) -> None:
    closer, place = Closer(square, FRAME, WORKING), Place(40, 60, Size(80, 80))
    frame = np.zeros((720, 1280, 3), np.uint8)
    frame[160:480, 240:400] = 255  # the left half of the place
    picture = closer.picture(frame, place)
    assert picture.shape == (1, 128, 128, 3)
    assert picture[0, :, :62].min() > 250
    assert picture[0, :, 66:].max() < 5
    mask = np.full(WORKING, 0.5, np.float32)
    values = picture[0, ..., 0].reshape(32, 4, 32, 4).mean((1, 3)).astype(np.float32) / 255
    closer.add(mask, values, place)
    rows, columns = place.slices
    assert mask[rows, 60:98].min() > 0.95
    assert mask[rows, 102:140].max() < 0.05
    outside = np.ones(WORKING, bool)
    outside[rows, columns] = False
    assert (mask[outside] == 0.5).all()


def test_where_the_first_look_has_no_doubt_it_keeps_a_word(square: Manifest) -> None:
    mask = np.ones(WORKING, np.float32)
    Closer(square, FRAME, WORKING).add(mask, np.zeros((32, 32), np.float32), Place(0, 0, Size(80, 80)))
    assert mask[:80, :80] == pytest.approx(0.3, abs=1e-5)


class Counted(FakeEngine):
    """Keeps the pictures that it was shown."""

    def __init__(self, known: Manifest) -> None:
        super().__init__(known)
        self.shown: list[Pixels] = []

    async def infer(self, picture: Pixels) -> Probabilities:
        self.shown.append(picture)
        return await super().infer(picture)


async def tracked(video: Path, out: Path, served: Served, *, closer: bool) -> tuple[np.ndarray, Tally]:
    plan = Plan(WORKING, care=None, closer=closer)
    with Video(video) as opened, TrackWriter(out, Header(plan.size, "person")) as writer:
        tally = await Pipeline(served, in_flight=4).run(opened, plan, writer, lambda _: None)
    with TrackReader(out) as track:
        return np.array([entry.mask for entry in track]), tally


async def test_a_track_of_second_looks_is_finer(tmp_path: Path, toy_manifest: Manifest) -> None:
    pictures = [np.zeros((720, 1280), np.uint8) for _ in range(12)]
    truths = np.zeros((12, *WORKING), bool)
    for at, picture in enumerate(pictures):
        picture[300 : 300 + 92, 411 + 12 * at : 411 + 12 * at + 77] = 255
        truths[at] = picture[2::4, 2::4] > 127
    video = write(tmp_path / "small.mp4", pictures)
    engine = Counted(toy_manifest)
    coarse, once = await tracked(video, tmp_path / "a.mattes", Served(toy_manifest, engine), closer=False)
    fine, twice = await tracked(video, tmp_path / "b.mattes", Served(toy_manifest, engine), closer=True)
    assert (once.inferred, once.closer, twice.inferred, twice.closer) == (12, 0, 12, 12)
    assert len(engine.shown) == 36
    assert (fine ^ truths).sum() < 0.5 * (coarse ^ truths).sum()
