"""Sources of the packages, which are read but not imported."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOTS = {"danmatte": "service/danmatte", "danmatte_workbench": "workbench/danmatte_workbench"}
PACKAGES = tuple(ROOTS)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file: `name` is dotted, without a trailing `__init__`."""

    name: str
    path: Path
    text: str

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))


@dataclass(frozen=True)
class Import:
    """One imported name, dotted and complete; `relative` if it was written with leading dots."""

    name: str
    line: int
    relative: bool = False


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of both packages; fails for an empty package, because tests would pass without sources."""
    found = [module for package in PACKAGES for module in read_package(package)]
    empty = set(PACKAGES) - {module.package for module in found}
    assert not empty, f"no modules found in {', '.join(sorted(empty))}"
    return tuple(found)


def read_package(package: str) -> Iterator[Module]:
    """Yield the modules of one package in order of path."""
    root = ROOT / ROOTS[package]
    for path in sorted(root.rglob("*.py")):
        parts = (package, *path.relative_to(root).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield Module(name, path, path.read_text("utf-8"))


def imports(module: Module) -> Iterator[Import]:
    """Yield all imports anywhere in a module; `from a import b` counts as `a.b`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            for alias in node.names:
                name = f"{origin}.{alias.name}".strip(".")
                yield Import(name, node.lineno, relative=node.level > 0)


def functions(module: Module) -> Iterator[Function]:
    """Yield every function and method, including nested ones."""
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


@cache
def tracked() -> tuple[Path, ...]:
    """Return every file that is in the repository or would be added by `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    found = tuple(path for path in paths if path.is_file() and not path.is_symlink())
    assert found, "git lists no files"
    return found
