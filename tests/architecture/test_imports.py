"""`--help` is fast, and every module can be imported alone."""

import json
import resource
import subprocess
import sys
import tomllib

import pytest

from tests.architecture.sources import ROOT, imports, modules

HEAVY = ("tensorflow", "keras", "torch", "nncf", "openvino", "cv2", "grpc")
HELP_CPU_S = 0.5
TRIES = 5  # the best one counts, because the machine may be busy

HELP = """
import atexit, json, sys
sys.argv = [{name!r}, "--help"]
from {module} import {function}
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
sys.exit({function}())
"""

# Third-party libraries are imported first, with their warnings; then each of our modules in a separate process.
ALONE = """
import importlib, json, os, sys, traceback, warnings
names, libraries = json.load(sys.stdin)
for library in libraries:
    try:
        importlib.import_module(library)
    except ImportError:
        pass
failed = []
for name in names:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        warnings.resetwarnings()
        warnings.simplefilter("error")
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
print(json.dumps(failed))
"""


def commands() -> dict[str, tuple[str, str]]:
    """Return the module and the function of each console script by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {name: tuple(target.split(":")) for name, target in project["scripts"].items()}


def ask_for_help(name: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a console script's `--help` in a new interpreter; return the run and its CPU seconds."""
    module, function = commands()[name]
    code = HELP.format(name=name, module=module, function=function)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return run, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize("name", ["workbench", "danmatte"])
def test_help_imports_nothing_heavy(name: str) -> None:
    run, _ = ask_for_help(name)
    assert run.returncode == 0, run.stderr
    assert "usage:" in run.stdout
    loaded = {module.partition(".")[0] for module in json.loads(run.stderr.splitlines()[-1])}
    assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize("name", ["workbench", "danmatte"])
def test_help_takes_little_cpu_time(name: str) -> None:
    spent = []
    for _ in range(TRIES):
        spent.append(ask_for_help(name)[1])
        if spent[-1] < HELP_CPU_S:
            return
    pytest.fail(f"{name} --help took {min(spent):.2f} s of CPU at best, expected less than {HELP_CPU_S} s")


def test_every_module_imports_alone_without_a_warning() -> None:
    names = [module.name for module in modules() if not module.name.endswith("__main__")]
    own = {module.package for module in modules()}
    foreign = {found.name for module in modules() for found in imports(module) if not found.relative}
    libraries = sorted({name for found in foreign for name in prefixes(found)} - own)
    given = json.dumps([names, [name for name in libraries if name.partition(".")[0] not in own]])
    command = [sys.executable, "-c", ALONE]
    run = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == [], run.stderr


def prefixes(name: str) -> list[str]:
    """Return a, a.b and a.b.c for a.b.c."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def test_each_package_creates_its_openvino_core_in_one_place() -> None:
    """If a process has two of them and the first is destroyed first, a thread loses its signal stack."""
    own = {"service/danmatte/engine/compilation.py", "workbench/danmatte_workbench/runtimes/core.py"}
    opened = {
        str(path.relative_to(ROOT))
        for folder in ("service", "workbench", "scripts", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if "ov.Core()" in path.read_text(encoding="utf-8")
    }
    assert opened - own == {
        "scripts/peers/masking.py",
        "tests/architecture/test_imports.py",
        "tests/workbench/runtimes/test_core.py",
    }
