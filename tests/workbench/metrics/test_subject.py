"""What a subject is given and what it gives back have the same size, whatever size its graph takes."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.benchmark.benchmark import run_benchmark
from danmatte_workbench.configuration import configure, reconfigure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.steps import Shrink, StepContext
from tests.workbench import tiny
from tests.workbench.conftest import Build, Describe

ONE = configure(hint="throughput", precision="f32", streams=1, threads=1, infer_requests=2)


@pytest.fixture
def shrunk(describe: Describe, tmp_path: Path, built: Build) -> Subject:
    return halved(describe, built, tmp_path / "graph.xml")


def halved(describe: Describe, built: Build, target: Path) -> Subject:
    """A graph of half the source's size, handed pictures of the source's size."""
    artifact, _ = Shrink(0.5).apply(built(tiny.PLAIN).path, target, StepContext(describe(tiny.PLAIN), None))
    return replace(Subject.from_artifact("shrunk", describe(tiny.PLAIN), artifact, ONE), canvas=(65, 65))


def test_a_shrunk_graph_brings_what_it_is_handed_to_its_size_itself(shrunk: Subject) -> None:
    frame, _ = tiny.scene(3, 90, 120)
    picture = shrunk.frame_picture(frame)
    assert picture.shape == (1, 65, 65, 3)
    assert shrunk.resize_picture(picture).shape == (1, 33, 33, 3)
    assert np.abs(shrunk.resize_picture(picture).mean() - frame.mean()) < 3


def test_its_masks_lie_where_the_sources_do(shrunk: Subject, describe: Describe, labelled: Dataset) -> None:
    for (_, ours), (_, theirs) in zip(
        shrunk.predict_masks(labelled), Subject.from_source(describe(tiny.PLAIN)).predict_masks(labelled), strict=True
    ):
        assert ours.shape == theirs.shape
        assert (ours & theirs).sum() >= 0.85 * (ours | theirs).sum()


@pytest.mark.parametrize("hint", ["throughput", "latency"])
def test_it_is_timed_from_such_pictures_to_masks_of_their_size(
    shrunk: Subject, labelled: Dataset, hint: str, tmp_path: Path
) -> None:
    watched = Watched(**vars(shrunk) | {"configuration": reconfigure(ONE, hint=hint)}, diary=tmp_path / "diary")
    run_benchmark([watched], [sample.pixels for sample in labelled.pick(2)], rounds=1, round_s=0.05)
    assert set((tmp_path / "diary").read_text().split(";")) == {"(1, 65, 65, 3) in", "(65, 65) out", ""}


@dataclass(frozen=True)
class Watched(Subject):
    """Notes what it is handed, and the size of its masks."""

    diary: Path = Path()

    def resize_picture(self, picture: np.ndarray) -> np.ndarray:
        with self.diary.open("a") as file:
            file.write(f"{picture.shape} in;")
        return super().resize_picture(picture)

    def compute_mask(self, answer: np.ndarray, size: tuple[int, int], frame: tuple[int, int]) -> np.ndarray:
        mask = super().compute_mask(answer, size, frame)
        with self.diary.open("a") as file:
            file.write(f"{mask.shape} out;")
        return mask
