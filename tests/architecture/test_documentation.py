"""Docstrings and papers exist and are consistent."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

from tests.architecture.sources import ROOT, Function, Module, modules, tracked

PAPERS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "THREAT_MODEL.md", "LICENSE", "NOTICE")
LATER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


def undocumented(module: Module) -> Iterator[str]:
    """Yield public names of a module without a docstring; an overriding method needs none."""
    tree = module.tree
    if tree.body and not ast.get_docstring(tree):
        yield f"{module.where}: the module"
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    explained = {method.name for node in classes for method in methods(node) if ast.get_docstring(method)}
    for node in public(tree.body):
        if not ast.get_docstring(node):
            yield f"{module.where}:{node.lineno}: {node.name}"
        if isinstance(node, ast.ClassDef) and not node.bases:
            for method in methods(node):
                if method.name not in explained and not speaks_for_itself(method):
                    yield f"{module.where}:{method.lineno}: {node.name}.{method.name}"


def public(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """Yield functions and classes with public names."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def methods(node: ast.ClassDef) -> Iterator[Function]:
    """Return a class's public methods."""
    return (method for method in public(node.body) if isinstance(method, Function))


def speaks_for_itself(method: Function) -> bool:
    """Return whether a method is a property of one line, which needs no docstring."""
    decorators = {getattr(decorator, "id", "") for decorator in method.decorator_list}
    return "property" in decorators and len(method.body) == 1


def test_everything_public_has_a_docstring() -> None:
    found = [place for module in modules() for place in undocumented(module)]
    assert not found, "without a docstring:\n" + "\n".join(found)


def test_sources_contain_no_notes_of_unfinished_work() -> None:
    sources = [path for path in tracked() if path.suffix in {".py", ".md", ".toml"}]
    unfinished = [str(path.relative_to(ROOT)) for path in sources if LATER.search(path.read_text("utf-8"))]
    assert not unfinished


def test_required_documents_exist() -> None:
    assert [name for name in PAPERS if not (ROOT / name).is_file() or not (ROOT / name).read_text("utf-8")] == []


def test_the_changelog_begins_with_a_version_or_unreleased_changes() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings
    assert re.match(r"Unreleased|\d+\.\d+\.\d+", headings[0])


def test_the_changelog_lists_each_change_once() -> None:
    changes = re.findall(r"^- (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    begins = Counter(change[:40] for change in changes)  # two entries on one change usually begin alike
    assert not [begin for begin, count in begins.items() if count > 1]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 130


def test_modules_listed_in_a_packages_docstring_exist() -> None:
    missing = []
    for module in modules():
        if module.path.name == "__init__.py":
            listed = re.findall(r"^ {4}(\w+) {2,}\S", ast.get_docstring(module.tree) or "", re.MULTILINE)
            home = module.path.parent
            missing += [f"{module.where}: {name}" for name in listed if not list(home.glob(f"{name}*"))]
    assert not missing, "\n".join(missing)
