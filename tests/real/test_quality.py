"""The published network that judges, on real pictures and videos: known damage costs points."""

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer

from danmatte.app import build
from danmatte.contract import artifact
from danmatte.contract.ports import ScoreOutput
from danmatte.quality.assess import AssessOptions, assess_video
from danmatte.quality.judge import Judge
from danmatte.settings import Settings
from tests.real.shared import ROOT

pytestmark = pytest.mark.slow

SAMPLES = ROOT / "workbench/danmatte_workbench/samples"
SAMPLE_CLIP = ROOT / "service/danmatte/web/sample.webm"


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.open(ROOT / "models")


def read_patches(name: str, damage: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """The middle of a bundled picture and the places around it, 192 by 192, after damage to the whole picture."""
    picture = damage(cv2.imread(str(SAMPLES / name)))[..., ::-1]
    top, left = ((side - 192) // 2 for side in picture.shape[:2])
    return [
        np.ascontiguousarray(picture[top + down : top + down + 192, left + along : left + along + 192])
        for down, along in ((0, 0), (-top // 2, -left // 2), (top // 2, left // 2))
    ]


def score(judge: Judge, name: str, damage: Callable[[np.ndarray], np.ndarray]) -> float:
    return float(np.mean(judge.score(read_patches(name, damage))))


def compress(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return lambda picture: cv2.imdecode(cv2.imencode(".jpg", picture, options)[1], cv2.IMREAD_COLOR)


def blur(sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda picture: cv2.GaussianBlur(picture, (0, 0), sigma)


def add_noise(sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    def damage(picture: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(1).normal(0, sigma, picture.shape)
        return np.clip(picture + noise, 0, 255).astype(np.uint8)

    return damage


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "cat.jpg"])
@pytest.mark.parametrize(
    "steps",
    [[compress(40), compress(12)], [blur(1.5), blur(4)], [add_noise(10), add_noise(30)]],
    ids=["jpeg", "blur", "noise"],
)
def test_more_damage_costs_more_points(
    judge: Judge, name: str, steps: list[Callable[[np.ndarray], np.ndarray]]
) -> None:
    scores = [score(judge, name, damage) for damage in (lambda picture: picture, *steps)]
    assert scores[0] > scores[1] + 3 > scores[2] + 6


def test_the_published_version_is_small_and_outputs_one_score() -> None:
    (version, *_) = artifact.list_versions(ROOT / "models", "quality")
    found = artifact.read_version(ROOT / "models", "quality", version)
    assert len(found.graph) + len(found.weights) <= 2**20
    assert isinstance(found.manifest.outputs[0], ScoreOutput)
    assert found.manifest.picture.sides == (192, 192)
    assert [port.name.partition(":")[0] for port in found.manifest.outputs] == ["score"]


async def test_a_server_with_the_bundled_models_scores_over_v2_and_makes_masks_by_default(judge: Judge) -> None:
    patches = read_patches("coffee.jpg", compress(20))
    app = build(Settings.read(None, models=str(ROOT / "models")))
    async with TestClient(TestServer(app)) as client:
        (described,) = (await (await client.get("/v2/models/quality")).json())["outputs"]
        assert described["datatype"] == "FP32"
        tensor = {"name": "picture", "shape": [1, 192, 192, 3], "datatype": "UINT8"}
        for patch, expected in zip(patches, judge.score(patches), strict=True):
            body = {"inputs": [{**tensor, "data": patch.ravel().tolist()}]}
            answer = await (await client.post("/v2/models/quality/infer", json=body)).json()
            assert answer["outputs"][0]["data"] == pytest.approx([expected], abs=0.5)
        picture = (SAMPLES / "astronaut.jpg").read_bytes()
        masked = await client.post("/v1/mattes", data=picture, headers={"Content-Type": "image/jpeg"})
        assert masked.status == 200


def encode(source: Path, target: Path, crf: int) -> Path:
    """The clip again, by x264 at a constant rate factor."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        first = given.streams.video[0]
        stream = made.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
        for number, frame in enumerate(given.decode(video=0)):
            if number == 75:
                break
            plain = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            made.mux(stream.encode(plain))
        made.mux(stream.encode(None))
    return target


def test_the_score_of_the_sample_clip_falls_with_stronger_compression(judge: Judge, tmp_path: Path) -> None:
    verdicts = [
        assess_video(encode(SAMPLE_CLIP, tmp_path / f"{crf}.mp4", crf), AssessOptions(), judge)
        for crf in (20, 34, 42, 50)
    ]
    scores = [verdict.score for verdict in verdicts]
    assert scores == sorted(scores, reverse=True)
    assert verdicts[0].grade < verdicts[-1].grade
    assert {(verdict.frozen_share, verdict.dropped_share) for verdict in verdicts} == {(0, 0)}
