"""Frames from folders and videos, and what is said when they can't be."""

import itertools
import random
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte_workbench.dataset import SAMPLES, Dataset, load
from danmatte_workbench.errors import InputError
from tests.workbench import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.write_scenes(tmp_path / "data", 3)


def wrong(path: Path) -> str:
    """What is said of the data when its frames are read."""
    with pytest.raises(InputError) as refused:
        list(load(path))
    return str(refused.value)


def test_pictures_come_with_their_masks(folder: Path) -> None:
    data = load(folder)
    assert data.labelled
    for sample in data:
        number = int(Path(sample.name).stem[-2:])
        pixels, truth = tiny.scene(number, *sample.pixels.shape[:2])
        assert np.array_equal(sample.pixels, pixels)
        assert np.array_equal(sample.truth == 255, truth == 255)
    assert len(data) == 3


@pytest.mark.parametrize("under", ["images", ""])
def test_pictures_alone_have_no_truth(tmp_path: Path, under: str) -> None:
    data = load(tiny.write_scenes(tmp_path, 2, masks=False) / under)
    assert not data.labelled
    assert [sample.truth for sample in data] == [None, None]


def test_the_bundled_frames_can_be_read() -> None:
    assert all(sample.pixels.ndim == 3 for sample in load(SAMPLES))


def test_a_mask_of_another_size_is_named_with_both_sizes(folder: Path) -> None:
    cv2.imwrite(str(folder / "masks/kind1_01.png"), np.zeros((5, 7), np.uint8))
    said = wrong(folder)
    assert "kind1_01.png: expected the picture's size 80×120, found 7×5" in said


def test_odd_values_in_a_mask_are_listed(folder: Path) -> None:
    odd = np.zeros((96, 128), np.uint8)
    odd[0, :3] = 1, 2, 254
    cv2.imwrite(str(folder / "masks/kind0_00.png"), odd)
    assert "kind0_00.png: expected the values 0, 128 (ignored) and 255 (person), found [1, 2, 254]" in wrong(folder)


def test_missing_masks_are_counted_and_one_is_named(folder: Path) -> None:
    (folder / "masks/kind0_02.png").unlink()
    assert "masks: 1 of 3 pictures have no mask, such as kind0_02.png" in wrong(folder)


def test_a_broken_picture_is_named(folder: Path) -> None:
    (folder / "images/kind0_00.png").write_bytes(b"no picture")
    assert "kind0_00.png: isn't a picture that can be read" in wrong(folder)


@pytest.mark.parametrize("under", ["", "images"])
def test_a_folder_without_pictures_says_what_it_looked_for(tmp_path: Path, under: str) -> None:
    (tmp_path / under).mkdir(exist_ok=True)
    (tmp_path / under / "notes.txt").touch()
    said = wrong(tmp_path)
    assert f"{tmp_path / under}: expected pictures" in said
    assert ".jpg" in said


def test_a_text_file_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "notes.txt: expected a folder of pictures or a video (.avi" in wrong(tmp_path / "notes.txt")


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere: no such folder or video" in wrong(tmp_path / "nowhere")


