"""The site builds without a warning, references are generated from the code, and links work."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import build_docs
from tests.architecture.sources import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site and return its folder."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "scripts/build_docs.py", "--out", out]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return out


def test_the_site_builds_without_warnings(site: Path) -> None:
    assert (site / "html/index.html").is_file()


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("reference/settings", "DANMATTE_PORT"),
        ("reference/danmatte-command", "usage: danmatte track"),
        ("reference/danmatte-command", "usage: danmatte check-health"),
        ("reference/workbench-command", "usage: workbench optimize"),
        ("reference/http", "POST /v1/mattes"),
        ("reference/errors", "queue_full"),
        ("reference/metrics", "danmatte_requests_total"),
        ("reference/javascript", "attach(video, layer, options)"),
        ("reference/recipes", "int8-shrunk"),
        ("reference/python", "danmatte.client.Live"),
        ("architecture/index", "danmatte_workbench"),
        ("decisions/index", "What builds the documentation?"),
        ("guides/players", "requestVideoFrameCallback"),
    ],
)
def test_pages_show_facts_read_from_the_code(site: Path, page: str, expected: str) -> None:
    text = re.sub(r"<[^>]+>", "", (site / f"html/{page}.html").read_text("utf-8"))
    assert expected in text


def test_a_broken_link_is_rejected(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "docs").mkdir(parents=True)
    (root / "docs/index.md").write_text("# Site\n\n[gone](guides/gone.md)\n", "utf-8")

    with pytest.raises(build_docs.BrokenLinksError, match=r"docs/index\.md: guides/gone\.md"):
        build_docs.stage(root, tmp_path / "source")


def test_links_to_pages_are_kept_and_links_to_other_files_become_names(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "docs/guides").mkdir(parents=True)
    (root / "code.py").touch()
    (root / "CHANGELOG.md").write_text("# Changes\n", "utf-8")
    (root / "docs/guides/one.md").write_text("[new](../../CHANGELOG.md#top), [code](../../code.py)\n", "utf-8")

    build_docs.stage(root, tmp_path / "source")

    text = (tmp_path / "source/guides/one.md").read_text("utf-8")
    assert text == "[new](../changelog.md#top), code (`code.py`)\n"
