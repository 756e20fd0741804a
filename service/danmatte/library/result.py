"""What became of a unit."""

from typing import Literal, TypeAlias

from msgspec import Struct, structs

from danmatte.quality.pooling import Grade, format_score

State: TypeAlias = Literal["made", "judged", "kept", "broken", "given up", "postponed"]
_AGAIN = 4  # the exit code of what may go well another time


class UnitResult(Struct, frozen=True):
    """What became of one unit: a line of the summary.

    `made`: its track is there now, `attempts` of them this time and before; `kept`: it was there already; `judged`: it
    was, and the verdict is new; `broken`: it is there, and `reason` says which frames the video has lost; `given up`:
    it isn't there, for that `reason`; `postponed`: it isn't, for a reason of a place of videos or tracks, and the next
    run tries again.
    Of a video in parts, `part` says which one; `track` is empty until the last one is there and they are joined.
    `verdict` is where the one on the video's quality lies, empty where none is wanted; `grade` and `score` are in it,
    and told where it was found just now.
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
        """The same with how long it took."""
        return structs.replace(self, seconds=round(seconds, 3))

    @property
    def exit_code(self) -> int:
        """0 where a whole track is there, 4 where another run may make it, otherwise 1."""
        return _AGAIN if self.state == "postponed" else int(self.state in ("broken", "given up"))

    def describe(self) -> str:
        """The result in words."""
        words = f"{self.video}{f', part {self.part}' if self.part else ''}: {self.state}"
        if self.state in ("made", "broken"):
            words += f", {self.masks} masks in {self.seconds:.1f} s: {self.track}"
        if self.grade is not None and self.score is not None:
            words += f", {self.grade} ({format_score(self.score)} of 100)"
        if self.state in ("given up", "postponed"):
            words += f" after {self.attempts} attempts"
        return f"{words}: {self.reason}" if self.reason else words
