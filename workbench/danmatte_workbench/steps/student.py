"""A smaller graph in the source's place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.steps.base import Step, StepContext, make_step


@dataclass(frozen=True)
class TakeStudent(Step):
    """The graph that was trained to stand for the source, cut, with its head replaced, and taking uint8 pixels.

    ``digest`` is its file's, so that a version tells which one it came from. Sources without a student have an empty
    one, and recipes with this step aren't for them.
    """

    digest: str

    kind: ClassVar[str] = "student"
    from_source: ClassVar[Mapping[str, str]] = {"digest": "student_digest"}

    @property
    def work(self) -> float:
        return 0.4  # it was made to be smaller; by how much, its graph alone tells

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        student = context.source.student
        if not self.digest or student.digest != self.digest:
            raise InputError("student: the model has no such student; its model.toml names one under [student]")
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
