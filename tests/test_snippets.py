"""Python snippets in the documentation run unchanged, in a folder with a frame and a video, with a server if needed.

Snippets may use these names without defining them: `jpeg`, `pts`, `show`, `pixels` and `frames`.
"""

import ast
import asyncio
import inspect
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

import danmatte
from tests.service.tracks.videos import walking, write

ROOT = Path(__file__).parents[1]
PAPERS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SAMPLE = ROOT / "workbench/danmatte_workbench/samples/two-speakers.jpg"
FENCE = re.compile(r"^( *)```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8080"


def list_snippets() -> Iterator[tuple[str, str]]:
    """Yield the place and the code of every block of Python."""
    for paper in PAPERS:
        text = paper.read_text("utf-8")
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{paper.relative_to(ROOT)}:{line}", textwrap.dedent(found[2])


SNIPPETS = dict(list_snippets())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which snippets run, with a frame and a short video."""
    place = tmp_path_factory.mktemp("snippets")
    shutil.copyfile(SAMPLE, place / "frame.jpg")
    write(place / "film.mp4", walking(12))
    return place


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Yield the address of `danmatte serve` on a free port."""
    command = [sys.executable, "-m", "danmatte", "serve", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "service", ROOT / "workbench")))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


class Shown(list[Any]):
    """A list of what a snippet has shown."""

    def __call__(self, *things: object) -> None:
        self.append(things)


def run_snippet(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run a snippet, which may await at its top level, as in a notebook; return its names."""
    compiled = compile(code, "<snippet>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & inspect.CO_COROUTINE:

        async def run() -> None:
            await asyncio.wait_for(eval(compiled, names), 60)

        asyncio.run(run())
    else:
        exec(compiled, names)
    return names


@pytest.mark.parametrize("place", SNIPPETS)
def test_each_python_snippet_of_the_documentation_runs(
    place: str, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, shown = SNIPPETS[place], Shown()
    monkeypatch.chdir(folder)
    if ADDRESS in code:
        code = code.replace(ADDRESS, request.getfixturevalue("server"))
        monkeypatch.setattr(danmatte.client.Live, "offer", offer_and_end)
    pixels = cv2.cvtColor(cv2.imread("frame.jpg"), cv2.COLOR_BGR2RGB)
    frames = [(pixels, 0.0), (pixels, 40.0)]
    names = {"jpeg": Path("frame.jpg").read_bytes(), "pts": 40.0, "pixels": pixels, "frames": frames, "show": shown}
    found = run_snippet(code, names)
    if "mask" in found:
        assert found["mask"].any()
    assert shown or "show(" not in code


def offer_and_end(live: danmatte.client.Live, picture: bytes, pts: float, *others: object) -> None:
    """Offer a picture as the last one, so that the snippet's loop over answers ends."""
    _offer(live, picture, pts, *others)
    live.end()


_offer = danmatte.client.Live.offer


def test_the_readme_has_a_python_snippet() -> None:
    assert any(place.startswith("README.md") for place in SNIPPETS)
