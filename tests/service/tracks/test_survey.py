"""Surveys: when a second pass alone is enough, and where a person may have entered."""

import json
from dataclasses import replace

import numpy as np
import pytest

from danmatte.contract.manifest import Manifest, parse
from danmatte.frame import Pixels, Probabilities, Size
from danmatte.tracks.refinement import Refiner, Region
from danmatte.tracks.survey import Survey, find_moved, refine_region, survey_frame
from danmatte.video.analysis import FrameAnalysis
from tests.service.scenes import SIZE, scene
from tests.service.toy import Toy, manifest

REGION = Region(20, 90, Size(150, 100))
EMPTY = np.zeros((32, 32), np.float32)


def make_frame(*, left: int = 110, at: int = 0, cut: bool = False, light: int = 0) -> FrameAnalysis:
    """Return a still scene with a bright box of 40 by 100 pixels."""
    grey = scene(1)
    grey[50:150, left : left + 40] = 220
    grey = np.clip(grey.astype(int) + light, 0, 255).astype(np.uint8)
    return FrameAnalysis(40 * at, cut, grey, grey)


SURVEY = Survey(EMPTY, REGION, make_frame().grey)


def test_movement_within_the_region_needs_no_new_survey() -> None:
    assert SURVEY.serves(make_frame(left=130))


@pytest.mark.parametrize(
    ("survey", "frame"),
    [
        (SURVEY, make_frame(left=175)),
        (SURVEY, make_frame(cut=True)),
        (SURVEY, make_frame(light=30)),
        (replace(SURVEY, region=None), make_frame()),
        (replace(SURVEY, age=3), make_frame()),
        (replace(SURVEY, region=Region(20, 220, Size(150, 100))), make_frame()),
    ],
    ids=["out of the region", "a cut", "everything changes", "no people before", "some frames passed", "at a side"],
)
def test_other_changes_need_a_new_survey_of_the_whole_picture(survey: Survey, frame: FrameAnalysis) -> None:
    assert not survey.serves(frame)


def test_movement_is_found_at_the_old_and_new_position() -> None:
    moved = find_moved(SURVEY, make_frame(left=140))
    assert moved is not None
    assert moved.shape == (11, 20)
    rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
    assert (rows[0], rows[-1]) == (3, 9)
    assert (columns[0], columns[-1]) == (6, 11)


@pytest.mark.parametrize(
    ("before", "frame"),
    [(None, make_frame()), (SURVEY, make_frame(left=140, cut=True)), (SURVEY, make_frame(light=30))],
    ids=["the first frame", "a cut", "the camera"],
)
def test_movement_is_unknown_after_a_cut_or_a_moving_camera(before: Survey | None, frame: FrameAnalysis) -> None:
    assert find_moved(before, frame) is None


@pytest.fixture
def known() -> Manifest:
    return parse(json.dumps(manifest(Toy(height=128, width=128, rule="stretch"))).encode())


class Network:
    """A network that finds no people and counts its calls."""

    calls = 0

    async def infer(self, _: Pixels) -> Probabilities:
        self.calls += 1
        return EMPTY


async def test_a_frame_after_a_survey_without_people_is_surveyed_again(known: Manifest) -> None:
    network, refiner = Network(), Refiner(known, Size(720, 1280), Size(*SIZE))
    picture = np.zeros((1, 128, 128, 3), np.uint8)
    before = await survey_frame(make_frame(), picture, None, network.infer, refiner)
    assert before.region is None
    survey = await survey_frame(make_frame(at=1), picture, before, network.infer, refiner)
    assert (survey.age, network.calls) == (0, 2)


async def test_a_reused_survey_needs_one_inference_and_only_the_second_pass_counts(known: Manifest) -> None:
    network, refiner = Network(), Refiner(known, Size(720, 1280), Size(*SIZE))
    survey = await survey_frame(
        make_frame(left=130, at=1), np.zeros((1, 128, 128, 3), np.uint8), SURVEY, network.infer, refiner
    )
    assert (survey.age, network.calls) == (1, 0)

    async def cut_out(_: Region) -> Pixels:
        return np.zeros((1, 128, 128, 3), np.uint8)

    answer = await refine_region(survey, cut_out, network.infer)
    assert network.calls == 1
    assert answer.refined is not None
    assert answer.refined.alone
