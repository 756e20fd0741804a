"""Messages that libraries print when they are loaded are suppressed, and all others aren't."""

import os
import subprocess
import sys

import pytest

from danmatte_workbench.processes.silence import silence_stderr


def test_what_is_written_below_python_is_dropped_inside_only(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with silence_stderr():
        os.write(2, b"inside\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_an_exception_comes_out_and_errors_are_heard_again(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="seen"), silence_stderr():
        raise ValueError("seen")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_where_there_is_no_standard_error_nothing_happens() -> None:
    code = (
        "import os, sys; os.close(2); sys.stderr = open(os.devnull, 'w')\n"
        "from danmatte_workbench.processes.silence import silence_stderr\n"
        "with silence_stderr(): print('done')"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "done\n"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["danmatte_workbench.runtimes.tensorflow", "danmatte_workbench.runtimes.nncf"])
def test_a_library_is_imported_without_a_word(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
