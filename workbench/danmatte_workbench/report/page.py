"""Self-contained HTML pages: style, script and pictures are embedded, and network access is forbidden by a policy."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from danmatte.contract.whole_files import write_whole
from danmatte_workbench.errors import MachineError
from danmatte_workbench.report import words

HERE = Path(__file__).parent


def render_page(template: str, **content: Any) -> str:
    """Render a page. Its Content-Security-Policy only allows the embedded style and script, by their digests."""
    style = (HERE / "page.css").read_text(encoding="utf-8")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    shell = {"style": Markup(style), "script": Markup(script), "policy": policy}
    return _make_environment().get_template(template).render(**shell, **content)


def write_page(text: str, path: Path) -> Path:
    """Write the page atomically and return its path. Raises MachineError if it can't be written."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise MachineError(f"{path}: can't be written ({error.strerror})") from error
    return path


@cache
def _make_environment() -> Environment:
    """Return an environment that escapes and sanitizes all values, because they may come from an untrusted graph."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    writers = (name for name in vars(words) if name.startswith(("format_", "get_")))
    environment.filters.update({name: getattr(words, name) for name in writers})
    return environment


def _finalize(value: Any) -> Any:
    """Format a value in a template: None as nothing, numbers without trailing zeros, text sanitized."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return words.sanitize(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
