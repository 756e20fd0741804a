"""Imports follow the floors and the libraries' rooms that pyproject.toml defines for import-linter."""

import os
import subprocess
import sys
from pathlib import Path

from tests.architecture.sources import ROOT, ROOTS, modules

WRONG = {
    "danmatte_workbench/errors.py": "from danmatte_workbench.recipe import Recipe",
    "danmatte_workbench/recipe.py": "from danmatte_workbench import cli",
    "danmatte_workbench/steps/cut.py": "from danmatte_workbench.experiment import judge",
    "danmatte_workbench/source.py": "def read():\n    import danmatte.frame",
    "danmatte_workbench/budget.py": "import aiohttp",
    "danmatte_workbench/experiment/search.py": "from nncf import quantize",
    "danmatte/app.py": "import openvino as ov",
    "danmatte/inference/pool.py": "from danmatte_workbench.errors import InputError",
    "danmatte/codecs/codec.py": "from danmatte.video import motion",
    "danmatte/engine/protocol.py": "import tensorflow",
    "danmatte/a_room_without_a_floor.py": "",
}


def lint(roots: list[Path]) -> subprocess.CompletedProcess[str]:
    """Run import-linter with this repository's contracts over packages under ``roots``."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo", ROOT / "pyproject.toml"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots)), "COLUMNS": "300"}
    return subprocess.run(command, cwd=roots[0], env=environment, capture_output=True, text=True, check=False)


def test_modules_import_only_lower_floors_and_permitted_libraries() -> None:
    run = lint([(ROOT / place).parent for place in ROOTS.values()])
    assert run.returncode == 0, run.stdout + run.stderr


def test_forbidden_imports_are_reported(tmp_path: Path) -> None:
    for module in modules():
        copy = tmp_path / module.package / module.path.relative_to(ROOT / ROOTS[module.package])
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(module.text, "utf-8")
    for name, line in WRONG.items():
        with (tmp_path / name).open("a", encoding="utf-8") as source:
            source.write(f"\n{line}\n")

    run = lint([tmp_path])

    assert run.returncode == 1, run.stderr
    changed = [name.removesuffix(".py").replace("/", ".") for name in WRONG]
    assert [module for module in changed if module not in run.stdout] == []
