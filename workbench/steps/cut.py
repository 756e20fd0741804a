"""The network alone, without what feeds it and what follows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workbench.artifact import Artifact
from workbench.backends import openvino
from workbench.steps.base import Kitchen, Step


@dataclass(frozen=True)
class Cut(Step):
    """A frozen graph to IR, from ``input`` (``0:node``, a node's input port) to ``output`` (a node).

    The new input takes ``shape`` (1, H, W, 3), float32, normalised as the first convolution expects it.
    """

    input: str
    output: str
    shape: tuple[int, ...]

    kind: ClassVar[str] = "cut"
    from_source: ClassVar[Mapping[str, str]] = {"input": "port", "output": "node", "shape": "shape"}

    def apply(self, source: Path, target: Path, kitchen: Kitchen) -> tuple[Artifact, str]:
        model = openvino.cut(source, inputs=self.input, output=self.output, shape=self.shape)
        return openvino.save(model, target), f"{self.input} … {self.output}"