# Videos


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames, each brighter than the last."""
    path = tmp_path_factory.mktemp("video") / "short.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number + 20, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_videos_frames_come_in_order(video: Path) -> None:
    data = load(video)
    frames = list(data)
    assert len(data) == len(frames) == 20
    assert frames[0].pixels.shape == (48, 64, 3)
    lights = [float(sample.pixels.mean()) for sample in frames]
    assert lights == pytest.approx([10 * number + 20 for number in range(20)], abs=4)


def test_some_frames_of_a_video_are_the_ones_asked_for(video: Path) -> None:
    chosen = Dataset(video, ("3", "17"), labelled=False)
    assert [round(float(sample.pixels.mean()), -1) for sample in chosen] == [50, 190]


def test_what_is_named_like_a_video_and_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    assert "no.mp4: isn't a video that can be read" in wrong(tmp_path / "no.mp4")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    assert "sound.mkv: isn't a video that can be read" in wrong(path)


def test_a_video_that_ends_before_its_first_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert "short.avi: isn't a video that can be read (it has no frames)" in wrong(path)


def test_a_torn_video_is_refused(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "torn.mp4"
    data = video.read_bytes()
    start = data.index(b"mdat") + 40
    path.write_bytes(data[:start] + bytes(len(data) // 3) + data[start + len(data) // 3 :])
    assert "torn.mp4: isn't a video that can be read" in wrong(path)


# Choosing frames


def many(count: int) -> Dataset:
    return Dataset(Path("data"), tuple(f"{number:03}.jpg" for number in range(count)), labelled=False)


def test_a_split_is_disjoint_and_whole() -> None:
    calibration, rest = many(100).split(30)
    assert len(calibration) == 30
    assert not set(calibration.names) & set(rest.names)
    assert set(calibration.names) | set(rest.names) == set(many(100).names)


def test_a_split_is_the_same_each_time() -> None:
    assert many(100).split(30) == many(100).split(30)


def test_a_handful_serves_as_both() -> None:
    assert many(7).split(30) == (many(7), many(7))


def test_the_shuffle_is_the_same_each_time_and_keeps_the_folders_order() -> None:
    names = many(100).pick(10).names
    assert names == many(100).pick(10).names
    assert list(names) == sorted(names)


def test_the_shuffle_does_not_take_neighbours() -> None:
    numbers = [int(name[:3]) for name in many(100).pick(10).names]
    assert max(later - earlier for earlier, later in itertools.pairwise(numbers)) > 1
    assert numbers[-1] - numbers[0] > 50


def test_a_smaller_shuffle_is_part_of_a_larger_one() -> None:
    assert set(many(100).pick(10).names) < set(many(100).pick(20).names)


def test_the_digest_tells_pixels_apart(folder: Path) -> None:
    before = load(folder).compute_digest()
    assert load(folder).compute_digest() == before
    cv2.imwrite(str(folder / "images/kind0_00.png"), np.zeros((96, 128, 3), np.uint8))
    assert load(folder).compute_digest() != before


NAMES = st.lists(st.text("abcdefgh0123456789", min_size=1, max_size=6), unique=True, max_size=40).map(sorted)


@given(NAMES, st.integers(0, 50))
def test_a_pick_is_a_part_in_the_folders_order_and_the_same_every_time(names: list[str], limit: int) -> None:
    data = Dataset(Path("x"), tuple(names), labelled=False)
    picked = data.pick(limit)
    assert len(picked) == min(limit, len(names))
    assert list(picked.names) == [name for name in names if name in picked.names]
    assert data.pick(limit) == picked
    assert set(data.pick(max(0, limit - 1)).names) <= set(picked.names)


@given(NAMES, st.randoms())
def test_a_pick_does_not_depend_on_the_order_of_the_folder(names: list[str], order: random.Random) -> None:
    mixed = names.copy()
    order.shuffle(mixed)
    one, other = (Dataset(Path("x"), tuple(some), labelled=False).pick(5) for some in (names, mixed))
    assert set(one.names) == set(other.names)


@given(NAMES, st.integers(1, 20))
def test_a_split_shares_frames_only_where_there_are_too_few(names: list[str], calibration: int) -> None:
    data = Dataset(Path("x"), tuple(names), labelled=True)
    first, rest = data.split(calibration)
    if len(names) < 2 * calibration:
        assert first == rest == data
        return
    assert len(first) == calibration
    assert set(first.names) | set(rest.names) == set(names)
    assert not set(first.names) & set(rest.names)
    assert first.labelled
    assert rest.labelled


def test_a_name_that_looks_like_a_video_and_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4: no such folder or video"):
        load(tmp_path / "gone.mp4")
