"""Frames from folders and videos, their kinds, and errors for unreadable ones."""

import itertools
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte_workbench.dataset import SAMPLES, Dataset, FrameFile, load
from danmatte_workbench.errors import InputError
from tests.workbench import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.write_scenes(tmp_path / "data", 3)


def read_error(path: Path) -> str:
    """Return the error message from reading the data's frames."""
    with pytest.raises(InputError) as refused:
        list(load(path))
    return str(refused.value)


def test_pictures_are_loaded_with_their_masks(folder: Path) -> None:
    data = load(folder)
    assert data.labelled
    for sample in data:
        number = int(Path(sample.name).stem[-2:])
        pixels, truth = tiny.scene(number, *sample.pixels.shape[:2])
        assert np.array_equal(sample.pixels, pixels)
        assert np.array_equal(sample.truth == 255, truth == 255)
    assert len(data) == 3


@pytest.mark.parametrize("under", ["images", ""])
def test_pictures_without_masks_have_no_truth(tmp_path: Path, under: str) -> None:
    data = load(tiny.write_scenes(tmp_path, 2, masks=False) / under)
    assert not data.labelled
    assert [sample.truth for sample in data] == [None, None]


def test_the_bundled_frames_can_be_read() -> None:
    assert all(sample.pixels.ndim == 3 for sample in load(SAMPLES))


def test_a_mask_of_a_different_size_is_reported_with_both_sizes(folder: Path) -> None:
    cv2.imwrite(str(folder / "masks/kind1_01.png"), np.zeros((5, 7), np.uint8))
    message = read_error(folder)
    assert "kind1_01.png: expected the picture's size 80×120, found 7×5" in message


def test_invalid_values_in_a_mask_are_listed(folder: Path) -> None:
    odd = np.zeros((96, 128), np.uint8)
    odd[0, :3] = 1, 2, 254
    cv2.imwrite(str(folder / "masks/kind0_00.png"), odd)
    assert "kind0_00.png: expected the values 0, 128 (ignored) and 255 (person), found [1, 2, 254]" in read_error(
        folder
    )


def test_missing_masks_are_counted_and_one_is_named(folder: Path) -> None:
    (folder / "masks/kind0_02.png").unlink()
    assert "masks: 1 of 3 pictures have no mask, such as kind0_02.png" in read_error(folder)


def test_a_broken_picture_is_reported(folder: Path) -> None:
    (folder / "images/kind0_00.png").write_bytes(b"no picture")
    assert "kind0_00.png: isn't a picture that can be read" in read_error(folder)


@pytest.mark.parametrize("under", ["", "images"])
def test_a_folder_without_pictures_is_reported_with_the_expected_types(tmp_path: Path, under: str) -> None:
    (tmp_path / under).mkdir(exist_ok=True)
    (tmp_path / under / "notes.txt").touch()
    message = read_error(tmp_path)
    assert f"{tmp_path / under}: expected pictures" in message
    assert ".jpg" in message


def test_a_text_file_as_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "notes.txt: expected a folder of pictures or a video (.avi" in read_error(tmp_path / "notes.txt")


def test_missing_data_is_reported(tmp_path: Path) -> None:
    assert "nowhere: no such folder or video" in read_error(tmp_path / "nowhere")


