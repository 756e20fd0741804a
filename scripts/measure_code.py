"""Figures of the code: names, helpers, homonyms, sizes, and length of the tests.

    python scripts/measure_code.py [--json FILE] [--base REV]

`--base` compares the working tree with a commit. Shares are percentages of a part's functions.
"""

import argparse
import ast
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
Function = ast.FunctionDef | ast.AsyncFunctionDef

# Folders of each part's sources and tests. The first folder of sources that exists is used; the second is that of
# commits before 0.2.0.
SOURCES = {
    "danmatte": ("service/danmatte", "service"),
    "danmatte_workbench": ("workbench/danmatte_workbench", "workbench"),
    "web": ("service/danmatte/web", "service/web"),
}
TESTS = {
    "danmatte": ("tests/service", "tests/conformance", "tests/contract"),
    "danmatte_workbench": ("tests/workbench",),
    "web": ("tests/service/web",),
}
IRREGULAR = frozenset(
    re.findall(
        r"\w+",
        """told shown drawn made found kept held sent seen known given taken built said heard written chosen done gone
        left met thought brought felt begun broken bound driven fallen fed forgotten gotten grown hidden laid led lost
        meant paid shrunk spent spoken stood sung sunk swept taught thrown understood worn wound""",
    )
)
NOT_PARTICIPLES = frozenset({"need", "feed", "embed", "seed", "speed", "exceed", "proceed"})
JAVASCRIPT_FUNCTION = re.compile(
    r"\b(?P<export>export\s+)?(?:async\s+)?function\*?\s+(?P<function>\w+)"
    r"|\b(?:const|let)\s+(?P<arrow>\w+)\s*=\s*(?:async\s*)?(?:\([^()]*\)|\w+)\s*=>"
    r"|^\s+(?:(?:static|async|get|set)\s+)*\*?\s*(?P<private>#)?(?P<method>\w+)\([^()]*\)\s*\{$",
    re.MULTILINE,
)
JAVASCRIPT_KEYWORDS = frozenset({"if", "for", "while", "switch", "catch", "function", "constructor"})


@dataclass(frozen=True)
class Figures:
    """Figures of one part's sources and tests; empty lines aren't counted in lines of code and tests."""

    functions: int
    median_lines: float
    ninetieth_percentile_lines: int
    participles_percent: float
    helpers_used_once_percent: float
    homonyms: list[str]  # names of classes that two modules of the part define
    files_under_40_lines: int
    files_over_400_lines: int
    comment_lines: int
    code_lines: int
    test_lines: int
    tests_to_code: float


def is_participle(name: str) -> bool:
    """Return whether a function's first word is a past participle, as in ``told`` and ``_painted``."""
    word = re.split(r"_|(?=[A-Z])", name.strip("_"))[0]
    return word in IRREGULAR or (word.endswith("ed") and word not in NOT_PARTICIPLES)


