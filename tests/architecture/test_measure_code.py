"""Figures of the code are counted correctly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import measure_code
from tests.architecture.sources import ROOT

ONE = '''
class Look:
    """A class that another module has, too."""

    def told(self) -> int:
        return _help()


def _help() -> int:
    # why
    return _often() + _often()


def _often() -> int:
    return 1
'''
SCRIPT = """
// why
export function told(a) {
  return helper(a);
}

function helper(a) {
  return a;
}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Create a tree with the repository's layout and a few known functions."""
    files = {
        "service/danmatte/one.py": ONE,
        "service/danmatte/two.py": "class Look:\n    pass\n",
        "service/danmatte/web/page.js": SCRIPT,
        "workbench/danmatte_workbench/one.py": "def run() -> None:\n    pass\n",
        "tests/service/test_one.py": "def test_one():\n\n    assert True\n",
        "tests/service/web/page.test.js": "check();\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def test_names_helpers_homonyms_and_lines_are_counted(tree: Path) -> None:
    figures = measure_code.measure(tree)["danmatte"]

    assert figures.functions == 3
    assert figures.participles_percent == pytest.approx(33.33)
    assert figures.helpers_used_once_percent == pytest.approx(33.33)
    assert figures.homonyms == ["Look"]
    assert figures.comment_lines == 1
    assert figures.files_under_40_lines == 2
    assert (figures.code_lines, figures.test_lines) == (11, 2)


def test_javascript_is_counted_by_the_same_measures(tree: Path) -> None:
    figures = measure_code.measure(tree)["web"]

    assert figures.functions == 2
    assert figures.participles_percent == 50
    assert figures.helpers_used_once_percent == 50
    assert (figures.code_lines, figures.test_lines) == (7, 1)


@pytest.mark.parametrize(
    ("name", "expected"), [("_painted", True), ("told", True), ("toldApart", True), ("feed", False), ("read", False)]
)
def test_participles_are_distinguished_from_verbs(name: str, expected: bool) -> None:
    assert measure_code.is_participle(name) is expected


def test_the_script_compares_the_working_tree_with_a_commit(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "scripts/measure_code.py", "--base", "HEAD", "--json", out]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert "danmatte_workbench" in run.stdout
    assert set(json.loads(out.read_text("utf-8"))) == {"now", "HEAD"}
