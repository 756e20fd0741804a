"""The network alone, without the preprocessing before it and the decision after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.graph import conversion
from danmatte_workbench.graph.classes import widen_to_two_classes
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext


@dataclass(frozen=True)
class Cut(Step):
    """Converts the part of a graph from ``input`` (``0:node``, a node's input port) to ``output`` (a node) to IR.

    The new input takes ``shape`` (1, H, W, 3), float32, normalised as the first convolution expects it. A single
    channel with the probability of a person becomes two logits, of which the second is the person's.
    """

    input: str
    output: str
    shape: tuple[int, ...]

    kind: ClassVar[str] = "cut"
    revision: ClassVar[int] = 2
    from_source: ClassVar[Mapping[str, str]] = {"input": "port", "output": "node", "shape": "shape"}

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        model = conversion.cut(source, inputs=self.input, output=self.output, shape=self.shape)
        widened = widen_to_two_classes(model)
        note = f"{self.input} … {self.output}{', one channel as two classes' if widened else ''}"
        return openvino.save(model, target), note
