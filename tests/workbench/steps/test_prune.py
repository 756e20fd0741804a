"""Redundant channels are removed first, and the remaining ones are refitted."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.pruning import pruning
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps import Prune
from tests.workbench import inner, tiny
from tests.workbench.conftest import Build

F32 = configure(precision="f32")


def pictures(seed: int, count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (1, inner.SIDE, inner.SIDE, 3), np.uint8) for _ in range(count)]


def evenly(model: ov.Model) -> dict[str, float]:
    """Return a millisecond for each convolution."""
    return {node.get_friendly_name(): 1.0 for node in model.get_ordered_ops() if "Convol" in node.get_type_name()}


def pruned(folder: Path, share: float, tried: int = 0) -> tuple[Path, Path, str]:
    """Return the graph, the pruned graph, and the step's note."""
    whole = inner.write(folder / "whole.xml").path
    model = openvino.read(whole)
    note = pruning.prune(model, pictures(0), share, evenly(model), tried=tried)
    return whole, openvino.save(model, folder / "pruned.xml").path, note


@pytest.mark.parametrize("tried", [0, 2])
def test_repeated_channels_are_removed_without_changing_the_output(tmp_path: Path, tried: int) -> None:
    whole, fewer, note = pruned(tmp_path, 0.6, tried)
    assert note.startswith("channels 49 → 17,")
    before, after = openvino.make_runner(whole, F32), openvino.make_runner(fewer, F32)
    for picture in pictures(1):
        assert np.abs(before(picture) - after(picture).copy()).max() < 5e-3


def test_measured_losses_are_used_and_correct_the_other_estimates() -> None:
    corrected = pruning.correct_estimates({1: 4.0, 2: 8.0, 3: 1.0, 4: 10.0}, {1: 1.0, 2: 4.0, 3: 0.1})
    assert corrected == pytest.approx({1: 1.0, 2: 4.0, 3: 0.1, 4: 2.5})
    assert pruning.correct_estimates({1: 4.0}, {}) == {1: 4.0}


def test_pruned_channels_are_removed_from_the_weights(tmp_path: Path) -> None:
    whole, fewer, _ = pruned(tmp_path, 0.3)
    sizes = [path.with_suffix(".bin").stat().st_size for path in (whole, fewer)]
    assert sizes[1] < 0.75 * sizes[0]


def test_a_share_beyond_the_removable_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no space has 16 channels to remove"):
        pruned(tmp_path, 0.9)


def test_a_graph_without_prunable_channels_is_refused(built: Build) -> None:
    with pytest.raises(InputError, match="no channels can be pruned"):
        pruning.prune(openvino.read(built(tiny.PLAIN).path), pictures(0), 0.2, {})


def test_pruning_without_frames_is_refused(tmp_path: Path) -> None:
    model = openvino.read(inner.write(tmp_path / "graph.xml").path)
    with pytest.raises(InputError, match="expected calibration frames"):
        pruning.prune(model, [], 0.2, evenly(model))


@pytest.mark.parametrize("tried", [-1, 1.5])
def test_an_invalid_number_of_tries_is_refused(tried: float) -> None:
    with pytest.raises(InputError, match="tried"):
        Prune(share=0.3, tried=tried)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 25])
def test_an_invalid_share_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        Prune(share=share)
