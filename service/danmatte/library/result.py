"""The result of a unit."""

from typing import Literal, TypeAlias

from msgspec import Struct, structs

from danmatte.quality.pooling import Grade, format_score

State: TypeAlias = Literal["made", "judged", "kept", "broken", "given up", "postponed"]
_RETRY = 4  # the exit code if another run may succeed


class UnitResult(Struct, frozen=True):
    """The result of one unit: a line of the summary.

    `state` is one of these. `made`: the track was made, after `attempts` attempts in all runs. `kept`: it already
    existed. `judged`: it already existed, and the verdict is new. `broken`: it was made, but the video has lost the
    frames that `reason` names. `given up`: there is no track, for that `reason`, after the maximum number of attempts.
    `postponed`: there is no track because the storage of videos or tracks failed; the next run tries again.

    For a video in parts, `part` says which one this is, and `track` is empty until all parts exist and are joined.
    `verdict` is the name of the video's verdict, empty if the library isn't judged; `grade` and `score` are the new
    verdict's.
    """

    state: State
    video: str
    track: str
    part: str = ""
    attempts: int = 0
    reason: str = ""
    masks: int = 0
    inferred: int = 0
    held: int = 0
    cuts: int = 0
    until_ms: int = 0
    seconds: float = 0.0
    size_bytes: int = 0
    verdict: str = ""
    grade: Grade | None = None
    score: float | None = None

    def time(self, seconds: float) -> "UnitResult":
        """Return the result with how long it took, in seconds."""
        return structs.replace(self, seconds=round(seconds, 3))

    @property
    def exit_code(self) -> int:
        """0 if the unit succeeded, 4 if another run may succeed, otherwise 1."""
        return _RETRY if self.state == "postponed" else int(self.state in ("broken", "given up"))

    def describe(self) -> str:
        """Return the result as text."""
        words = f"{self.video}{f', part {self.part}' if self.part else ''}: {self.state}"
        if self.state in ("made", "broken"):
            words += f", {self.masks} masks in {self.seconds:.1f} s: {self.track}"
        if self.grade is not None and self.score is not None:
            words += f", {self.grade} ({format_score(self.score)} of 100)"
        if self.state in ("given up", "postponed"):
            words += f" after {self.attempts} attempts"
        return f"{words}: {self.reason}" if self.reason else words
