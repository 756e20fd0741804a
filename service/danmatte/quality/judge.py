"""The network that scores patches: a published model whose output is one number per picture."""

from collections.abc import Sequence
from pathlib import Path

from danmatte.contract.framing import Framing
from danmatte.contract.ports import PictureInput, ScoreOutput
from danmatte.engine import Served
from danmatte.errors import ModelError
from danmatte.frame import Frame, Pixels, Size
from danmatte.models.standalone import open_version

MODEL = "quality"


class Judge:
    """A model that scores pictures from 0 to 100; thread-safe. Raises ModelError for a model without a score output."""

    def __init__(self, served: Served) -> None:
        manifest = served.manifest
        scores = [number for number, port in enumerate(manifest.outputs) if isinstance(port, ScoreOutput)]
        if not scores or len(manifest.inputs) != 1 or not isinstance(manifest.inputs[0], PictureInput):
            raise ModelError(f"{manifest.name}/{manifest.version}: expected one picture input and a score output")
        self._engine, self._place = served.engine, scores[0]
        self.name = f"{manifest.name}/{manifest.version}"

    @classmethod
    def open(cls, models: Path, name: str = MODEL) -> "Judge":
        """Open the newest version of the model in this folder. Raises UnknownModelError and ModelError."""
        return cls(open_version(models, name, for_many=True))

    def score(self, patches: Sequence[Pixels]) -> list[float]:
        """Return a score for each picture, (h, w, 3) uint8 RGB. Raises EngineError."""
        return [self._score(patch) for patch in patches]

    def _score(self, patch: Pixels) -> float:
        picture, size = self._engine.manifest.picture, Size(*patch.shape[:2])
        ordered = patch if picture.colour == "RGB" else patch[..., ::-1]
        fitted = Framing.for_picture(picture, size).fit(Frame(ordered, size))
        outputs = self._engine.compute((self._engine.arrange(fitted),))
        return min(100.0, max(0.0, float(outputs[self._place].reshape(-1)[0])))
