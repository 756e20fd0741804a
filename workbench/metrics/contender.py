"""A graph and how it is run: what is compared, for accuracy and for speed."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from workbench.artifact import GRAPH, Artifact
from workbench.configuration import Configuration
from workbench.dataset import Sample
from workbench.errors import InputError
from workbench.framing import Framing, Grid
from workbench.hardware import usable_cores
from workbench.source import Source

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Contender:
    """From uint8 pictures of the framing's size to masks.

    feed, fetch: a TensorFlow graph's tensors; unused for an IR. grid: where an IR's probabilities lie; None for a
    graph that answers class numbers at its input's size, of which ``person`` is one. onednn: TensorFlow's switch.
    """

    name: str
    engine: Literal["tensorflow", "openvino"]
    path: Path
    framing: Framing
    person: int = 1
    grid: Grid | None = None
    configuration: Configuration = field(default_factory=Configuration)
    feed: str = ""
    fetch: str = ""
    onednn: bool = True

    def person_map(self, answer: np.ndarray, size: tuple[int, int], frame: tuple[int, int]) -> np.ndarray:
        """What the graph answered as a bool mask of ``size`` for a frame of size ``frame``, (height, width) both."""
        if self.grid is None:
            classes = answer.reshape(answer.shape[-2:] if answer.shape[-1] != 1 else answer.shape[-3:-1])
            return self.framing.mask((classes == self.person).astype(np.float32), Grid(1, 1), size, frame) > 0.5
        return self.framing.mask(answer[0, ..., 0], self.grid, size, frame) > 0.5

    def masks(self, samples: Iterable[Sample]) -> Iterable[tuple[Sample, np.ndarray]]:
        """Each sample with its mask, (H, W) bool, at the frame's own size."""
        run = self.open()
        for sample in samples:
            size = sample.pixels.shape[:2]
            yield sample, self.person_map(run(self.framing.prepare(sample.pixels)), size, size)

    def open(self) -> Run:
        """Load the graph: a function from (1, H, W, 3) uint8 to its answer, one picture at a time."""
        if self.engine == "tensorflow":
            from workbench.backends import tensorflow

            return tensorflow.runner(self.path, feed=self.feed, fetch=self.fetch, threads=usable_cores())
        from workbench.backends import openvino

        return openvino.runner(self.path, self.configuration)


def stock(source: Source, *, onednn: bool = True) -> Contender:
    """The source graph as it is, in TensorFlow."""
    return Contender(
        name=f"TensorFlow, oneDNN {'on' if onednn else 'off'}",
        engine="tensorflow",
        path=source.path,
        framing=source.framing,
        person=source.person,
        feed=source.picture,
        fetch=source.answer,
        onednn=onednn,
    )


def cooked(name: str, source: Source, artifact: Artifact, configuration: Configuration) -> Contender:
    """An IR made from the source."""
    from workbench.backends import openvino, surgery

    return Contender(
        name=name,
        engine="openvino",
        path=artifact.path,
        framing=source.framing,
        person=source.person,
        grid=surgery.read_grid(openvino.read(artifact.path)),
        configuration=configuration,
    )


def published(folder: Path) -> Contender:
    """A version as its manifest has it. Raises InputError when that isn't one of ours."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        resize = manifest["resize"]
        return Contender(
            name=f"{manifest['name']}/{manifest['version']}",
            engine="openvino",
            path=folder / GRAPH,
            framing=Framing(tuple(manifest["input"]["shape"][1:3]), resize["rule"], tuple(resize["fill"])),
            grid=Grid(**manifest["output"]["grid"]),
            configuration=Configuration(**manifest["configuration"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: isn't a published version: {error}") from error