# Videos


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of twenty frames, each brighter than the one before."""
    path = tmp_path_factory.mktemp("video") / "short.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number + 20, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_the_frames_of_a_video_are_read_in_order(video: Path) -> None:
    data = load(video)
    frames = list(data)
    assert len(data) == len(frames) == 20
    assert frames[0].pixels.shape == (48, 64, 3)
    lights = [float(sample.pixels.mean()) for sample in frames]
    assert lights == pytest.approx([10 * number + 20 for number in range(20)], abs=4)


def test_only_the_requested_frames_of_a_video_are_read(video: Path) -> None:
    chosen = load(video).keep(["3", "17"])
    assert [round(float(sample.pixels.mean()), -1) for sample in chosen] == [50, 190]


def test_a_file_that_is_only_named_like_a_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    assert "no.mp4: isn't a video that can be read" in read_error(tmp_path / "no.mp4")


def test_a_file_that_contains_only_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    assert "sound.mkv: isn't a video that can be read" in read_error(path)


def test_a_video_that_ends_before_its_first_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert "short.avi: isn't a video that can be read (it has no frames)" in read_error(path)


def test_a_damaged_video_is_refused(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "torn.mp4"
    data = video.read_bytes()
    start = data.index(b"mdat") + 40
    path.write_bytes(data[:start] + bytes(len(data) // 3) + data[start + len(data) // 3 :])
    assert "torn.mp4: isn't a video that can be read" in read_error(path)


def write_moving(path: Path, codec: str, count: int, **options: str) -> Path:
    """Write frames of moving noise."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64 + 2 * count, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            pixels = np.ascontiguousarray(noise[:, 2 * number : 2 * number + 64])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_a_recording_that_begins_in_the_middle_has_the_frames_that_can_be_decoded(tmp_path: Path) -> None:
    whole = write_moving(tmp_path / "whole.ts", "mpeg2video", 40, g="12", bf="0")
    data = whole.read_bytes()
    path = tmp_path / "middle.ts"
    packets = len(data) // 188
    path.write_bytes(data[188 * (packets // 3) :])
    assert 0 < len(load(path)) == len(list(load(path))) < 40
    assert len(load(whole)) == len(list(load(whole))) == 40


# Choosing frames


def make(names: Iterable[str], *, labelled: bool = False, kind: str = "") -> Dataset:
    return Dataset(tuple(FrameFile(name, Path("x"), name, labelled, kind, name) for name in names))


def many(count: int, kind: str = "") -> Dataset:
    return make((f"{kind}{number:03}.jpg" for number in range(count)), kind=kind)


def mix(*parts: Dataset) -> Dataset:
    return Dataset(tuple(file for part in parts for file in part.files))


def test_a_split_is_disjoint_and_complete() -> None:
    calibration, rest = many(100).split(30)
    assert len(calibration) == 30
    assert not set(calibration.names) & set(rest.names)
    assert set(calibration.names) | set(rest.names) == set(many(100).names)


def test_a_split_is_the_same_each_time() -> None:
    assert many(100).split(30) == many(100).split(30)


def test_at_most_a_third_is_used_for_calibration_and_not_for_comparison() -> None:
    calibration, rest = many(7).split(30)
    assert (len(calibration), len(rest)) == (2, 5)
    assert not set(calibration.names) & set(rest.names)


def test_two_frames_are_used_for_calibration_and_comparison() -> None:
    assert many(2).split(30) == (many(2), many(2))


def test_frames_are_picked_evenly_from_all_kinds() -> None:
    data = mix(many(100, "street"), many(20, "night"), many(3, "sea"))
    assert Counter(data.pick(23).kinds.values()) == {"street": 10, "night": 10, "sea": 3}
    calibration, rest = data.split(20)
    assert Counter(calibration.kinds.values()) == {"street": 13, "night": 6, "sea": 1}
    assert Counter(rest.kinds.values()) == {"street": 87, "night": 14, "sea": 2}


def test_dividing_takes_the_same_share_of_every_kind_and_is_repeatable() -> None:
    data = mix(many(90, "street"), many(30, "night"))
    first, rest = data.divide(3)
    assert Counter(first.kinds.values()) == {"street": 30, "night": 10}
    assert not set(first.names) & set(rest.names)
    assert set(first.names) | set(rest.names) == set(data.names)
    assert data.divide(3) == (first, rest)


def test_kinds_of_one_or_two_frames_are_divided_together() -> None:
    """Otherwise all pictures would be used to choose, and none would remain to confirm the choice."""
    alone = mix(*(many(1, f"person{number}-") for number in range(100)))
    first, rest = alone.divide(3)
    assert (len(first), len(rest)) == (34, 66)
    beside = mix(many(30, "street"), *(many(2, f"clip{number}-") for number in range(12)))
    first, rest = beside.divide(3)
    assert (len(first), len(rest)) == (18, 36)
    assert Counter(first.kinds.values())["street"] == 10


def test_kinds_too_small_for_a_third_are_split_together() -> None:
    data = mix(*(many(2, f"person{number}-") for number in range(50)))
    calibration, rest = data.split(200)
    assert (len(calibration), len(rest)) == (33, 67)
    assert not set(calibration.names) & set(rest.names)


def test_neighbouring_frames_of_a_clip_stay_in_one_part(video: Path, tmp_path: Path) -> None:
    """Otherwise nearly the same frame would be in both parts, which therefore wouldn't be independent."""
    for number in range(48):
        cv2.imwrite(str(tmp_path / f"{number:05}.jpg"), np.zeros((4, 4, 3), np.uint8))
    for data in (load(tmp_path), load(video)):
        first, rest = data.divide(2)
        neighbours = zip(data.files, data.files[1:], strict=False)
        separated = sum((one.name in first.names) != (other.name in first.names) for one, other in neighbours)
        assert len(first)
        assert len(rest)
        assert separated <= len(data) // 12


def test_a_pick_is_repeatable_and_in_the_order_of_the_folder() -> None:
    names = many(100).pick(10).names
    assert names == many(100).pick(10).names
    assert list(names) == sorted(names)


def test_a_pick_is_spread_over_the_whole_folder() -> None:
    numbers = [int(name[:3]) for name in many(100).pick(10).names]
    assert max(later - earlier for earlier, later in itertools.pairwise(numbers)) > 1
    assert numbers[-1] - numbers[0] > 50


def test_a_smaller_pick_is_part_of_a_larger_one() -> None:
    assert set(many(100).pick(10).names) < set(many(100).pick(20).names)


def test_the_digest_changes_with_the_pixels(folder: Path) -> None:
    before = load(folder).compute_digest()
    assert load(folder).compute_digest() == before
    cv2.imwrite(str(folder / "images/kind0_00.png"), np.zeros((96, 128, 3), np.uint8))
    assert load(folder).compute_digest() != before


NAMES = st.lists(st.text("abcdefgh0123456789", min_size=1, max_size=6), unique=True, max_size=40).map(sorted)


@given(NAMES, st.integers(0, 50))
def test_a_pick_of_any_names_is_an_ordered_and_repeatable_subset(names: list[str], limit: int) -> None:
    data = make(names)
    picked = data.pick(limit)
    assert len(picked) == min(limit, len(names))
    assert list(picked.names) == [name for name in names if name in picked.names]
    assert data.pick(limit) == picked
    assert set(data.pick(max(0, limit - 1)).names) <= set(picked.names)


@given(NAMES, st.randoms())
def test_a_pick_does_not_depend_on_the_order_of_the_folder(names: list[str], order: random.Random) -> None:
    mixed = names.copy()
    order.shuffle(mixed)
    one, other = (make(some).pick(5) for some in (names, mixed))
    assert set(one.names) == set(other.names)


@given(NAMES, st.integers(1, 20))
def test_a_split_shares_frames_only_if_there_are_fewer_than_three(names: list[str], calibration: int) -> None:
    data = make(names, labelled=True)
    first, rest = data.split(calibration)
    if len(names) < 3:
        assert first == rest == data
        return
    assert len(first) == min(calibration, len(names) // 3)
    assert set(first.names) | set(rest.names) == set(names)
    assert not set(first.names) & set(rest.names)
    assert first.labelled
    assert rest.labelled


def test_a_missing_video_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4: no such folder or video"):
        load(tmp_path / "gone.mp4")


# Kinds of scenes


def write_pictures(folder: Path, *names: str, masks: bool = False) -> Path:
    """Write small pictures to ``folder/images``, with empty masks if requested."""
    for name in names:
        for place in (folder / "images" / name, *([folder / "masks" / name] if masks else [])):
            place.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place), np.zeros((4, 6, 3) if "images" in place.parts else (4, 6), np.uint8))
    return folder


def test_subfolders_are_kinds_and_masks_are_in_subfolders_of_the_same_names(tmp_path: Path) -> None:
    data = load(write_pictures(tmp_path, "sea/1.png", "sea/2.png", "night/1.png", masks=True))
    assert data.kinds == {"night/1.png": "night", "sea/1.png": "sea", "sea/2.png": "sea"}
    assert [frame.truth.shape for frame in data if frame.truth is not None] == [(4, 6)] * 3


def test_prefixes_are_kinds_only_if_several_of_them_group_all_pictures(tmp_path: Path) -> None:
    names = [f"{kind}_{number}.png" for kind in ("sea", "night") for number in range(3)]
    assert load(write_pictures(tmp_path / "two", *names)).kinds == {name: name.split("_")[0] for name in names}
    assert load(write_pictures(tmp_path / "one", *names[:3])).kinds == {}
    assert load(write_pictures(tmp_path / "some", *names, "plain.png")).kinds == {}
    people = [f"{name}_1.png" for name in ("anna", "bob", "cleo")]
    assert load(write_pictures(tmp_path / "each", *people)).kinds == {}


def test_a_table_of_kinds_overrides_prefixes(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, "sea_1.png", "sea_2.png", "night_1.png")
    rows = "picture,kind\nsea_1.png, water\nsea_2.png,water\nnight_1.png,dark\n"
    (folder / "kinds.csv").write_text(rows, encoding="utf-8")
    assert load(folder).kinds == {"night_1.png": "dark", "sea_1.png": "water", "sea_2.png": "water"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("picture,kind\nsea_1.png,water\n", r"kinds\.csv: 1 of 2 pictures have no kind, such as sea_2\.png"),
        ("picture,kind\nsae_1.png,water\n", r"there is no picture sae_1\.png; did you mean 'sea_1\.png'"),
        ("name,scene\nsea_1.png,water\n", "expected the columns picture,kind and a row for each picture"),
        ("picture,kind\n", "expected the columns picture,kind and a row for each picture"),
        ("picture,kind\n\xff", "can't be read"),
    ],
)
def test_an_incomplete_or_invalid_table_of_kinds_is_refused(tmp_path: Path, text: str, says: str) -> None:
    folder = write_pictures(tmp_path, "sea_1.png", "sea_2.png")
    (folder / "kinds.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=says):
        load(folder)


def test_each_of_several_folders_is_a_kind_unless_it_contains_kinds(tmp_path: Path) -> None:
    street = write_pictures(tmp_path / "a/street", "1.png", "2.png")
    night = write_pictures(tmp_path / "b/night", "1.png")
    nested = write_pictures(tmp_path / "c/nested", "sea/1.png")
    data = load(street, night, nested)
    assert data.kinds == {
        "street/1.png": "street",
        "street/2.png": "street",
        "night/1.png": "night",
        "nested/sea/1.png": "sea",
    }
    assert data.origins == (street, night, nested)
    assert [frame.name for frame in data] == list(data.names)


def test_a_prefix_that_several_folders_share_is_one_kind(tmp_path: Path) -> None:
    one = write_pictures(tmp_path / "one", *(f"sea_{n}.png" for n in range(3)), *(f"night_{n}.png" for n in range(3)))
    other = write_pictures(tmp_path / "other", *(f"sea_{n}.png" for n in range(2)))
    clip = write_pictures(tmp_path / "clip", "00000.png", "00001.png")
    assert Counter(load(one, other, clip).kinds.values()) == {"sea": 5, "night": 3, "clip": 2}


def test_folders_of_the_same_name_are_distinguished_by_their_parents(tmp_path: Path) -> None:
    paths = [write_pictures(tmp_path / name / "val", "1.png") for name in ("a", "b")]
    assert load(*paths).names == ("a/val/1.png", "b/val/1.png")
    with pytest.raises(InputError, match="val: is given twice"):
        load(paths[0], paths[0])


def test_data_with_masks_and_data_without_cannot_be_combined(tmp_path: Path) -> None:
    bare, masked = write_pictures(tmp_path / "bare", "1.png"), write_pictures(tmp_path / "masked", "1.png", masks=True)
    with pytest.raises(InputError, match="bare: has no masks, but other data has"):
        load(masked, bare)


def test_folders_and_videos_may_be_given_together(tmp_path: Path, video: Path) -> None:
    data = load(write_pictures(tmp_path / "bare", "1.png"), video)
    assert len(data) == len(list(data)) == 21
    assert set(data.kinds.values()) == {"bare", "short.mp4"}
    assert data.keep(["short.mp4/3"]).names == ("short.mp4/3",)
    assert float(next(iter(data.keep(["short.mp4/3"]))).pixels.mean()) == pytest.approx(50, abs=4)


def test_hidden_files_are_ignored(tmp_path: Path) -> None:
    """When macOS copies pictures to a USB stick, it adds a hidden file, which isn't a picture, for each."""
    write_pictures(tmp_path, "1.png")
    for name in ("._1.png", ".thumbnails/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"Mac OS X")
    assert load(tmp_path).names == ("1.png",)


def test_a_table_of_kinds_may_have_a_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    write_pictures(tmp_path, "1.png")
    (tmp_path / "kinds.csv").write_bytes(b"\xef\xbb\xbfpicture,kind\r\n1.png,sea\r\n")
    assert load(tmp_path).kinds == {"1.png": "sea"}


def test_shared_frames_are_found_even_if_paths_are_written_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "data", "1.png", "2.png")
    monkeypatch.chdir(tmp_path)
    assert load(Path("data/images")).find_shared(load(tmp_path / "data")) == ["1.png", "2.png"]
    assert load(Path("data")).find_shared(load(write_pictures(tmp_path / "other", "1.png"))) == []
    with pytest.raises(InputError, match="data: is given twice"):
        load(Path("data"), tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    assert load(Path(), write_pictures(tmp_path / "more", "1.png")).names == ("data/1.png", "data/2.png", "more/1.png")
