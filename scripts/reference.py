"""Tables of the reference, in Markdown, generated from the code for the pages under docs/reference.

`scripts/build_docs.py` replaces the line `<!-- generated: NAME -->` of a page by the table of this name.
"""

import ast
import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVICE = ROOT / "service/danmatte"
WORKBENCH = ROOT / "workbench/danmatte_workbench"
WEB = SERVICE / "web"
WEB_MODULES = (
    *("danmatte.js", "options.js", "preferences.js", "controls.js", "element.js", "live.js", "track.js"),
    *(f"adapters/{name}.js" for name in ("danmaku", "artplayer", "dplayer", "nplayer", "xgplayer", "videojs")),
)


def render_settings() -> str:
    """Return a table of the settings of `danmatte serve`, with limits, variables and flags."""
    import msgspec

    from danmatte.settings import PREFIX, Settings

    known = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    rows = [
        (
            f"`{name}`",
            schema["description"],
            format_default(schema["default"]),
            format_schema(schema),
            f"`{PREFIX}{name.upper()}`",
            f"`--{name.replace('_', '-')}`",
        )
        for name, schema in known.items()
    ]
    return table(("setting", "what it is", "default", "values", "variable", "flag"), rows)


def format_default(value: object) -> str:
    """Return a default value for a table's cell."""
    return "empty" if value == "" else f"`{json.dumps(value)}`"


def format_schema(schema: dict[str, Any]) -> str:
    """Return type and limits of a JSON Schema in a few words; empty if any value is accepted."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"] if value is not None)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(filter(None, map(format_schema, options)))
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    limits = f"{low} to {high}" if low is not None and high is not None else f"from {low}" if low is not None else ""
    return " ".join(filter(None, (str(schema.get("type", "")), limits)))


def render_danmatte_command() -> str:
    """Return the help of each command of `danmatte`."""
    return describe_command("danmatte", "danmatte")


def render_workbench_command() -> str:
    """Return the help of each command of `workbench`."""
    return describe_command("workbench", "danmatte_workbench")


def describe_command(program: str, module: str) -> str:
    """Return a section with the help of each command of a program."""
    commands = re.findall(r"^    ([a-z][a-z0-9_-]*)(?: |$)", ask_for_help(module), re.MULTILINE)
    if not commands:
        raise SystemExit(f"{program} --help lists no commands")
    sections = (f"## {program} {name}\n\n```text\n{ask_for_help(module, name)}\n```" for name in commands)
    return "\n\n".join(sections)


def ask_for_help(module: str, *command: str) -> str:
    """Return the output of `python -m MODULE COMMAND --help`."""
    words = [sys.executable, "-m", module, *command, "--help"]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def escape(text: str) -> str:
    """Escape what Markdown would read as HTML or emphasis, outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;").replace("*", r"\*") for part in parts)


def render_http() -> str:
    """Return a section for each tag of the OpenAPI document, with its operations."""
    from danmatte.api.openapi.document import build_document

    described = build_document()
    tags = {tag["name"]: tag["description"] for tag in described["tags"]}
    sections = []
    for tag, about in tags.items():
        sections.append(f"## {tag}\n\n{about[:1].upper()}{about[1:]}.")
        for path, methods in described["paths"].items():
            for method, operation in methods.items():
                if tag in operation["tags"]:
                    sections.extend(describe_operation(method, path, operation))
    return "\n\n".join(sections)


def describe_operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    """Yield the description of an operation: summary, parameters, bodies and responses."""
    yield f"### `{method.upper()} {path}`"
    yield f"{operation['summary']}."
    parameters = [
        (f"`{item['name']}`", item["in"], escape(item.get("description", "")), format_schema(item["schema"]))
        for item in operation.get("parameters", ())
    ]
    if parameters:
        yield table(("parameter", "in", "what it is", "values"), parameters)
    if body := operation.get("requestBody", {}).get("content"):
        yield f"Body: {', '.join(f'`{media}`' for media in body)}."
    answers = {status: list(answer.get("content", ())) for status, answer in operation["responses"].items()}
    kinds = [
        f"{status}: {', '.join(f'`{media}`' for media in media_types)}"
        for status, media_types in answers.items()
        if media_types
    ]
    if kinds:
        yield f"Responses: {'; '.join(kinds)}."


