"""A trial from its proposal to the verdict."""

from dataclasses import replace

import pytest

from danmatte_workbench.budget import Budget, Verdict
from danmatte_workbench.configuration import configure
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.experiment.trial import UNTRIED, Trial
from danmatte_workbench.source import Source
from tests.workbench import tiny
from tests.workbench.conftest import Build
from tests.workbench.facts import measured, recipe

BF16 = configure(hint="throughput", precision="bf16")
FRESH = Trial.propose(recipe(name="int8"), BF16, (65, 65))


def test_a_proposal_is_named_after_recipe_and_configuration_and_is_not_accepted() -> None:
    assert (FRESH.name, FRESH.canvas) == ("int8 throughput bf16", (65, 65))
    assert (FRESH.candidate, FRESH.measurements, FRESH.verdict) == (None, (), UNTRIED)
    assert not FRESH.verdict.accepted


def test_trials_that_differ_only_in_their_hint_share_a_comparison() -> None:
    other = Trial.propose(recipe(name="int8"), configure(precision="bf16"))
    assert other.comparison == FRESH.comparison == "int8 bf16"
    assert Trial.propose(recipe(name="int8"), configure()).comparison != FRESH.comparison
    assert Trial.propose(recipe(name="float"), BF16).comparison != FRESH.comparison


def test_a_rejection_adds_its_reason_to_earlier_ones() -> None:
    assert FRESH.reject("too late").verdict == Verdict(("too late",))
    judged = FRESH.add([measured("iou_drop", 3)]).judge(Budget(0.5))
    assert judged.reject("B: its process died").verdict.broken == (
        "B: its process died",
        "iou_drop is 3 u, the limit is 0.5",
    )


def test_measurements_are_added_and_found_by_their_metric() -> None:
    trial = FRESH.add([measured("iou_drop", 0.1)]).add([measured("latency", 9)])
    assert [item.metric for item in trial.measurements] == ["iou_drop", "latency"]
    found = trial.get("latency")
    assert found is not None
    assert found.value == 9
    assert trial.get("throughput") is None
    assert FRESH.measurements == ()


@pytest.mark.parametrize(
    ("measurements", "accepted"),
    [
        ([measured("iou_drop", 0.1), measured("latency", 9)], True),
        ([measured("iou_drop", 0.6), measured("latency", 9)], False),
        ([measured("iou_drop", 0.1), measured("latency", 9, high=11)], False),
        ([measured("iou_drop", 0.1)], False),
        ([], False),
    ],
    ids=["kept", "lossy", "the pessimistic end", "latency unmeasured", "nothing measured"],
)
def test_a_trial_is_accepted_only_if_every_limit_is_kept(measurements: list, accepted: bool) -> None:
    assert FRESH.add(measurements).judge(Budget(0.5, 10)).verdict.accepted is accepted


def test_a_subject_has_the_configuration_and_canvas_of_its_trial(plain: Source, built: Build) -> None:
    artifact = built(tiny.PLAIN)
    candidate = Candidate(FRESH.recipe, "c" * 64, artifact, ())
    subject = replace(FRESH, candidate=candidate, canvas=(40, 80)).to_subject(plain)
    assert (subject.name, subject.configuration, subject.path) == (FRESH.name, BF16, artifact.path)
    assert (subject.digest, subject.canvas, subject.framing.size) == (artifact.digest, (40, 80), (65, 65))


def test_a_trial_that_was_never_built_cannot_be_run(plain: Source) -> None:
    with pytest.raises(AssertionError, match="int8 throughput bf16 was never built"):
        FRESH.to_subject(plain)


def test_equal_trials_count_once_in_a_set() -> None:
    assert len({FRESH, Trial.propose(recipe(name="int8"), BF16, (65, 65)), FRESH.reject("x")}) == 2
