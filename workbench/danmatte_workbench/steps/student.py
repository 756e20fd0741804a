"""A smaller graph in place of the source."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.steps.base import Step, StepContext, make_step


@dataclass(frozen=True)
class TakeStudent(Step):
    """Takes the student: the smaller graph trained to replace the source, cut, with a new head and uint8 input.

    ``digest`` is that of the student's file, which records the graph that a version was made from. It is empty for a
    source without a student; recipes with this step are then left out.
    """

    digest: str

    kind: ClassVar[str] = "student"
    from_source: ClassVar[Mapping[str, str]] = {"digest": "student_digest"}

    @property
    def work(self) -> float:
        return 0.4  # a guess; the real share depends on the student's graph

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        student = context.source.student
        if not self.digest or student.digest != self.digest:
            raise InputError(f"student: the model.toml has no [student] whose graph has the digest {self.digest!r}")
        path, size = student.path, student.size
        cut: dict[str, Any] = {"shape": (1, *size, 3)}
        for kind, fields in (("cut", cut), ("head", {}), ("preprocess", {})):
            graph = target if kind == "preprocess" else target.with_name(f"{target.stem}-{kind}.xml")
            artifact, _ = make_step(kind, fields, context.source).apply(path, graph, context)
            if path != student.path:
                path.unlink()
                path.with_suffix(".bin").unlink()
            path = artifact.path
        return artifact, f"{student.path.name} at {size[1]}×{size[0]}"
