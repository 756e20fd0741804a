"""A module imports only from lower floors, absolutely, and lets in only the libraries of its room."""

from collections.abc import Iterator

import pytest

from tests.architecture.drawing import CONFINED, FLOORS, PACKAGES, ROOTS
from tests.architecture.sources import ROOT, Import, Module, imports, modules

SHARED = ("danmatte", "contract")  # what the workbench may import of the other package


def room(name: str) -> tuple[str, str]:
    """Package and room of a dotted name: ("workbench", "steps") for danmatte_workbench.steps.cut.Cut."""
    package, _, rest = name.partition(".")
    first = rest.partition(".")[0]
    is_room = first in FLOORS[package] or (ROOT / ROOTS[package] / first).is_dir()
    return package, first if is_room or (ROOT / ROOTS[package] / f"{first}.py").is_file() else "__init__"


def faults(module: Module) -> Iterator[str]:
    """What is wrong with a module's imports, in words."""
    for imported in imports(module):
        at = f"{module.where}:{imported.line}"
        package = imported.name.partition(".")[0]
        if imported.relative:
            yield f"{at}: imports are absolute here; write out `{module.package}.…`"
        elif package in PACKAGES:
            if fault := inner_fault(module, imported):
                yield f"{at}: {fault}"
        elif package in CONFINED and not module.name.startswith(CONFINED[package]):
            yield f"{at}: {package} is only for {' and '.join(CONFINED[package])}"


def inner_fault(module: Module, imported: Import) -> str | None:
    """What is wrong with importing one of our own modules, if anything is."""
    package, target = room(imported.name)
    own = room(module.name)[1]
    if package != module.package:
        if (package, target) == SHARED:
            return None
        return f"{module.package} and {package} share {'.'.join(SHARED)} and a folder on disk, nothing else"
    if target == own and (ROOT / ROOTS[package] / own).is_dir():
        return None
    floors = FLOORS[package]
    if target not in floors or own not in floors or floors[target] < floors[own]:
        return None  # unknown rooms have a test of their own
    return f"{own} (floor {floors[own]}) imports {target} (floor {floors[target]}), which isn't below it"


def test_every_import_goes_down() -> None:
    found = dict.fromkeys(fault for module in modules() for fault in faults(module))
    assert not found, "\n".join(found)


def test_every_module_is_in_the_drawing() -> None:
    unknown = []
    for module in modules():
        first = module.name.split(".")[1:2] or ["__init__"]
        if first[0] not in FLOORS[module.package]:
            unknown.append(f"{module.where}: give `{first[0]}` a floor in tests/architecture/drawing.py")
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("danmatte_workbench.errors", "from danmatte_workbench.recipe import Recipe", "isn't below it"),
        ("danmatte_workbench.recipe", "from danmatte_workbench.dataset import Dataset", "isn't below it"),
        ("danmatte_workbench.recipe", "from danmatte_workbench import cli", "isn't below it"),
        ("danmatte_workbench.steps.cut", "from danmatte_workbench.experiment.judge import choose", "isn't below it"),
        ("danmatte_workbench.steps.cut", "def f():\n    import danmatte.frame", "nothing else"),
        ("danmatte.inference.matting", "from danmatte_workbench.errors import InputError", "nothing else"),
        ("danmatte.app", "from .engine import Engine", "absolute"),
        ("danmatte.inference.matting", "import openvino as ov", "only for"),
        ("danmatte.engine", "import tensorflow", "only for"),
        ("danmatte_workbench.experiment.search", "from nncf.quantization import quantize", "only for"),
    ],
)
def test_a_wrong_import_is_found(name: str, line: str, expected: str) -> None:
    assert expected in "".join(faults(written(name, line)))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("danmatte_workbench.recipe", "from danmatte_workbench.errors import InputError"),
        ("danmatte_workbench.steps.cut", "from danmatte_workbench.steps.base import Step"),
        ("danmatte_workbench.training.deeplab.fit", "import keras"),
        ("danmatte.engine", "import openvino"),
        ("danmatte.app", "from aiohttp import web"),
    ],
)
def test_a_right_import_passes(name: str, line: str) -> None:
    assert not list(faults(written(name, line)))


def written(name: str, text: str) -> Module:
    """A module that isn't on disk."""
    return Module(name, ROOT.joinpath(*name.split(".")).with_suffix(".py"), text)
