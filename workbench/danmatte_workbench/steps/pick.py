"""The person, as the graph's own answer has it."""

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
    """One channel with the person's probability, from the answer behind all resizes and the decision, which stay."""

    person: int

    kind: ClassVar[str] = "pick"
    from_source: ClassVar[Mapping[str, str]] = {"person": "person"}

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        artifact = openvino.save(surgery.pick_person(openvino.read(source), self.person), target)
        return artifact, f"class {self.person} at {artifact.outputs[0].shape[1:3]}"