def measure_python(root: Path, part: str) -> Figures:
    """Return the figures of one package under ``root``."""
    texts = read_sources(root, part, "*.py")
    trees = [ast.parse(text) for text in texts.values()]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, Function)]
    classes = Counter(
        name for tree in trees for name in {n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
    )
    return summarize(
        texts,
        count_test_lines(root, part, "*.py"),
        names=[node.name for node in functions],
        lengths=[(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions],
        once=sum(map(count_helpers_used_once, trees)),
        homonyms=sorted(name for name, count in classes.items() if count > 1),
    )


def count_helpers_used_once(tree: ast.Module) -> int:
    """Return the number of private functions and methods to which their module refers exactly once."""
    used = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    used.update(node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    names = [node.name for node in ast.walk(tree) if isinstance(node, Function)]
    return sum(name.startswith("_") and not is_dunder(name) and used[name] == 1 for name in names)


def measure_web(root: Path) -> Figures:
    """Return the figures of the page's JavaScript; names are found by patterns, and lengths aren't measured."""
    texts = read_sources(root, "web", "*.js")
    names, once = [], 0
    for text in texts.values():
        for found in JAVASCRIPT_FUNCTION.finditer(text):
            name = found["function"] or found["arrow"] or found["method"]
            if name not in JAVASCRIPT_KEYWORDS:
                names.append(name)
                is_private = found["private"] if found["method"] else not found["export"]
                once += bool(is_private) and len(re.findall(rf"\b{name}\b", text)) == 2
    return summarize(texts, count_test_lines(root, "web", "*.js"), names=names, lengths=[0], once=once, homonyms=[])


def summarize(
    texts: dict[Path, str], test_lines: int, *, names: list[str], lengths: list[int], once: int, homonyms: list[str]
) -> Figures:
    """Return figures from what was found in a part's sources."""
    count = max(1, len(names))
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    code = sum(map(count_lines, texts.values()))
    return Figures(
        functions=len(names),
        median_lines=median(lengths),
        ninetieth_percentile_lines=sorted(lengths)[int(0.9 * len(lengths))],
        participles_percent=round(100 * sum(map(is_participle, names)) / count, 2),
        helpers_used_once_percent=round(100 * once / count, 2),
        homonyms=homonyms,
        files_under_40_lines=sum(count < 40 for path, count in lines.items() if path.name != "__init__.py"),
        files_over_400_lines=sum(count > 400 for count in lines.values()),
        comment_lines=sum(is_comment(line) for text in texts.values() for line in text.splitlines()),
        code_lines=code,
        test_lines=test_lines,
        tests_to_code=round(test_lines / max(1, code), 2),
    )


def read_sources(root: Path, part: str, pattern: str) -> dict[Path, str]:
    """Return the part's source files and their text."""
    home = next(root / place for place in SOURCES[part] if (root / place).is_dir())
    return {path: path.read_text("utf-8") for path in sorted(home.rglob(pattern))}


def count_test_lines(root: Path, part: str, pattern: str) -> int:
    """Return the number of lines of the part's tests, in files that match ``pattern``."""
    files = (path for place in TESTS[part] for path in (root / place).rglob(pattern))
    return sum(count_lines(path.read_text("utf-8")) for path in files)


def count_lines(text: str) -> int:
    """Return the number of lines that aren't empty."""
    return sum(bool(line.strip()) for line in text.splitlines())


def is_comment(line: str) -> bool:
    """Return whether a line of Python or JavaScript is only a comment."""
    return line.strip().startswith(("#", "//")) and not line.startswith("#!")


def is_dunder(name: str) -> bool:
    """Return whether a name begins and ends with two underscores, so that Python calls it."""
    return name.startswith("__") and name.endswith("__")


def measure(root: Path) -> dict[str, Figures]:
    """Return the figures of every part of the tree at ``root``."""
    return {part: measure_web(root) if part == "web" else measure_python(root, part) for part in SOURCES}


def measure_commit(revision: str) -> tuple[dict[str, Figures], int]:
    """Return the figures of a commit, unpacked into a temporary folder, and the number of its README's lines."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        return measure(Path(folder)), count_readme(Path(folder))


def count_readme(root: Path) -> int:
    """Return the number of lines of README, including empty ones."""
    return len((root / "README.md").read_text("utf-8").splitlines())


def format_table(sides: dict[str, dict[str, Figures]]) -> Iterable[str]:
    """Yield a table with a line for each figure and a column for each side, under each part's name."""
    for part in SOURCES:
        yield f"{part:34}" + "".join(f"{side:>16}" for side in sides)
        for field in fields(Figures):
            values = [getattr(side[part], field.name) for side in sides.values()]
            cells = (f"{len(value) if isinstance(value, list) else value:>16}" for value in values)
            yield f"  {field.name.replace('_', ' '):32}" + "".join(cells)
        if names := next(iter(sides.values()))[part].homonyms:
            yield f"  these are: {', '.join(names)}"


def main() -> int:
    """Measure the working tree and, with ``--base``, a commit."""
    parser = argparse.ArgumentParser(prog="scripts/measure_code.py", description=__doc__)
    parser.add_argument("--base", metavar="REV", help="a commit to compare with")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args()
    sides, readme = {"now": measure(ROOT)}, {"now": count_readme(ROOT)}
    if options.base:
        sides[options.base], readme[options.base] = measure_commit(options.base)
    print("\n".join(format_table(sides)))
    print(f"{'README lines':34}" + "".join(f"{lines:>16}" for lines in readme.values()))
    if options.json:
        parts = {side: {part: asdict(found) for part, found in figures.items()} for side, figures in sides.items()}
        found = {side: {**parts[side], "readme_lines": readme[side]} for side in parts}
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
