"""Fewer channels for the same masks."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workbench.artifact import Artifact
from workbench.backends import openvino
from workbench.errors import InputError
from workbench.steps.base import Kitchen, Step


@dataclass(frozen=True)
class Prune(Step):
    """``share`` of the inner channels' work taken out, what remains refitted on at most ``frames`` frames."""

    share: float
    frames: int = 96

    kind: ClassVar[str] = "prune"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"prune: share: expected a number between 0 and 1, found {self.share!r}")

    def apply(self, source: Path, target: Path, kitchen: Kitchen) -> tuple[Artifact, str]:
        from workbench.backends import pruning

        model = openvino.read(source)
        pictures = kitchen.pictures(self.frames)
        before, after = pruning.prune(model, pictures, self.share)
        return openvino.save(model, target), f"{before} inner channels are {after}, by {len(pictures)} frames"
