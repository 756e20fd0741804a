"""Masks made in this process are the same as the server's."""

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from aiohttp import web

import danmatte
from danmatte.errors import (
    EngineError,
    InvalidParameterError,
    MediaTypeError,
    ModelError,
    PictureError,
    PictureTooLargeError,
    ServiceError,
    UnknownModelError,
    UnknownVersionError,
)
from danmatte.models.standalone import open_version
from danmatte.segmenter import Segmenter
from danmatte.tracks import TrackReader
from tests.service.conftest import Start
from tests.service.pictures import encoded, noise, rectangle
from tests.service.ports import publish_meaning
from tests.service.toy import Toy, publish
from tests.service.tracks.videos import walking, write


@pytest.fixture
def segmenter(models: Path) -> Segmenter:
    return Segmenter(models=models)


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("&width=90&height=50", {"size": (90, 50)}),
        ("&soft=true", {"soft": True}),
        ("&threshold=0.3&width=700&height=400", {"threshold": 0.3, "size": (700, 400)}),
    ],
)
async def test_masks_equal_those_of_the_server_bit_for_bit(
    start: Start, segmenter: Segmenter, query: str, options: dict[str, object]
) -> None:
    jpeg = encoded(".jpg", noise(360, 640))
    client = await start(real=True)
    answer = await client.post(f"/v1/mattes?format=raw{query}", data=jpeg)
    mask = segmenter.matte(jpeg, **options)
    assert answer.status == 200
    assert await answer.read() == mask.tobytes()
    assert answer.headers["X-Mask-Size"] == f"{mask.shape[1]}x{mask.shape[0]}"


async def test_masks_of_a_video_equal_those_of_a_live_connection(start: Start, segmenter: Segmenter) -> None:
    frames = [cv2.imencode(".png", cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))[1].tobytes() for grey in walking(4)]
    client, video = await start(real=True), segmenter.start_video()
    served = []
    async with danmatte.client.Live(
        str(client.make_url("")), size=(320, 180), query={"format": "raw", "stabilise": "true"}
    ) as live:
        for number, frame in enumerate(frames):
            live.offer(frame, 40.0 * number)
            served.append((await anext(live)).body)
    own = [video.matte(frame, 40.0 * number, (320, 180)).tobytes() for number, frame in enumerate(frames)]
    assert own == served


def test_a_path_its_bytes_and_its_pixels_give_the_same_mask(segmenter: Segmenter, tmp_path: Path) -> None:
    pixels, path = noise(180, 320), tmp_path / "frame.png"
    path.write_bytes(encoded(".png", pixels))
    masks = [segmenter.matte(picture) for picture in (path, str(path), path.read_bytes(), pixels)]
    assert masks[0].shape == (180, 320)
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


@pytest.mark.parametrize("network", ["RGB", "BGR"])
@pytest.mark.parametrize("given", ["RGB", "BGR"])
def test_colours_of_an_array_are_reordered_for_the_network(tmp_path: Path, network: str, given: str) -> None:
    publish(tmp_path, Toy(colour=network, channel=0 if network == "RGB" else 2))  # red pixels are the person
    red = np.zeros((96, 160, 3), np.uint8)
    red[..., 0 if given == "RGB" else 2] = 255
    assert Segmenter(models=tmp_path, colour=given).matte(red).all()


def test_a_mask_is_255_for_people_and_0_elsewhere(segmenter: Segmenter) -> None:
    mask = segmenter.matte(rectangle(96, 160))
    assert set(np.unique(mask)) == {0, 255}
    assert mask[35, 80] == 255
    assert mask[5, 5] == 0


