"""Speed of all contenders, in heats: all for a few rounds, the best for many, and each round kept as it ends."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import structs

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.benchmark.interleaved import Lap, Ring, Rounds
from danmatte_workbench.budget import LATENCY
from danmatte_workbench.errors import MachineError, WorkbenchError
from danmatte_workbench.experiment.comparison import Entrant
from danmatte_workbench.experiment.findings import SPEEDUP, THROUGHPUT
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.processes.limits import ProcessLimits

ROUNDS = "rounds"
GROUP = 12  # candidates in a heat: each holds its graph in memory


@dataclass
class Heat:
    """What rounds of the same contenders gave, and why some dropped out, by name."""

    rounds: Rounds = field(default_factory=Rounds)
    dropped: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def add(self, kept: Any) -> None:
        """One more round, as it is kept."""
        self.rounds.add({name: Lap(speed, tuple(latencies)) for name, (speed, latencies) in kept["laps"].items()})
        self.dropped.update(kept["dropped"])
        self.count += 1
        for name in self.dropped:
            self.rounds.throughput.pop(name, None)
            self.rounds.latency_ms.pop(name, None)


@dataclass(frozen=True)
class Track:
    """What is raced on, and where rounds are kept: frames, (H, W, 3) uint8, and about seconds a round for each.

    ended: asked before each round that isn't kept and isn't the first, whether there is no time for it. step: hears
    of each round that was run.
    """

    frames: Sequence[np.ndarray]
    round_s: float
    results: Results
    host: Host
    limits: ProcessLimits
    ended: Callable[[], bool]
    step: Callable[[str], None]

    def open(self, entrants: Sequence[Entrant]) -> "Race":
        """A race among these."""
        return Race(self, tuple(entrants))


class Race:
    """Several heats among the same entrants, whose processes stay from one heat to the next. A context manager."""

    def __init__(self, track: Track, entrants: tuple[Entrant, ...]) -> None:
        self._track = track
        self._entrants = entrants
        self._dropped: dict[str, str] = {}
        contenders = [entrant.contender for entrant in entrants]
        self._ring = Ring(contenders, track.frames, round_s=track.round_s, limits=track.limits, dropped=self._drop)

    def __enter__(self) -> "Race":
        return self

    def __exit__(self, *_: object) -> None:
        self._ring.keep(())

    def _drop(self, name: str, error: WorkbenchError) -> None:
        self._dropped[name] = f"{type(error).__name__}: {error}"

    def heat(self, names: Collection[str], rounds: int, *, least: int = 1) -> Heat:
        """So many rounds among ``names``; those that an earlier run finished are taken from it.

        Fewer, but ``least``, where time ends.
        """
        question = self._question(names)
        heat = Heat()
        for number in range(rounds):
            asked = {**question, "round": number}
            kept = self._track.results.get(ROUNDS, asked)
            if kept is None:
                if heat.count >= least and self._track.ended():
                    break
                self._track.step(f"round {number + 1} of {rounds} among {len(names)}")
                kept = self._run(number, names)
                self._track.results.put(ROUNDS, asked, kept)
            heat.add(kept)
        return heat

    def _run(self, number: int, names: Collection[str]) -> dict[str, Any]:
        laps = self._ring.round(number, names)
        dropped = {name: reason for name, reason in self._dropped.items() if name in names}
        return {"laps": {name: [lap.throughput, lap.latency_ms] for name, lap in laps.items()}, "dropped": dropped}

    def only(self, names: Collection[str]) -> None:
        """Nobody else will be needed again."""
        self._ring.keep(names)

    def _question(self, names: Collection[str]) -> dict[str, Any]:
        """What a round depends on: who runs what, how, on which frames and which machine."""
        entrants = [entrant for entrant in self._entrants if entrant.contender.name in names]
        facts = [
            {
                **entrant.facts,
                "name": entrant.contender.name,
                "configuration": structs.asdict(entrant.contender.configuration),
                "onednn": entrant.contender.onednn,
                "canvas": entrant.contender.canvas,
            }
            for entrant in entrants
        ]
        frames = hashlib.sha256(b"".join(frame.tobytes() for frame in self._track.frames)).hexdigest()
        host = structs.asdict(self._track.host)
        return {"entrants": facts, "frames": frames, "round_s": self._track.round_s, "host": host}


@dataclass(frozen=True)
class Standings:
    """Speeds by name: those of the last heat that each was in. ``finalists`` went all the way."""

    heats: dict[str, Heat]
    finalists: frozenset[str]
    dropped: dict[str, str]

    def fastest(self, names: Sequence[str]) -> str:
        """The one of these that does most frames a second. Raises MachineError when none of them could be raced."""
        speeds = {name: float(np.median(found.throughput[name])) for name in names if (found := self.rounds(name))}
        if not speeds:
            raise MachineError("; ".join(self.dropped[name] for name in names if name in self.dropped))
        return max(speeds, key=lambda name: speeds[name])

    def measurements(self, name: str, fastest: str, host: Host) -> list[Measurement]:
        """Frames a second, how many times the fastest baseline's in the same rounds, and milliseconds a frame."""
        rounds = self.rounds(name)
        if rounds is None:
            return []
        found = [Measurement.median(THROUGHPUT, rounds.throughput[name], "frames/s", host)]
        if fastest in rounds.throughput:
            found.append(Measurement.median(SPEEDUP, rounds.ratios(name, fastest), "×", host))
        if rounds.latency_ms[name]:
            found.append(Measurement.median(LATENCY, rounds.latency_ms[name], "ms", host))
        return found

    def rounds(self, name: str) -> Rounds | None:
        """The rounds that hold the contender's speed beside the baselines'; None where there is none."""
        heat = self.heats.get(name)
        return heat.rounds if heat and name in heat.rounds.throughput else None


@dataclass(frozen=True)
class Heats:
    """Who races whom: all for ``first`` rounds, the ``places`` most promising for ``final``, baselines always."""

    baselines: tuple[str, ...]
    first: int
    final: int
    places: int

    def hold(self, race: Race, candidates: Sequence[str], promise: Callable[[str, Rounds], float | None]) -> Standings:
        """``promise`` rates a candidate by its rounds, higher is better; None for one that needs no more rounds."""
        heats: dict[str, Heat] = {}
        if len(candidates) > self.places:
            for group in groups(candidates):
                race.only([*self.baselines, *group])
                heat = race.heat([*self.baselines, *group], self.first, least=1)
                heats |= dict.fromkeys([*group, *self.baselines], heat)
        rated = {name: promise(name, heats[name].rounds if name in heats else Rounds()) for name in candidates}
        hopeful = sorted((name for name in candidates if rated[name] is not None), key=lambda name: -(rated[name] or 0))
        best = hopeful[: self.places]
        if best or not heats:
            race.only([*self.baselines, *best])
            entered = best or list(candidates)
            heat = race.heat([*self.baselines, *entered], self.final, least=min(self.first, self.final))
            heats |= dict.fromkeys([*entered, *self.baselines], heat)
        dropped = {name: reason for heat in heats.values() for name, reason in heat.dropped.items()}
        return Standings(heats, frozenset(best), dropped)


def groups(names: Sequence[str]) -> list[list[str]]:
    """As few heats as hold all, of about the same size."""
    count = -(-len(names) // GROUP)
    return [list(names[number::count]) for number in range(count)]
