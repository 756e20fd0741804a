"""The service serves what the workbench publishes, and both find the same person."""

import asyncio
from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte.contract import artifact
from danmatte.engine import OpenVinoEngine
from danmatte.frame import Size
from danmatte.inference.matting import MaskOptions, MaskRequest, Matting
from danmatte.models import Repository
from danmatte.telemetry.timing import Timing
from danmatte_workbench.metrics.subject import Subject
from tests.contract.conftest import Publish, manifest
from tests.workbench import tiny
from tests.workbench.tiny import Tiny

SIZES = [(96, 128), (128, 96), (65, 65), (40, 30), (30, 200), (131, 33)]


def repository(models: Path) -> Repository:
    return Repository(models, lambda found: OpenVinoEngine(found.manifest, found.graph, found.weights, cores=1))


def served_mask(models: Path, pixels: np.ndarray, size: tuple[int, int], threshold: float | None = None) -> np.ndarray:
    """Return the service's mask of the picture, sent as a PNG, (h, w) uint8."""
    matting = Matting(workers=1, max_pixels=10**6)
    found = repository(models)
    body = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    wanted = MaskRequest(body, MaskOptions("raw", Size(*size), threshold), "image/png")
    try:
        matte = asyncio.run(matting.run(wanted, found.load(), Timing()))
    finally:
        matting.close()
        found.close()
    return np.frombuffer(matte.body, np.uint8).reshape(size)


def own_mask(folder: Path, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the workbench's probabilities for the picture, (h, w) in [0, 1]."""
    subject = Subject.from_published(folder)
    answer = subject.load()(subject.framing.fit_exactly(pixels))
    return subject.framing.compute_mask(answer[0, ..., 0], subject.grid, size, pixels.shape[:2])


def test_fields_are_read_as_they_were_published(published: Publish) -> None:
    folder = published(tiny.BGR, rule="letterbox")
    stored, read = manifest(folder), artifact.read_version(folder.parents[1], "bgr", 1).manifest
    assert (read.name, read.version, read.licence, read.created) == ("bgr", 1, stored["licence"], stored["created"])
    assert read.picture.shape == (1, 65, 65, 3)
    assert read.picture.resize.rule == "letterbox"
    assert read.picture.resize.fill == (9, 99, 199)
    assert read.recipe.toolchain == stored["recipe"]["toolchain"]
    assert [step.kind for step in read.recipe.steps] == ["cut", "head"]
    assert [(item.metric, item.value) for item in read.measurements] == [("throughput", 90), ("iou_drop", -0.25)]
    assert read.configuration.precision == "f32"


def test_the_newest_version_is_served_and_older_ones_on_demand(published: Publish) -> None:
    published()
    found = repository(published().parents[1])
    assert found.load().manifest.version == 2
    assert asyncio.run(found.find("tiny", 1)).manifest.version == 1
    found.close()


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
@pytest.mark.parametrize("wanted", [tiny.PLAIN, tiny.BGR, tiny.HALVES], ids=lambda wanted: wanted.name)
def test_service_and_workbench_make_the_same_mask(published: Publish, wanted: Tiny, rule: str) -> None:
    folder = published(wanted, rule)
    for number, frame in enumerate(SIZES):
        pixels, _ = tiny.scene(number, *frame)
        size = SIZES[number - 1] if number % 2 else frame
        difference = served_mask(folder.parents[1], pixels, size) / 255 - own_mask(folder, pixels, size)
        assert np.abs(difference).max() <= 1 / 255, (frame, size)


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
def test_the_mask_is_where_the_person_is(published: Publish, rule: str) -> None:
    folder = published(rule=rule)
    pixels, truth = tiny.scene(2, 96, 128)
    mask = served_mask(folder.parents[1], pixels, (96, 128), threshold=0.5)
    both, either = ((mask > 0) & (truth > 0)).sum(), ((mask > 0) | (truth > 0)).sum()
    assert both / either > 0.95