def render_errors() -> str:
    """Return a table of the errors that clients of the service may get, with status and code."""
    from danmatte.errors import ServiceError

    def walk(error: type[ServiceError]) -> Iterator[type[ServiceError]]:
        yield error
        for child in error.__subclasses__():
            if child.__module__ == ServiceError.__module__:
                yield from walk(child)

    rows = [
        (f"`{error.code}`", str(error.status), (error.__doc__ or "").split("\n\n")[0]) for error in walk(ServiceError)
    ]
    return table(("code", "status", "when"), rows)


def render_stream() -> str:
    """Return the layout of the live stream's messages, from their module's docstring."""
    source = (SERVICE / "messages.py").read_text("utf-8")
    return ast.get_docstring(ast.parse(source)) or ""


def render_metrics() -> str:
    """Return a table of the metrics of `/metrics`."""
    from danmatte.telemetry.metrics import Metrics

    page = Metrics().render().decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    rows = [(f"`{name}`", kinds[name], text) for name, text in re.findall(r"^# HELP (\S+) (.+)$", page, re.MULTILINE)]
    return table(("metric", "type", "what it counts"), rows)


def render_recipes() -> str:
    """Return a table of the bundled recipes."""
    rows = []
    for path in sorted((WORKBENCH / "recipes").glob("*.toml")):
        recipe = tomllib.loads(path.read_text("utf-8"))
        steps = ", ".join(f"`{step['kind']}`" for step in recipe.get("step", ()))
        rows.append((f"`{recipe['name']}`", recipe["about"], recipe["effort"], f"`{recipe['meaning']}`", steps))
    return table(("recipe", "what it does", "from effort", "for the meaning", "steps"), rows)


def render_steps() -> str:
    """Return a table of the steps of recipes, with their fields and defaults."""
    import dataclasses

    from danmatte_workbench.steps import Step

    rows = []
    for step in sorted(Step.__subclasses__(), key=lambda step: step.kind):
        fields = (
            f"`{field.name}{'' if field.default is dataclasses.MISSING else f' = {field.default!r}'}`"
            for field in dataclasses.fields(step)
        )
        about = " ".join((step.__doc__ or "").split("\n\n")[0].replace("``", "`").split())
        rows.append((f"`{step.kind}`", escape(about), ", ".join(fields)))
    return table(("step", "what it does", "fields"), rows)


def render_service_classes() -> str:
    """Return a table of the public classes of the service."""
    return list_classes(SERVICE)


def render_workbench_classes() -> str:
    """Return a table of the public classes of the workbench."""
    return list_classes(WORKBENCH)


def list_classes(home: Path) -> str:
    """Return a table of a package's public classes: name, module, and first paragraph of the docstring."""
    rows: list[tuple[str, str, str]] = []
    for path in home.rglob("*.py"):
        module = ".".join(path.relative_to(home).with_suffix("").parts).removesuffix(".__init__")
        rows += [(f"`{node.name}`", f"`{module}`", summarize_docstring(node)) for node in find_classes(path)]
    rows.sort(key=lambda row: (row[0].casefold(), row[1]))
    return table(("class", "module", "what it is"), rows)


def find_classes(path: Path) -> Iterator[ast.ClassDef]:
    """Yield a module's public classes."""
    body = ast.parse(path.read_text("utf-8")).body
    return (node for node in body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))


def summarize_docstring(node: ast.ClassDef | ast.Module) -> str:
    """Return the first paragraph of a docstring in one line."""
    docstring = ast.get_docstring(node) or ""
    return escape(" ".join(docstring.split("\n\n")[0].replace("``", "`").split()))


