"""Messages that libraries print when they are loaded are suppressed, and all others aren't."""

import os
import subprocess
import sys

import pytest

from danmatte_workbench.processes.silence import silence_stderr


def test_native_output_is_suppressed_only_inside_the_block(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with silence_stderr():
        os.write(2, b"inside\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_an_exception_is_raised_and_standard_error_is_restored(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="failed"), silence_stderr():
        raise ValueError("failed")
    os.write(2, b"restored\n")
    assert capfd.readouterr().err == "restored\n"


def test_silencing_works_without_a_standard_error() -> None:
    code = (
        "import os, sys; os.close(2); sys.stderr = open(os.devnull, 'w')\n"
        "from danmatte_workbench.processes.silence import silence_stderr\n"
        "with silence_stderr(): print('done')"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "done\n"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["danmatte_workbench.runtimes.tensorflow", "danmatte_workbench.runtimes.nncf"])
def test_importing_a_library_prints_nothing(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