def test_the_newest_version_is_used_by_default(models: Path) -> None:
    assert Segmenter(models=models).manifest.version == 2
    assert Segmenter("toy", 1, models=models).manifest.version == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "toi"}, UnknownModelError, "did you mean 'toy'"),
        ({"version": 3}, UnknownVersionError, r"toy has \[2, 1\], received 3"),
        ({"models": "nowhere"}, UnknownModelError, "nowhere: expected a model's name"),
    ],
)
def test_an_unknown_model_or_version_is_reported(
    models: Path, options: dict[str, object], error: type[ServiceError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Segmenter(**({"models": models} | options))


def test_a_bad_version_is_skipped_and_a_model_without_a_good_one_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(tmp_path, version=1)
    (publish(tmp_path, version=2) / "graph.bin").write_bytes(b"")
    assert open_version(tmp_path).manifest.version == 1
    assert "toy/2 is skipped" in caplog.text
    with pytest.raises(ModelError, match=r"graph\.bin"):
        open_version(tmp_path, "toy", 2)
    (tmp_path / "toy/1/graph.bin").write_bytes(b"other")
    with pytest.raises(ModelError, match="no version can be served"):
        open_version(tmp_path)


def test_without_a_name_the_only_model_that_makes_masks_is_opened(tmp_path: Path) -> None:
    publish(tmp_path)
    publish_meaning(tmp_path, "score", name="judge")
    assert open_version(tmp_path).manifest.name == "toy"
    assert open_version(tmp_path, "judge").manifest.name == "judge"
    publish(tmp_path, name="other")
    with pytest.raises(UnknownModelError, match="expected a model's name, received ''"):
        open_version(tmp_path)


def test_opening_for_many_frames_selects_the_throughput_hint(models: Path) -> None:
    hints = {many: open_version(models, for_many=many).manifest.configuration.hint for many in (False, True)}
    assert hints == {False: "latency", True: "throughput"}


@pytest.mark.parametrize(
    ("picture", "options", "error"),
    [
        (np.zeros((4, 4), np.uint8), {}, PictureError),
        (np.zeros((4, 4, 4), np.uint8), {}, PictureError),
        (np.zeros((4, 4, 3), np.float32), {}, PictureError),
        (np.zeros((0, 4, 3), np.uint8), {}, PictureError),
        (b"text", {}, MediaTypeError),
        (encoded(".jpg", rectangle(32, 32))[:200], {}, PictureError),
        (rectangle(32, 32), {"size": (0, 5)}, InvalidParameterError),
        (rectangle(32, 32), {"size": (2**20, 2**20)}, InvalidParameterError),
        (rectangle(32, 32), {"threshold": 1.5}, InvalidParameterError),
    ],
)
def test_invalid_pictures_and_options_raise_errors_of_the_package(
    segmenter: Segmenter, picture: object, options: dict[str, object], error: type[ServiceError]
) -> None:
    with pytest.raises(error):
        segmenter.matte(picture, **options)


def test_a_picture_that_claims_too_many_pixels_is_not_decoded(models: Path) -> None:
    small = Segmenter(models=models, max_pixels=1000)
    assert small.matte(encoded(".png", rectangle(20, 50))).shape == (20, 50)
    with pytest.raises(PictureTooLargeError, match="at most 1000 pixels"):
        small.matte(encoded(".png", rectangle(20, 51)))


def test_threads_share_one_segmenter(segmenter: Segmenter) -> None:
    frames = [noise(90, 160, number) for number in range(8)]
    alone = [segmenter.matte(frame) for frame in frames]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(segmenter.matte, frames * 3))
    assert all(np.array_equal(mask, expected) for mask, expected in zip(together, alone * 3, strict=True))


def test_a_closed_segmenter_raises_an_error(models: Path) -> None:
    with Segmenter(models=models) as segmenter:
        segmenter.matte(rectangle(32, 32))
    with pytest.raises(EngineError, match="closed"):
        segmenter.matte(rectangle(32, 32))


@pytest.mark.parametrize("first", ["one", "two"])
def test_signal_handlers_are_restored_after_segmenters_in_any_order(models: Path, first: str) -> None:
    code = f"""
import os, signal, sys
from danmatte import Segmenter
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
one, two = (Segmenter(models=sys.argv[1]) for _ in range(2))
del {first}
one = two = None
os.kill(os.getpid(), signal.SIGTERM)
"""
    run = subprocess.run([sys.executable, "-c", code, models], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "heard\n"), run.stderr


def test_repeated_calls_of_matte_open_the_model_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr("danmatte.segmenter.open_version", lambda *key: opened.append(key) or open_version(*key))
    masks = [danmatte.matte(rectangle(48, 80), models=models, version=1) for _ in range(3)]
    assert len(opened) == 1
    assert np.array_equal(masks[0], Segmenter(version=1, models=models).matte(rectangle(48, 80)))


def test_tracking_a_video_again_replaces_its_track(models: Path, tmp_path: Path) -> None:
    video, out = write(tmp_path / "walk.mp4", walking(12)), tmp_path / "walk.mattes"
    threads = cv2.getNumThreads()
    for fps, count in ((30, 12), (5, 3)):
        summary = danmatte.track(video, out, size=(160, 90), fps=fps, models=models)
        assert (summary.masks, summary.size, summary.broken) == (count, "160x90", "")
    with TrackReader(out) as track:
        assert len(list(track)) == 3
    assert cv2.getNumThreads() == threads


async def test_a_track_can_be_made_inside_a_running_event_loop(models: Path, tmp_path: Path) -> None:
    """A notebook, for example, runs one."""
    video = write(tmp_path / "walk.mp4", walking(5))
    assert danmatte.track(video, tmp_path / "walk.webmask", models=models).masks == 5
    await asyncio.sleep(0)


def test_a_file_that_is_not_a_video_is_an_error_and_leaves_no_track(models: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("buy milk")
    with pytest.raises(ServiceError, match="expected a video"):
        danmatte.track(tmp_path / "notes.mp4", tmp_path / "a.mattes", models=models)
    with pytest.raises(InvalidParameterError, match="fps"):
        danmatte.track(tmp_path / "notes.mp4", tmp_path / "a.mattes", models=models, fps=0)
    assert not (tmp_path / "a.mattes").exists()


def test_importing_the_package_imports_no_library() -> None:
    code = (
        "import sys, danmatte; assert 'Segmenter' in dir(danmatte);"
        "print(*{'numpy', 'cv2', 'av', 'openvino', 'aiohttp', 'msgspec'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_every_public_name_exists_and_an_unknown_one_is_an_error() -> None:
    assert [name for name in danmatte.__all__ if not getattr(danmatte, name)] == []
    assert danmatte.__version__
    with pytest.raises(AttributeError, match="no attribute 'mate'"):
        danmatte.mate  # noqa: B018


async def test_a_mask_can_be_made_in_a_web_handler(models: Path, aiohttp_client, jpeg: bytes) -> None:
    """The call blocks, so it is run in a thread, and the event loop continues."""
    segmenter = Segmenter(models=models)

    async def answer(request: web.Request) -> web.Response:
        mask = await asyncio.to_thread(segmenter.matte, await request.read(), (32, 18))
        return web.Response(body=mask.tobytes())

    app = web.Application()
    app.router.add_post("/", answer)
    client = await aiohttp_client(app)
    assert len(await (await client.post("/", data=jpeg)).read()) == 32 * 18
