"""Everything in backticks in papers exists: paths in the tree, names in the code, flags in a command's help."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import reference
from tests.architecture.sources import ROOT, tracked

# Decisions and the changelog describe the past; names in them may no longer exist.
HISTORY = ("CHANGELOG.md", "docs/decisions/")
DATA = {".toml", ".json", ".html", ".css", ".txt", ".yaml"}
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
WORD = re.compile(r"--?[a-z][\w-]*|[A-Za-z_](?:[\w.-]*\w)?")
PLACEHOLDER = re.compile(r"<\w+>|…|\bNAME\b|\bN\b|\*")
JAVASCRIPT_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)

# Names from elsewhere: programs, libraries, and sources of pictures.
OUTSIDE = {
    "val_everyday",  # pictures on which scores are measured; not distributed
    "openssl rand -hex 32",
    'printf %s "$KEY" | sha256sum',
    "X-Forwarded-For",
    '{"sha256": 64 lowercase hex digits, "size_bytes": integer}',
    "PUT",
    "/tmp",
    "enableServiceLinks: false",
    "Authorization: Bearer KEY",
    "X-Api-Key: KEY",
    "python -m grpc_tools.protoc -I. --include_imports --descriptor_set_out=<name>.binpb <name>.proto",
    "images/",
    "masks/",
    "object-position",
    "Access-Control-Expose-Headers: Content-Range",
    "grace_hopper.jpg",
    "night_001.jpg",
    "npx vite",
    "documentPictureInPicture",
    "artplayer-plugin-danmuku",
    "isCustomElement",
}
OUTSIDE_PREFIXES = ("skimage.data.",)


def read_python(text: str) -> Iterator[str]:
    """Yield names and strings of a module, without comments and docstrings."""
    tree = ast.parse(text)
    explained = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, explained) and ast.get_docstring(node)
    }
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "module", "asname"):
            if isinstance(name := getattr(node, field, None), str):
                yield name
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in docstrings:
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")


def read_source(path: Path) -> Iterator[str]:
    """Yield a file's texts for the vocabulary; nothing for papers and tests."""
    place = path.relative_to(ROOT).as_posix()
    if place.startswith(("tests/", "docs/")) and not place.startswith("tests/conformance/"):
        return
    if path.suffix == ".py":
        yield from read_python(path.read_text("utf-8"))
    elif path.suffix == ".js":
        yield JAVASCRIPT_COMMENT.sub("", path.read_text("utf-8"))
    elif path.suffix in DATA or (not path.suffix and place.startswith("scripts/")):
        yield path.read_text("utf-8")


@cache
def list_flags() -> dict[str, set[str]]:
    """Return the flags in the help of every command of both programs."""
    helps = reference.render_danmatte_command() + "\n\n" + reference.render_workbench_command()
    sections = (section.partition("\n") for section in helps.split("## ") if section)
    return {title: set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text)) for title, _, text in sections}


def find_wrong_commands(text: str) -> Iterator[str]:
    """Yield an error for every line of a paper's code with a command or flag that doesn't exist."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        called = re.match(r"\s*(?:\.venv/bin/)?((?:danmatte|workbench) [a-z][\w-]+)([^#|]*)", line)
        if called and called[1] not in list_flags():
            yield f"no such command: {line.strip()}"
        elif called and (unknown := set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", called[2])) - list_flags()[called[1]]):
            yield f"{', '.join(sorted(unknown))}: no such flag: {line.strip()}"


@cache
def vocabulary() -> frozenset[str]:
    """Return every name of the code, and every word of the commands' help, the settings and the metrics."""
    texts = [text for path in tracked() for text in read_source(path)]
    texts += [
        reference.TABLES[name]()
        for name in ("danmatte-command", "workbench-command", "settings", "metrics", "javascript")
    ]
    texts += [name for path in tracked() for name in path.relative_to(ROOT).parts]
    whole = "\n".join(texts)
    return (
        frozenset(re.findall(r"\w+", whole))
        | frozenset(re.findall(r"-*[\w-]*\w", whole))
        | frozenset(WORD.findall(whole))
    )


def papers() -> list[str]:
    """Return every paper that describes the present."""
    names = (path.relative_to(ROOT).as_posix() for path in tracked() if path.suffix == ".md")
    return sorted(name for name in names if not name.startswith(HISTORY))


def find_unknown(paper: str, text: str) -> Iterator[str]:
    """Yield an error for every span of a paper that names nothing that exists."""
    for span in dict.fromkeys(SPAN.findall(FENCE.sub("", text))):
        if span in OUTSIDE or span.startswith(OUTSIDE_PREFIXES) or is_path(paper, span):
            continue
        if is_like_path(span):
            yield f"{paper}: no such path: {span}"
        elif unknown := [word for word in WORD.findall(PLACEHOLDER.sub(" ", span)) if not is_known(word)]:
            yield f"{paper}: `{span}`: nothing is called {', '.join(unknown)}"


def is_like_path(span: str) -> bool:
    """Return whether a span looks like a path of this repository: it has folders and ends like a file or folder."""
    return not span.startswith("/") and bool(re.fullmatch(r"[\w.*<>-]+(/[\w.*<>-]+)*(/|/[\w*<>-]+\.\w+)", span))


def is_path(paper: str, span: str) -> bool:
    """Return whether a span is an existing path, from the root or the paper; for a placeholder, its folder counts."""
    if span.startswith("/") or not re.fullmatch(r"[\w./*<>-]+", span):
        return False
    home, place = Path(span.partition("<")[0]), span.partition("<")[1]
    pattern = span.rstrip("/") if not place else str(home if span.partition("<")[0].endswith("/") else home.parent)
    return any(any(root.glob(pattern)) for root in (ROOT, (ROOT / paper).parent) if pattern != ".")


def is_known(word: str) -> bool:
    """Return whether a word, or every part of a dotted one, is in the vocabulary."""
    return word in vocabulary() or word in OUTSIDE or ("." in word and all(map(is_known, word.split("."))))


@pytest.mark.parametrize("paper", papers())
def test_everything_in_backticks_exists(paper: str) -> None:
    unknown = list(find_unknown(paper, (ROOT / paper).read_text("utf-8")))
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("paper", papers())
def test_commands_in_code_blocks_exist(paper: str) -> None:
    text = (ROOT / paper).read_text("utf-8")
    code = "\n".join([*FENCE.findall(text), *re.findall(r"^ {4}.*$", FENCE.sub("", text), re.MULTILINE)])
    wrong = list(find_wrong_commands(code))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "line",
    ["danmatte fly", ".venv/bin/danmatte track a.mp4 --out a.mattes --loser", "workbench optimize x \\\n  --budget 3"],
)
def test_unknown_commands_are_reported(line: str) -> None:
    assert list(find_wrong_commands(line))


@pytest.mark.parametrize(
    "wrong",
    [
        "service/engine.py",
        "Kitchenette",
        "danmatte.contract.nothing_here",
        "--no-such-flag",
        "workbench/gone/<name>.py",
    ],
)
def test_names_that_do_not_exist_are_reported(wrong: str) -> None:
    assert list(find_unknown("README.md", f"Look at `{wrong}`."))


@pytest.mark.parametrize(
    "right",
    [
        "service/danmatte/codecs/<format>.py",
        "danmatte.contract",
        "--closer",
        "models/*/",
        "DANMATTE_PORT",
        "MODEL_CARD.md",
    ],
)
def test_names_that_exist_are_accepted(right: str) -> None:
    assert not list(find_unknown("models/deeplab/MODEL_CARD.md", f"Look at `{right}`."))
