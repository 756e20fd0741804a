"""A change that alters masks must raise `REVISION`, by which libraries recognize tracks of older code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from danmatte.tracks.pipeline import REVISION
from tests.service.tracks import reference
from tests.service.tracks.videos import write

_MOST_APART = 0.002  # of a mask's pixels: instruction sets round differently, but any change of a rule differs more

STORE = "python -m tests.service.tracks.reference"
WHAT_TO_DO = (
    "the masks of a drawn clip have changed, and REVISION in danmatte/tracks/pipeline.py hasn't. Libraries would keep "
    "tracks of the earlier code as if this code had made them. If the change is meant, raise REVISION and run "
    f"`{STORE}`"
)


@pytest.fixture(scope="module")
def masks_by_plan() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {name: (masks, facts) for name, masks, facts in reference.make_all()}


@pytest.fixture(scope="module")
def reference_file() -> Path:
    file = reference.find_file()
    assert file.exists(), f"no masks are stored for revision {REVISION}: run `{STORE}`"
    return file


def compare(made: tuple[np.ndarray, np.ndarray], stored: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the largest share of differing pixels of any mask; 1 if times, held masks or cuts differ."""
    (masks, facts), (stored_masks, stored_facts) = made, stored
    if masks.shape != stored_masks.shape or not np.array_equal(facts, stored_facts):
        return 1.0
    return float((masks != stored_masks).mean(axis=(1, 2)).max())


@pytest.mark.parametrize("plan", list(reference.PLANS))
def test_masks_equal_the_stored_ones_of_the_same_revision(
    plan: str, masks_by_plan: dict[str, tuple[np.ndarray, np.ndarray]], reference_file: Path
) -> None:
    apart = compare(masks_by_plan[plan], reference.load(plan, reference_file))
    assert apart <= _MOST_APART, f"{plan}: {100 * apart:.2f} % of a mask's pixels differ: {WHAT_TO_DO}"


def test_a_small_change_of_masks_is_detected(reference_file: Path, tmp_path: Path) -> None:
    video = write(tmp_path / "clip.mkv", reference.draw(), codec="ffv1", pixel="gray")
    other = reference.make_masks(replace(reference.PLANS["usual"], margin=0.02), video)
    assert compare(other, reference.load("usual", reference_file)) > _MOST_APART


def test_a_stored_revision_is_not_overwritten(reference_file: Path) -> None:
    before = reference_file.read_bytes()
    assert "raise REVISION" in reference.store()
    assert reference_file.read_bytes() == before
