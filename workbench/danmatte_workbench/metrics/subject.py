"""A graph and how it is run: the unit that is compared for accuracy and for speed."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import cv2
import numpy as np

from danmatte.contract import ManifestError
from danmatte.contract.artifact import GRAPH, read_manifest
from danmatte.contract.configuration import Configuration
from danmatte.contract.cores import count_cores
from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import LabelledFrame
from danmatte_workbench.errors import InputError
from danmatte_workbench.normalisation import Normalisation
from danmatte_workbench.source import Source

Run: TypeAlias = Callable[[np.ndarray], np.ndarray]
RunAll: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, ...]]
LIBRARIES = {
    "tensorflow": "tensorflow-cpu",
    "tflite": "tensorflow-cpu",
    "onnx": "onnxruntime",
    "openvino": "openvino",
}


@dataclass(frozen=True)
class Subject:
    """A graph that can be run, from frames to masks or to plain tensors.

    digest: of the graph's files; empty if none of its results are stored. canvas: (height, width) of the pictures and
    masks used for timing; the framing's size if None. Accuracy doesn't use it: there the subject frames each picture
    to its input itself.

    feed, fetches: names of the source graph's tensors; empty for an IR made from it. grid: position of an IR's
    probabilities in its input; None for a graph with the source's output: class numbers, logits or probabilities of
    classes, where ``person`` is the class of people. normalisation: applied to pictures before a source graph gets
    them. onednn: whether TensorFlow uses oneDNN. kinds: kinds of its outputs, unless they are masks of people.
    """

    name: str
    engine: Literal["tensorflow", "tflite", "onnx", "openvino"]
    path: Path
    framing: Framing
    digest: str = ""
    person: int = 1
    grid: Grid | None = None
    configuration: Configuration = field(default_factory=configure)
    feed: str = ""
    fetches: tuple[str, ...] = ()
    normalisation: Normalisation | None = None
    onednn: bool = True
    canvas: tuple[int, int] | None = None
    kinds: tuple[str, ...] = ()

    @classmethod
    def from_source(cls, source: Source, *, onednn: bool = True) -> Self:
        """Return the unchanged source graph in the runtime it was made for; ONNX and IR in OpenVINO, float32."""
        common = cls(
            name=f"TensorFlow, oneDNN {'on' if onednn else 'off'}",
            engine="tensorflow",
            path=source.path,
            framing=source.framing,
            digest=source.digest,
            person=source.person,
            feed=source.picture,
            fetches=source.fetches,
            normalisation=source.normalisation if source.normalised else None,
            onednn=onednn,
            kinds=tuple(each.kind for each in source.kinds),
        )
        if source.format == "tflite":
            return replace(common, name="TFLite", engine="tflite")
        if source.format in ("onnx", "ir"):
            return replace(common, name="OpenVINO, the source", engine="openvino", configuration=configure())
        return common

    @classmethod
    def from_stock(cls, source: Source, *, onednn: bool = True) -> Self:
        """Return the source graph in its usual framework: as `from_source`, but ONNX in ONNX Runtime."""
        found = cls.from_source(source, onednn=onednn)
        return replace(found, name="ONNX Runtime", engine="onnx") if source.format == "onnx" else found

    @classmethod
    def from_artifact(cls, name: str, source: Source, artifact: Artifact, configuration: Configuration) -> Self:
        """Return an IR made from the source, for pictures of the IR's input size."""
        from danmatte_workbench.graph import surgery
        from danmatte_workbench.runtimes import openvino

        shape = artifact.inputs[0].shape if artifact.inputs else ()
        framing = source.framing
        if len(shape) == 4 and min(shape[1:3]) > 0:
            framing = replace(framing, size=(shape[1], shape[2]))
        return cls(
            name=name,
            engine="openvino",
            path=artifact.path,
            framing=framing,
            digest=artifact.digest,
            person=source.person,
            grid=surgery.read_grid(openvino.read(artifact.path)),
            configuration=configuration,
            kinds=tuple(each.kind for each in source.kinds),
        )

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """Return a published version, as its manifest describes it. Raises InputError if the manifest is invalid."""
        try:
            manifest = read_manifest(folder)
        except ManifestError as error:
            raise InputError(f"{folder}: isn't a published version: {error}") from error
        return cls(
            name=f"{manifest.name}/{manifest.version}",
            engine="openvino",
            path=folder / GRAPH,
            framing=Framing.of(manifest),
            grid=manifest.regions.grid,
            configuration=manifest.configuration,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """Return everything that the outputs depend on, except the frames and the machine, as plain data."""
        return {
            "graph": self.digest,
            "engine": self.engine,
            "library": version(LIBRARIES[self.engine]),
            "device": self.configuration.device,
            "precision": self.configuration.precision,
            "framing": dataclasses.asdict(self.framing),
            "person": self.person,
            **({"kinds": list(self.kinds)} if self.kinds else {}),
        }

    def frame_picture(self, pixels: np.ndarray) -> np.ndarray:
        """Return a frame, (H, W, 3) uint8, as the picture used for timing, (1, H, W, 3)."""
        framing = replace(self.framing, size=self.canvas) if self.canvas else self.framing
        return framing.fit_exactly(pixels)

    def resize_picture(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture of the canvas's size, (1, H, W, 3), resized to the graph's input size."""
        size = self.framing.size
        if picture.shape[1:3] == size:
            return picture
        return np.asarray(cv2.resize(picture[0], size[::-1], interpolation=cv2.INTER_LINEAR))[None]

    def compute_mask(self, answer: np.ndarray, size: tuple[int, int], frame: tuple[int, int]) -> np.ndarray:
        """Return the graph's output as a bool mask; ``size`` of the mask and of the ``frame`` are (height, width)."""
        if self.grid is not None:
            return self.framing.compute_hard_mask(answer[0, ..., 0], self.grid, size, frame, 0.5)
        margin, threshold = compute_person_margin(answer, self.person)
        grid = Grid.guess(self.framing.size, (margin.shape[0], margin.shape[1]))
        return self.framing.compute_hard_mask(margin, grid, size, frame, threshold)

    def predict_masks(self, frames: Iterable[LabelledFrame]) -> Iterable[tuple[LabelledFrame, np.ndarray]]:
        """Yield each frame with its mask, (H, W) bool, at the frame's size."""
        run = self.load()
        for frame in frames:
            size = frame.pixels.shape[:2]
            yield frame, self.compute_mask(run(self.framing.fit_exactly(frame.pixels)), size, size)

    def predict_tensors(
        self, frames: Iterable[LabelledFrame]
    ) -> Iterable[tuple[LabelledFrame, tuple[np.ndarray, ...]]]:
        """Yield each frame with all outputs of the graph, in the order of the source's ``answers``."""
        run = self.load_all()
        for frame in frames:
            yield frame, tuple(np.array(tensor) for tensor in run(self.framing.fit_exactly(frame.pixels)))

    def load(self) -> Run:
        """Load the graph and return a function from one picture, (1, H, W, 3) uint8, to its first output."""
        run = self.load_all()
        return lambda picture: run(picture)[0]

    def load_all(self) -> RunAll:
        """Load the graph and return a function from one picture, (1, H, W, 3) uint8, to all its outputs."""
        if self.engine == "openvino":  # there, normalisation is part of the graph
            return self._load_openvino()
        size, fetches, threads = self.framing.size, self.fetches, count_cores()
        if self.engine == "tensorflow":
            from danmatte_workbench.runtimes import tensorflow

            run = tensorflow.make_runner_of_all(self.path, feed=self.feed, fetches=fetches, threads=threads)
        elif self.engine == "onnx":
            from danmatte_workbench.runtimes import onnx_runtime

            run = onnx_runtime.make_runner(self.path, fetches=fetches, threads=threads)
        else:
            from danmatte_workbench.runtimes import tflite

            run = tflite.make_runner(self.path, size=size, fetches=fetches, threads=threads)
        normalise = self.normalisation
        return run if normalise is None else lambda picture: run(normalise.apply(picture))

    def _load_openvino(self) -> RunAll:
        from danmatte_workbench.runtimes import openvino

        if not self.fetches:
            return openvino.make_runner_of_all(openvino.compile_file(self.path, self.configuration))
        from danmatte_workbench.graph import conversion

        return conversion.make_source_runner(
            self.path,
            self.configuration,
            shape=(1, *self.framing.size, 3),
            normalisation=self.normalisation,
            answers=self.fetches,
        )


def list_source_subjects(source: Source) -> list[Subject]:
    """Return the source in its runtime, once for each setting that is timed: TensorFlow with oneDNN on and off."""
    found = (Subject.from_source(source), Subject.from_source(source, onednn=False))
    return list({subject.name: subject for subject in found}.values())


def compute_person_margin(answer: np.ndarray, person: int) -> tuple[np.ndarray, float]:
    """Return a segmentation graph's output as a map, (h, w), and a threshold: the person is where the map exceeds it.

    ``answer`` is class numbers, (1, h, w) or (1, h, w, 1); or a person's probability or logit in one channel; or
    probabilities or logits of several classes, channels last or first.
    """
    if not np.issubdtype(answer.dtype, np.floating):
        classes = answer.reshape(answer.shape[-2:] if answer.shape[-1] != 1 else answer.shape[-3:-1])
        return (classes == person).astype(np.float32), 0.5
    scores = answer.reshape(answer.shape[-3:]) if answer.ndim > 3 else answer.reshape(*answer.shape[-2:], 1)
    if scores.shape[0] < scores.shape[-1]:
        scores = np.moveaxis(scores, 0, -1)
    if scores.shape[-1] == 1:
        values = scores[..., 0].astype(np.float32)
        probable = values.min() >= 0 and values.max() <= 1  # logits have both signs
        return values, 0.5 if probable else 0.0
    others = np.delete(scores, person, axis=-1).max(axis=-1)
    return (scores[..., person] - others).astype(np.float32), 0.0
