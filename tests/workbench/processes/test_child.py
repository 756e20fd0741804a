"""A child process that serves requests one after another."""

import multiprocessing
import tempfile
from pathlib import Path

import pytest

from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.processes.child import Child, run_isolated
from tests.workbench.answering import fail_at_start, make_adder, make_failing, make_variable_reader


def test_a_child_answers_successive_requests_and_ends() -> None:
    with Child("sums", make_adder, 40) as child:
        assert [child.ask(number, timeout_s=60) for number in (1, 2)] == [41, 42]
    assert multiprocessing.active_children() == []


def test_environment_variables_are_set_for_one_child_only() -> None:
    with Child("names", make_variable_reader, environment={"DANMATTE_TEST": "set"}) as child:
        assert child.ask("DANMATTE_TEST", timeout_s=60) == "set"
    with Child("names", make_variable_reader) as child:
        assert child.ask("DANMATTE_TEST", timeout_s=60) is None


@pytest.mark.parametrize("fate", ["well", "hang"])
def test_temporary_files_are_removed_even_if_the_child_is_killed(fate: str) -> None:
    with Child("names", make_variable_reader) as names, Child("ill", make_failing) as ill:
        place = Path(str(names.ask("TMPDIR", timeout_s=60)))
        (place / "file").touch()
        assert place.name.startswith("workbench-")
        if fate == "hang":
            with pytest.raises(MachineError, match="timed out after"):
                ill.ask(fate, timeout_s=1)
        temporary = Path(ill._temporary)
        assert temporary.is_dir()
    assert not place.exists()
    assert not temporary.exists()


def test_libraries_use_the_childs_temporary_folder() -> None:
    place = Path(run_isolated(tempfile.gettempdir, timeout_s=60))
    assert place.name.startswith("workbench-")
    assert not place.exists()


def test_an_input_error_is_raised_again_and_the_child_continues() -> None:
    with Child("ill", make_failing) as child:
        with pytest.raises(InputError, match=r"x\.xml: isn't a graph"):
            child.ask("refuse", timeout_s=60)
        assert child.ask("well", timeout_s=60) == "well"


def test_an_error_at_start_is_raised_by_the_first_request() -> None:
    with Child("ill", fail_at_start) as child, pytest.raises(InputError, match=r"y\.xml: isn't a graph"):
        child.ask("anything", timeout_s=60)


@pytest.mark.parametrize(
    ("fate", "says"), [("die", r"ill: its process died \(exit code 7\)"), ("hang", r"ill: timed out after 2 s")]
)
def test_a_child_that_dies_or_hangs_is_reported_and_ended(fate: str, says: str) -> None:
    with Child("ill", make_failing) as child:
        assert child.ask("well", timeout_s=60) == "well"
        with pytest.raises(MachineError, match=says):
            child.ask(fate, timeout_s=2)
    assert multiprocessing.active_children() == []
