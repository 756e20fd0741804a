"""A check that a version's masks on this CPU match those that were stored when it was published."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from danmatte.contract.artifact import Artifact
from danmatte.contract.framing import Framing
from danmatte.contract.stored_answers import StoredAnswers
from danmatte.engine import Engine, Served
from danmatte.errors import EngineError, ModelError

log = logging.getLogger(__name__)
EngineFactory: TypeAlias = Callable[[Artifact], Engine]


@dataclass(frozen=True)
class AnswerCheck:
    """The check of a version when it is opened: its stored pictures are run, and the masks compared with stored ones.

    max_disagreement: points, 100 · (1 − mean IoU), above which a warning is logged or the version is refused.
    """

    reaction: Literal["off", "warn", "refuse"] = "off"
    max_disagreement: float = 2.0

    def open(self, found: Artifact, open_engine: EngineFactory) -> Served:
        """Return the version with its engine. Raises ModelError if it is refused, and what the factory raises."""
        engine = open_engine(found)
        if found.answers is None or self.reaction == "off":
            return Served(found.manifest, engine)
        name = f"{found.manifest.name}/{found.manifest.version}"
        try:
            disagreement = measure(found, found.answers, engine)
        except (ValueError, EngineError) as error:
            engine.close()
            raise ModelError(f"{name}: its stored answers can't be tested: {error}") from error
        if not disagreement > self.max_disagreement:
            return Served(found.manifest, engine, disagreement)
        warning = (
            f"masks on this CPU differ by {disagreement:.1f} points from those stored with the version, "
            f"expected at most {self.max_disagreement:g}"
        )
        if self.reaction == "refuse":
            engine.close()
            raise ModelError(f"{name}: {warning}")
        log.warning("%s: %s", name, warning)
        return Served(found.manifest, engine, disagreement, warning)


NO_CHECK = AnswerCheck()


def measure(found: Artifact, answers: StoredAnswers, engine: Engine) -> float:
    """Return how far the engine's masks are from the stored ones, in points from 0 to 100.

    Raises ValueError and EngineError.
    """
    return answers.measure_disagreement(Framing.of(found.manifest), lambda picture: engine.infer(picture)[0])
