"""The network's outputs turned into entries."""

from pathlib import Path

import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.frame import Size
from danmatte.tracks import Entry, TrackHeader, TrackReader, TrackWriter
from danmatte.tracks.masks import MaskWriter
from danmatte.tracks.refinement import RefinedRegion, Refiner, Region
from danmatte.tracks.selection import NetworkOutput, SelectedFrame, TrackPlan
from danmatte.tracks.tally import Tally
from danmatte.tracks.track import find_format
from danmatte.video.analysis import FrameAnalysis
from tests.service.scenes import scene

SIZE = Size(90, 160)
PLAN = TrackPlan(SIZE, stabiliser=None)
PICTURE = np.zeros((1, 96, 160, 3), np.uint8)


def select(pts_ms: int, *, held: bool = False, cut: bool = False) -> SelectedFrame:
    grey = np.ascontiguousarray(scene(1)[:90, :160])
    return SelectedFrame(FrameAnalysis(pts_ms, cut, grey, grey), None if held else PICTURE)


def answer(manifest: Manifest, share: float) -> NetworkOutput:
    """Return the network's output for a person on the left side of the frame."""
    values = np.zeros(manifest.regions.shape[1:3], np.float32)
    values[:, : round(share * values.shape[1])] = 1
    return NetworkOutput(values)


def write(
    path: Path, manifest: Manifest, *steps: tuple[SelectedFrame, NetworkOutput | None], plan: TrackPlan = PLAN
) -> tuple[list[Entry], Tally]:
    with TrackWriter(path, TrackHeader(plan.size, "person")) as writer:
        masks = MaskWriter(manifest, Size(720, 1280), plan, writer)
        for selected, given in steps:
            masks.step(selected, given)
        masks.finish()
    with TrackReader(path) as track:
        return list(track), masks.tally


def test_entries_are_marked_as_keyframe_held_or_cut(tmp_path: Path, toy_manifest: Manifest) -> None:
    left = answer(toy_manifest, 0.5)
    entries, tally = write(
        tmp_path / "a.mattes",
        toy_manifest,
        (select(0), left),
        (select(40, held=True), None),
        (select(80, cut=True), answer(toy_manifest, 0)),
    )
    assert [(entry.keyframe, entry.held, entry.cut) for entry in entries] == [
        (True, False, False),
        (False, True, False),
        (True, False, True),
    ]
    assert np.array_equal(entries[0].mask, entries[1].mask)
    assert [entry.coverage for entry in entries] == pytest.approx([0.5, 0.5, 0], abs=0.01)
    assert tally == Tally(masks=3, held=1, cuts=1, inferred=2, looked_closer=0, last_ms=80)


def test_holding_a_mask_before_the_first_one_is_an_error(tmp_path: Path, toy_manifest: Manifest) -> None:
    with pytest.raises(ValueError, match="0 ms: expected probabilities"):
        write(tmp_path / "a.mattes", toy_manifest, (select(0, held=True), None))


def test_masks_in_a_resumed_track_are_computed_but_not_written_again(tmp_path: Path, toy_manifest: Manifest) -> None:
    path, header = tmp_path / "a.mattes", TrackHeader(SIZE, "person")
    left = answer(toy_manifest, 0.5)
    writer = TrackWriter(path, header)
    masks = MaskWriter(toy_manifest, Size(720, 1280), PLAN, writer)
    for pts_ms in (0, 40):
        masks.step(select(pts_ms), left)
    writer.end_segment(80)
    writer.__exit__(KeyboardInterrupt, None, None)  # as if an error had left the `with` block
    entries, tally = write(path, toy_manifest, *((select(pts_ms), left) for pts_ms in (0, 40, 80)))
    assert [entry.pts_ms for entry in entries] == [0, 40, 80]
    assert (tally.masks, tally.inferred) == (3, 5)  # the network ran on the first two again


def test_masks_larger_than_the_working_size_are_enlarged(tmp_path: Path, toy_manifest: Manifest) -> None:
    plan = TrackPlan(Size(720, 1280), stabiliser=None)
    (entry,), _ = write(tmp_path / "a.mattes", toy_manifest, (select(0), answer(toy_manifest, 0.5)), plan=plan)
    assert plan.working == (180, 320)
    assert entry.mask.shape == (720, 1280)
    assert entry.mask[:, :600].all()
    assert not entry.mask[:, 680:].any()


def test_a_second_pass_changes_only_its_region(tmp_path: Path, toy_manifest: Manifest) -> None:
    frame, region = Size(720, 1280), Region(20, 40, Size(30, 40))
    refined = RefinedRegion(np.ones(toy_manifest.regions.shape[1:3], np.float32), region)
    empty = answer(toy_manifest, 0)
    with TrackWriter(tmp_path / "a.mattes", TrackHeader(SIZE, "person")) as writer:
        masks = MaskWriter(toy_manifest, frame, PLAN, writer, Refiner(toy_manifest, frame, PLAN.working))
        masks.step(select(0), NetworkOutput(empty.values, refined))
        masks.step(select(40), empty)
    with TrackReader(tmp_path / "a.mattes") as track:
        first, second = list(track)
    assert first.mask[region.slices].all()
    assert first.mask.sum() == 30 * 40
    assert not second.mask.any()
    assert (masks.tally.inferred, masks.tally.looked_closer) == (2, 1)


def test_each_format_has_the_polarity_that_its_players_expect() -> None:
    assert find_format(Path("a.mattes")).polarity == "person"
    assert find_format(Path("a.webmask")).polarity == "background"


def test_a_held_frame_reuses_the_mask_object_of_the_previous_frame(
    tmp_path: Path, toy_manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    added, add = list[Entry](), TrackWriter.add

    def record(writer: TrackWriter, entry: Entry) -> None:
        added.append(entry)
        add(writer, entry)

    monkeypatch.setattr(TrackWriter, "add", record)
    write(tmp_path / "a.mattes", toy_manifest, (select(0), answer(toy_manifest, 0.5)), (select(40, held=True), None))
    assert added[0].mask is added[1].mask
