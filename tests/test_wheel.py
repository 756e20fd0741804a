"""The wheel contains everything that it needs, and no package besides its own two."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HATCH = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]


def test_every_bundled_file_exists() -> None:
    assert [source for source in HATCH["force-include"] if not (ROOT / source).exists()] == []
    assert {target.split("/")[1] for target in HATCH["force-include"].values()} == {"bundled"}


def test_both_packages_declare_their_types() -> None:
    assert [folder for folder in HATCH["packages"] if not (ROOT / folder / "py.typed").is_file()] == []


@pytest.mark.slow
def test_the_wheel_contains_both_packages_and_the_bundled_models(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", tmp_path, ROOT]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("danmatte-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"danmatte", "danmatte_workbench"}
    bundled = {name.removeprefix("danmatte/bundled/") for name in names if "/bundled/" in name}
    for model in ("deeplab", "quality"):
        newest = max(int(path.name) for path in (ROOT / "models" / model).iterdir() if path.name.isdecimal())
        files = {f"{newest}/{name}" for name in ("manifest.json", "graph.xml", "graph.bin")}
        assert {f"{model}/{name}" for name in (*files, "MODEL_CARD.md", "model.toml")} <= bundled
    assert {"danmatte/py.typed", "danmatte_workbench/py.typed", "danmatte/web/danmatte.js"} <= names
    assert any(name.startswith("danmatte_workbench/recipes/") for name in names)
    assert any(name.startswith("danmatte_workbench/samples/") for name in names)
    assert "danmatte_workbench/experiment/experience.json" in names


@pytest.mark.slow
def test_a_type_checker_finds_wrong_types_and_misspelt_names(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import danmatte\n"
        "rows: int = danmatte.matte('frame.jpg', (320, 180)).shape[0]\n"
        "masks: str = danmatte.track('film.mp4', 'film.mattes').masks\n"
        "danmatte.mate('frame.jpg')\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--cache-dir", tmp_path, program]
    run = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT / "service")}, capture_output=True, text=True
    )
    complaints = [line.partition(": error: ")[2] for line in run.stdout.splitlines() if ": error: " in line]
    assert len(complaints) == 2, run.stdout
    assert 'expression has type "int", variable has type "str"' in complaints[0]
    assert 'has no attribute "mate"' in complaints[1]
