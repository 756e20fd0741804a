"""Channels that others can stand in for go first, and what remains is fitted to do their work."""

from pathlib import Path

import numpy as np
import pytest

from tests.workbench import inner, tiny
from tests.workbench.conftest import Cook
from workbench.backends import openvino, pruning
from workbench.configuration import Configuration
from workbench.errors import InputError
from workbench.steps import Prune

F32 = Configuration(precision="f32")


def pictures(seed: int, count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (1, inner.SIDE, inner.SIDE, 3), np.uint8) for _ in range(count)]


def pruned(folder: Path, share: float) -> tuple[Path, Path, tuple[int, int]]:
    """The graph, the pruned graph, and the channels before and after."""
    whole = inner.write(folder / "whole.xml").path
    model = openvino.read(whole)
    counts = pruning.prune(model, pictures(0), share)
    return whole, openvino.save(model, folder / "pruned.xml").path, counts


def test_repeated_channels_can_go_without_a_trace(tmp_path: Path) -> None:
    whole, fewer, counts = pruned(tmp_path, 0.6)
    assert counts == (48, 16)
    before, after = openvino.runner(whole, F32), openvino.runner(fewer, F32)
    for picture in pictures(1):
        assert np.abs(before(picture) - after(picture).copy()).max() < 5e-3


def test_channels_really_leave_the_graph(tmp_path: Path) -> None:
    whole, fewer, _ = pruned(tmp_path, 0.3)
    sizes = [path.with_suffix(".bin").stat().st_size for path in (whole, fewer)]
    assert sizes[1] < 0.75 * sizes[0]


def test_more_than_there_is_to_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="every group is down to 16 channels"):
        pruned(tmp_path, 0.9)


def test_a_graph_without_inner_channels_is_refused(cooked: Cook) -> None:
    with pytest.raises(InputError, match="no inner channels"):
        pruning.prune(openvino.read(cooked(tiny.PLAIN).path), pictures(0), 0.2)


def test_no_frames_are_refused(tmp_path: Path) -> None:
    model = openvino.read(inner.write(tmp_path / "graph.xml").path)
    with pytest.raises(InputError, match="no frames"):
        pruning.prune(model, [], 0.2)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 25])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        Prune(share=share)
