"""A child process that serves requests one after another."""

import multiprocessing
import tempfile
from pathlib import Path

import pytest

from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.processes.child import Child, run_isolated
from tests.workbench.answering import adding, ailing, naming, refusing


def test_questions_are_answered_one_after_another() -> None:
    with Child("sums", adding, 40) as child:
        assert [child.ask(number, timeout_s=60) for number in (1, 2)] == [41, 42]
    assert multiprocessing.active_children() == []


def test_the_environment_is_the_childs_alone() -> None:
    with Child("names", naming, environment={"DANMATTE_TEST": "there"}) as child:
        assert child.ask("DANMATTE_TEST", timeout_s=60) == "there"
    with Child("names", naming) as child:
        assert child.ask("DANMATTE_TEST", timeout_s=60) is None


@pytest.mark.parametrize("fate", ["well", "hang"])
def test_temporary_files_go_with_the_child_also_where_it_is_killed(fate: str) -> None:
    with Child("names", naming) as names, Child("ill", ailing) as ill:
        place = Path(str(names.ask("TMPDIR", timeout_s=60)))
        (place / "left").touch()
        assert place.name.startswith("workbench-")
        if fate == "hang":
            with pytest.raises(MachineError, match="timed out after"):
                ill.ask(fate, timeout_s=1)
        temporary = Path(ill._temporary)
        assert temporary.is_dir()
    assert not place.exists()
    assert not temporary.exists()


def test_libraries_make_their_temporary_files_there() -> None:
    place = Path(run_isolated(tempfile.gettempdir, timeout_s=60))
    assert place.name.startswith("workbench-")
    assert not place.exists()


def test_a_refusal_comes_back_as_it_was_and_ends_nothing() -> None:
    with Child("ill", ailing) as child:
        with pytest.raises(InputError, match=r"x\.xml: isn't a graph"):
            child.ask("refuse", timeout_s=60)
        assert child.ask("well", timeout_s=60) == "well"


def test_a_child_that_cannot_start_says_why_when_it_is_asked() -> None:
    with Child("ill", refusing) as child, pytest.raises(InputError, match=r"y\.xml: isn't a graph"):
        child.ask("anything", timeout_s=60)


@pytest.mark.parametrize(
    ("fate", "says"), [("die", r"ill: its process died \(exit code 7\)"), ("hang", r"ill: timed out after 2 s")]
)
def test_a_child_that_dies_or_hangs_is_named(fate: str, says: str) -> None:
    with Child("ill", ailing) as child:
        assert child.ask("well", timeout_s=60) == "well"
        with pytest.raises(MachineError, match=says):
            child.ask(fate, timeout_s=2)
    assert multiprocessing.active_children() == []
