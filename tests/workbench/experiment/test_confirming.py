"""Other frames confirm the winner than those that choose it, and the reported loss holds on new pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.budget import Budget
from danmatte_workbench.dataset import Dataset, FrameFile
from danmatte_workbench.errors import InputError
from danmatte_workbench.experiment.confirming import Division, Referee
from danmatte_workbench.experiment.trial import LevelAccuracy, Trial
from danmatte_workbench.metrics import Score
from danmatte_workbench.metrics.accuracy import Accuracy, ScoredFrames
from tests.workbench.facts import HOST, measured, trial

AREA = 10_000


def make_frames(count: int, kinds: Sequence[str] = ("",)) -> Dataset:
    """Return frames with the kinds in alternation."""
    kinds = [kinds[number % len(kinds)] for number in range(count)]
    return Dataset(tuple(FrameFile(f"{n}.jpg", Path("x"), "", True, kind, f"{n}") for n, kind in enumerate(kinds)))


def make_score(name: str, lost: float) -> Score:
    """Return the score of a picture that loses this many points."""
    both = round(AREA * (1 - lost / 100))
    return Score(name, both, AREA, both, AREA, truth=AREA, painted=both, counted=4 * AREA)


@dataclass
class KnownLosses:
    """Points that each trial loses in each frame, by names; every call is recorded."""

    lost: dict[str, dict[str, float]]
    data: Dataset
    calls: list[tuple[str, frozenset[str], float]] = field(default_factory=list)

    def __call__(
        self, picks: Sequence[tuple[Trial, Dataset]], confidence: float, level: str = "", *, anew: bool = False
    ) -> Accuracy:
        scores = [
            make_score(name, self.lost[item.name + level][name]) for item, frames in picks for name in frames.names
        ]
        self.calls += [(item.name, frozenset(frames.names), confidence) for item, frames in picks]
        own = [make_score(score.name, 0.0) for score in scores]
        return ScoredFrames(scores, own, self.data.kinds).measure(HOST, confidence=confidence, anew=anew)


def enter(known: KnownLosses, division: Division, budget: Budget, speeds: dict[str, float]) -> list[Trial]:
    """Return trials as after a race: judged on the choosing frames."""
    found = []
    for name, speed in speeds.items():
        item = trial(name, measured("throughput", speed))
        found.append(item.take(known([(item, division.choosing)], 0.95)).judge(budget))
    known.calls.clear()
    return found


def draw(data: Dataset, mean: float, seed: int) -> dict[str, float]:
    """Return losses around a mean, with heavy tails like real ones: most pictures lose nothing, some lose much."""
    values = np.random.default_rng(seed).standard_t(3, len(data))
    return {name: float(np.clip(mean + 1.5 * value, -20, 60)) for name, value in zip(data.names, values, strict=True)}


def test_many_frames_are_divided_and_few_are_cross_validated() -> None:
    many = Division.of(make_frames(120, ("sea", "night")))
    assert (len(many.choosing), len(many.confirming), many.folds) == (40, 80, ())
    assert not set(many.choosing.names) & set(many.confirming.names)
    few = Division.of(make_frames(25))
    assert few.choosing == few.confirming == make_frames(25)
    assert sorted(name for fold in few.folds for name in fold.names) == sorted(few.choosing.names)
    assert {len(fold) for fold in few.folds} == {2, 3}
    assert [len(fold) for fold in Division.of(make_frames(1)).folds] == [1]


def test_frames_are_divided_even_if_each_has_a_different_kind() -> None:
    """With a folder for each person, each kind has a single picture."""
    many = Division.of(make_frames(120, [f"person{number}" for number in range(120)]))
    assert (len(many.choosing), len(many.confirming), many.folds) == (40, 80, ())
    few = Division.of(make_frames(40, [f"person{number}" for number in range(40)]))
    assert [len(fold) for fold in few.folds] == [4] * 10


def test_the_winners_loss_is_measured_on_frames_that_did_not_choose_it() -> None:
    data = make_frames(150)
    division = Division.of(data)
    lucky = {name: -3.0 if name in division.choosing.names else 0.4 for name in data.names}
    known = KnownLosses({"lucky": lucky, "other": dict.fromkeys(data.names, 0.1)}, data)
    entered = enter(known, division, Budget(0.5), {"lucky": 90, "other": 50})
    first, other = Referee(division, Budget(0.5), "throughput", known).confirm(entered)
    assert first.verdict.accepted
    assert first.get("iou_drop").value == pytest.approx(0.4)  # type: ignore[union-attr]
    assert first.confirmation is not None
    assert first.confirmation.choosing.measurements[0].value == pytest.approx(-3)
    assert (first.confirmation.frames, first.confirmation.attempt, first.confirmation.crossed) == (100, 1, False)
    assert first.get("throughput").value == 90  # type: ignore[union-attr]
    assert known.calls == [("lucky", frozenset(division.confirming.names), pytest.approx(0.975))]
    assert other.confirmation is None


def test_a_candidate_whose_losses_vary_too_much_costs_no_attempt() -> None:
    data = make_frames(150)
    division = Division.of(data)
    wild = {name: 12.0 * lost for name, lost in draw(data, 0.0, 4).items()}
    wild = {name: lost - np.mean([wild[item] for item in division.choosing.names]) for name, lost in wild.items()}
    steady = {name: 0.1 * lost for name, lost in draw(data, 0.0, 1).items()}
    known = KnownLosses({"wild": wild, "steady": steady}, data)
    entered = enter(known, division, Budget(0.5), {"wild": 90, "steady": 50})
    assert all(item.verdict.accepted for item in entered)
    first, second = Referee(division, Budget(0.5), "throughput", known).confirm(entered)
    assert first.verdict.broken == ("not confirmed: 100 frames are too few, because its losses vary too much",)
    assert second.verdict.accepted
    assert second.confirmation is not None
    assert second.confirmation.attempt == 1
    assert {name for name, *_ in known.calls} == {"steady"}


def test_a_candidate_whose_losses_vary_is_confirmed_if_it_is_the_only_one() -> None:
    data = make_frames(150)
    division = Division.of(data)
    wild = {name: 12.0 * lost for name, lost in draw(data, -2.0, 4).items()}
    known = KnownLosses({"wild": wild}, data)
    (entered,) = enter(known, division, Budget(0.5), {"wild": 90})
    (found,) = Referee(division, Budget(0.5), "throughput", known).confirm([entered])
    assert found.confirmation is not None


def test_if_the_winner_is_not_confirmed_the_next_is_with_a_wider_interval() -> None:
    data = make_frames(150)
    division = Division.of(data)
    lucky = {name: 0.0 if name in division.choosing.names else 2.0 for name in data.names}
    steady = {name: 0.2 * lost for name, lost in draw(data, 0.0, 1).items()}
    known = KnownLosses({"a": lucky, "b": lucky, "c": steady}, data)
    lines: list[str] = []
    referee = Referee(division, Budget(0.5), "throughput", known, lines.append)
    a, b, c = referee.confirm(enter(known, division, Budget(0.5), {"a": 90, "b": 80, "c": 50}))
    assert [item.verdict.accepted for item in (a, b, c)] == [False, False, True]
    assert a.verdict.broken == ("not confirmed: iou_drop is 2 points, the limit is 0.5",)
    assert [confidence for *_, confidence in known.calls] == pytest.approx([1 - 0.05 / 2, 1 - 0.05 / 6, 1 - 0.05 / 12])
    alone = known([(c, division.confirming)], 0.95).measurements[0]
    reported = c.get("iou_drop")
    assert reported is not None
    assert reported.high - reported.low > alone.high - alone.low
    assert lines[0].startswith("a: not confirmed, loses 2 points")
    assert lines[2].startswith("c: confirmed, loses ")


def test_if_no_candidate_is_confirmed_none_is_accepted() -> None:
    data = make_frames(150)
    division = Division.of(data)
    lucky = {name: 0.0 if name in division.choosing.names else 2.0 for name in data.names}
    known = KnownLosses({"a": lucky, "b": lucky}, data)
    found = Referee(division, Budget(0.5), "throughput", known).confirm(
        enter(known, division, Budget(0.5), {"a": 9, "b": 8})
    )
    assert not any(item.verdict.accepted for item in found)


def test_a_candidate_over_budget_in_one_kind_of_scene_loses_to_the_next_best() -> None:
    data = make_frames(300, ("day", "night"))
    division = Division.of(data)
    # Overall it loses nothing: it gains by day what it loses at night.
    uneven = {name: 0.9 if kind == "night" else -0.9 for name, kind in data.kinds.items()}
    known = KnownLosses({"uneven": uneven, "even": dict.fromkeys(data.names, 0.2)}, data)
    entered = enter(known, division, Budget(0.5), {"uneven": 90, "even": 50})
    assert entered[0].verdict.broken == (
        "iou_drop in night is 0.9 points, the limit is 0.5, and its whole interval is above it",
    )
    (_, even) = Referee(division, Budget(0.5), "throughput", known).confirm(entered)
    assert even.confirmation is not None
    assert [(item.kind, round(item.loss.value, 1)) for item in even.kinds] == [("day", 0.2), ("night", 0.2)]


def test_a_graph_with_two_configurations_is_confirmed_once() -> None:
    data = make_frames(150)
    division = Division.of(data)
    known = KnownLosses(dict.fromkeys(("a", "b"), dict.fromkeys(data.names, 0.1)), data)
    one, other = enter(known, division, Budget(0.5), {"a": 90, "b": 80})
    other = Trial("b", one.recipe, one.configuration, measurements=other.measurements, verdict=other.verdict)
    found = Referee(division, Budget(0.5), "throughput", known).confirm([one, other])
    assert len(known.calls) == 1
    assert all(item.confirmation for item in found)
    assert found[1].get("throughput").value == 80  # type: ignore[union-attr]


def test_candidates_compared_under_older_instruction_sets_are_confirmed_under_them() -> None:
    data = make_frames(150)
    division = Division.of(data)
    fine = dict.fromkeys(data.names, 0.1)
    lossy = {name: 0.1 if name in division.choosing.names else 2.0 for name in data.names}
    known = KnownLosses({"a": fine, "a old": lossy, "b": fine}, data)
    a, b = enter(known, division, Budget(0.5), {"a": 90, "b": 50})
    a = replace(a, levels=(LevelAccuracy.of(" old", known([(a, division.choosing)], 0.95, " old")),)).judge(Budget(0.5))
    assert a.verdict.accepted
    found, other = Referee(division, Budget(0.5), "throughput", known).confirm([a, b])
    assert found.verdict.broken == ("not confirmed: on  old: iou_drop is 2 points, the limit is 0.5",)
    assert other.verdict.accepted
    assert other.confirmation is not None


def test_a_candidate_that_cannot_be_confirmed_fails_with_the_reason() -> None:
    """Only a broken budget counts as rejection; a failed comparison doesn't."""
    data = make_frames(150)
    division = Division.of(data)
    known = KnownLosses({"a": dict.fromkeys(data.names, 0.1)}, data)
    entered = enter(known, division, Budget(0.5), {"a": 90})

    def refuse(*_: object, **__: object) -> Accuracy:
        raise InputError("no picture has people in its mask")

    (found,) = Referee(division, Budget(0.5), "throughput", refuse).confirm(entered)
    assert found.verdict.broken == ("can't be confirmed: no picture has people in its mask",)
    assert found.state == "failed"


