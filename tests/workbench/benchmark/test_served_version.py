"""Choice of the version that scripts/run serves: the bundled one, unless the new one is faster on this machine."""

from pathlib import Path

import pytest

import served_version
from danmatte_workbench.benchmark.benchmark import Rounds
from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.metrics.subject import Subject
from served_version import BUNDLED, FRESH, STOCK, choose, describe, find_better


def race(bundled: float, fresh: float, *, waits: tuple[float, float, float] = (20, 20, 90)) -> Rounds:
    """Return seven rounds in which speeds vary together, as on a busy machine."""
    noise = [1.0, 0.6, 0.9, 1.1, 0.5, 1.0, 0.8]
    speeds = {BUNDLED: bundled, FRESH: fresh, STOCK: 10.0}
    return Rounds(
        {name: [speed * factor for factor in noise] for name, speed in speeds.items()},
        {name: [wait] * 7 for name, wait in zip((BUNDLED, FRESH, STOCK), waits, strict=True)},
    )


@pytest.mark.parametrize(
    ("rounds", "better"),
    [
        (race(50, 15), BUNDLED),
        (race(50, 50), BUNDLED),
        (race(50, 60), FRESH),
        (race(50, 60, waits=(20, 300, 90)), BUNDLED),  # a frame waits longer than in stock TensorFlow
        (race(50, 60, waits=(20, 60, 90)), FRESH),
    ],
    ids=["slower", "as fast", "faster", "faster but late", "faster and prompt enough"],
)
def test_the_new_version_is_served_only_if_certainly_faster_and_prompt_enough(rounds: Rounds, better: str) -> None:
    assert find_better(rounds) == better


def test_the_explanation_of_the_choice_names_both_speedups() -> None:
    words = describe(race(52, 16), (BUNDLED, FRESH))
    assert words.startswith("compared with stock TensorFlow, measured now on this machine: the bundled version 5.2 ×")
    assert "the new version 1.6 × (1.6 to 1.6)" in words


def test_an_only_version_is_served_without_a_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_version, "run_benchmark", lambda *_, **__: pytest.fail("nothing to race"))
    assert choose(tmp_path, tmp_path / "1", None).folder == tmp_path / "1"
    assert choose(tmp_path, None, tmp_path / "2").folder == tmp_path / "2"
    with pytest.raises(WorkbenchError, match="there is no version to serve"):
        choose(tmp_path, None, None)


def test_both_versions_race_against_the_source_on_pictures_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Path(__file__).parents[3] / "models/deeplab"
    raced: list[Subject] = []

    def run(subjects: list[Subject], *_: object, **__: object) -> Rounds:
        raced.extend(subjects)
        return race(50, 70)

    monkeypatch.setattr(served_version, "run_benchmark", run)
    found = choose(models / "model.toml", models / "3", models / "4")
    assert found.folder == models / "4"
    assert [subject.name for subject in raced] == [STOCK, BUNDLED, FRESH]
    assert [subject.canvas for subject in raced[1:]] == [raced[0].framing.size] * 2