def render_floors() -> str:
    """Return tables of both packages' rooms, top floor first, with their purpose."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    sections = []
    for contract in contracts:
        if contract["type"] == "layers":
            package = contract["containers"][0]
            rooms = [[room.strip(" ()") for room in layer.split("|")] for layer in contract["layers"]]
            rows = [(f"`{room}`", summarize_room(package, room)) for floor in rooms for room in floor]
            sections.append(f"### {package}\n\n{table(('room', 'what it is for'), rows)}")
    return "\n\n".join(sections)


def render_decisions() -> str:
    """Return a table of the decisions, newest first."""
    rows = []
    for path in sorted((ROOT / "docs/decisions").glob("0*.md"), reverse=True):
        text = path.read_text("utf-8")
        title = text.partition("\n")[0].removeprefix("# ").partition(". ")[2]
        facts = dict(re.findall(r"^- \*\*(\w+)\*\*: (.+)$", text, re.MULTILINE))
        rows.append((path.name[:4], f"[{title}]({path.name})", facts["Area"], facts["Status"], facts["Date"]))
    return table(("", "question", "area", "status", "date"), rows)


def summarize_room(package: str, room: str) -> str:
    """Return the first paragraph of a room's docstring."""
    home = (SERVICE if package == "danmatte" else WORKBENCH) / room
    source = home / "__init__.py" if home.is_dir() else home.with_suffix(".py")
    return summarize_docstring(ast.parse(source.read_text("utf-8")))


def render_javascript() -> str:
    """Return a section for each of the page's modules with its exports, from their JSDoc comments."""
    sections = []
    for name in WEB_MODULES:
        text = (WEB / name).read_text("utf-8")
        parts = [part for comment, rest in find_comments(text) for part in describe_export(comment, rest)]
        if parts:
            sections.append(f"## `{name}`")
            sections.extend(parts)
    return "\n\n".join(sections)


def find_comments(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the lines of every JSDoc comment, and the line of code after it."""
    for found in re.finditer(r"/\*\*(.*?)\*/\s*(?=([^\n]*))", text, re.DOTALL):
        yield [re.sub(r"^\s*\* ?", "", line).rstrip() for line in found[1].strip("\n").splitlines()], found[2]


def describe_export(comment: list[str], code: str) -> Iterator[str]:
    """Yield the parts of a section for an exported function or class, or for a type; nothing for private code."""
    text = "\n".join(comment)
    about, *tags = re.split(r"^\s*@", text, flags=re.MULTILINE)
    fields = [tuple(map(clean_type, found)) for tag in tags if (found := parse_tag(tag))]
    if definition := re.search(r"@typedef \{object\} (\w+)", text):
        yield f"### {definition[1]}"
    elif exported := re.match(r"export (?:async )?(?:function\*?|class) (\w+)(\([^)]*\))?", code):
        yield f"### `{exported[1]}{exported[2] or ''}`"
    else:
        return
    if about.strip():
        yield escape(" ".join(about.split()))
    if fields:
        yield table(("name", "type", "what it is"), fields)


def parse_tag(tag: str) -> tuple[str, str, str] | None:
    """Return name, type and description of a `@param`, `@property` or `@returns`; None for other tags."""
    kind, _, rest = tag.partition(" ")
    if kind not in {"param", "property", "returns"} or not rest.startswith("{"):
        return None
    depths = itertools.accumulate({"{": 1, "}": -1}.get(letter, 0) for letter in rest)
    end = next((place for place, depth in enumerate(depths) if depth == 0), len(rest))
    type_, words = rest[1:end], rest[end + 1 :].split()
    name = "returns" if kind == "returns" else words.pop(0)
    optional = " (optional)" if name.startswith("[") else ""
    return f"`{name.strip('[]')}`{optional}", f"`{type_}`", escape(" ".join(words))


def clean_type(cell: str) -> str:
    """Return a cell without module paths in types, and with escaped bars."""
    return re.sub(r'import\("[^"]+"\)\.', "", cell).replace("|", r"\|")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; empty if there are no rows."""
    heads, filled = list(heads), [list(row) for row in rows]
    if not filled:
        return ""
    lines = [heads, ["---"] * len(heads), *filled]
    return "\n".join(f"| {' | '.join(cell.replace(chr(10), ' ') for cell in line)} |" for line in lines)


TABLES: dict[str, Callable[[], str]] = {
    "danmatte-command": render_danmatte_command,
    "decisions": render_decisions,
    "errors": render_errors,
    "floors": render_floors,
    "http": render_http,
    "javascript": render_javascript,
    "metrics": render_metrics,
    "recipes": render_recipes,
    "service-classes": render_service_classes,
    "settings": render_settings,
    "steps": render_steps,
    "stream": render_stream,
    "workbench-classes": render_workbench_classes,
    "workbench-command": render_workbench_command,
}
