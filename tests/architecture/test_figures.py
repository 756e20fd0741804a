"""Figures in papers are the stored measurements."""

import subprocess
import sys

from tests.architecture.sources import ROOT


def test_figures_in_documents_equal_the_stored_measurements() -> None:
    command = [sys.executable, "scripts/figures.py", "--check"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, f"{found.stdout}{found.stderr}; run scripts/figures.py"