def test_configurations_of_one_graph_are_measured_once_in_each_fold() -> None:
    data = make_frames(20)
    division = Division.of(data)
    known = KnownLosses({"a": draw(data, 0.0, 1)}, data)
    (entered,) = enter(known, division, Budget(90.0), {"a": 90})
    known.calls.clear()
    referee = Referee(division, Budget(90.0), "throughput", known)
    referee.confirm([entered, replace(entered, name="a, other configuration")])
    assert len(known.calls) == 2 * len(division.folds)  # on the other folds, and on the fold itself


def test_cross_validation_reports_a_higher_loss_than_a_lucky_choice() -> None:
    """The winner among ten equal candidates is lucky on its frames; the reported loss isn't."""
    data = make_frames(20)
    division = Division.of(data)
    known = KnownLosses({f"c{n}": draw(data, 1.0, n) for n in range(10)}, data)
    speeds = {f"c{n}": 100.0 - n for n in range(10)}
    entered = enter(known, division, Budget(1.0), speeds)
    referee = Referee(division, Budget(1.0), "throughput", known)
    best = next(item for item in entered if item.verdict.accepted)
    found = next(item for item in referee.confirm(entered) if item.name == best.name)
    assert found.confirmation is not None
    assert found.confirmation.crossed
    assert found.confirmation.confidence == pytest.approx(0.9875)
    reported, chosen = found.get("iou_drop"), best.get("iou_drop")
    assert reported is not None
    assert chosen is not None
    assert reported.value > chosen.value


@pytest.mark.parametrize("count", [30, 240])
def test_reported_intervals_contain_the_true_loss_about_as_often_as_stated(count: int) -> None:
    """All candidates lose 0.4 and the luckiest is chosen; nearly every interval still covers 0.4."""
    data, hits, runs = make_frames(count), 0, 25
    division = Division.of(data)
    for run in range(runs):
        known = KnownLosses({f"c{n}": draw(data, 0.4, 100 * run + n) for n in range(4)}, data)
        entered = enter(known, division, Budget(5.0), {f"c{n}": 50.0 for n in range(4)})
        entered = sorted(entered, key=lambda item: item.measurements[0].value)
        raced = [
            item.add([measured("latency", 1.0 + place)]) for place, item in enumerate(entered)
        ]  # the luckiest is the fastest
        found = Referee(division, Budget(5.0), "latency", known).confirm(raced)
        reported = next(item for item in found if item.confirmation).get("iou_drop")
        assert reported is not None
        hits += reported.low <= 0.4 <= reported.high
    assert hits >= 0.85 * runs
