"""Units: what their names depend on, and how they are divided."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danmatte.contract.manifest import Manifest
from danmatte.errors import InvalidParameterError
from danmatte.library.library import Library, Shard, Unit, make_units
from danmatte.library.storage import StoredFile
from danmatte.tracks.batch import TrackOptions
from tests.service.library.units import make_library

FILE = StoredFile("cats/a.mp4", 1000, "etag")


def make_one(file: StoredFile) -> Unit:
    """Return the only unit of a file."""
    (unit,) = make_units(file, "work", 0)
    return unit


@pytest.mark.parametrize(
    "other", [StoredFile("cats/b.mp4", 1000, "etag"), FILE._replace(size_bytes=1001), FILE._replace(revision="other")]
)
def test_a_different_name_size_or_revision_makes_a_different_unit(other: StoredFile) -> None:
    assert make_one(FILE) == make_one(FILE)
    assert make_one(other).digest != make_one(FILE).digest


@pytest.mark.parametrize(
    "options",
    [
        TrackOptions(fps=5),
        TrackOptions(raw=True),
        TrackOptions(closer=True),
        TrackOptions(clock="file"),
        TrackOptions(margin=0.01),
        TrackOptions(regions=("text",)),
    ],
)
def test_options_that_change_masks_change_the_unit(
    tmp_path: Path, toy_manifest: Manifest, options: TrackOptions
) -> None:
    library = make_library(tmp_path)
    assert library.describe_work(toy_manifest) != replace(library, options=options).describe_work(toy_manifest)
    assert library.describe_work(toy_manifest) != replace(library, suffix=".webmask").describe_work(toy_manifest)


def test_options_that_change_no_mask_keep_the_unit(tmp_path: Path, toy_manifest: Manifest) -> None:
    library = make_library(tmp_path)
    other = replace(library, max_attempts=9, item_timeout_s=1.0, options=TrackOptions(again=True))
    assert library.describe_work(toy_manifest) == other.describe_work(toy_manifest)


def test_a_track_is_named_after_its_video_and_digest() -> None:
    unit = make_one(FILE)
    assert unit.name_track(".mattes") == f"cats/a.mp4.{unit.digest}.mattes"
    assert len(unit.digest) == 32


def test_the_longest_video_name_still_gives_a_valid_track_name() -> None:
    unit = make_one(StoredFile(f"cats/{'弹' * 83}.mp4", 1000, "etag"))  # 253 bytes
    name = unit.name_track(".mattes").rpartition("/")[2]
    assert len(name.encode()) <= 255
    assert name.endswith(f".{unit.digest}.mattes")


def test_every_unit_is_in_one_shard_and_shards_have_similar_sizes() -> None:
    units = [make_one(StoredFile(f"{at}.mp4", at, "")) for at in range(3000)]
    held = [[Shard(number, 3).holds(unit) for unit in units] for number in range(3)]
    assert {sum(shards) for shards in zip(*held, strict=True)} == {1}
    assert min(map(sum, held)) > 900


@pytest.mark.parametrize(("text", "shard"), [("0/1", Shard()), ("7/1000", Shard(7, 1000))])
def test_a_shard_is_parsed(text: str, shard: Shard) -> None:
    assert Shard.parse(text) == shard


@pytest.mark.parametrize("text", ["", "1", "1/1", "-1/2", "a/b", "1/", "0/0", "1/2/3"])
def test_an_invalid_shard_is_rejected(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="expected I/N"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suffix": ".webmasq"}, "did you mean '.webmask'"),
        ({"max_attempts": 0}, "max-attempts: expected at least 1"),
        ({"item_timeout_s": 0.0}, "item-timeout-s: expected more than 0"),
        ({"stall_timeout_s": float("nan")}, "stall-timeout-s: expected more than 0"),
    ],
)
def test_an_invalid_option_is_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        Library("videos", "tracks", Path("models"), **options)
