"""The probability of a person, from the graph's own output."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.graph import surgery
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext


@dataclass(frozen=True)
class Pick(Step):
    """Selects one channel, the probability of a person, from the output; all resizes and the decision stay."""

    person: int

    kind: ClassVar[str] = "pick"
    from_source: ClassVar[Mapping[str, str]] = {"person": "person"}

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        artifact = openvino.save(surgery.pick_person(openvino.read(source), self.person), target)
        return artifact, f"class {self.person} at {artifact.outputs[0].shape[1:3]}"
