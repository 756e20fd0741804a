"""The shell of a page that needs nothing but itself: style, script and pictures inside, the network forbidden."""

import base64
import hashlib
from pathlib import Path

from danmatte_workbench.errors import MachineError
from danmatte_workbench.report.markup import Markup, join, tag

HERE = Path(__file__).parent


def document(title: str, *body: Markup | None) -> str:
    """A whole HTML page. Its policy lets in this very style and script, by their digests, and no other."""
    style = (HERE / "page.css").read_text(encoding="utf-8")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        None,
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "color-scheme", "content": "light dark"}),
        tag("meta", {"name": "referrer", "content": "no-referrer"}),
        tag("link", {"rel": "icon", "href": "data:,"}),
        tag("title", None, title),
        tag("style", None, Markup(style)),
    )
    content = tag("body", None, *body, tag("script", None, Markup(script)))
    return f"<!doctype html>\n{tag('html', {'lang': 'en'}, head, content)}\n"


def section(identity: str, title: str, content: Markup | None, *, lead: str = "") -> Markup | None:
    """A part of the page under its heading; nothing where there is no content."""
    if not content:
        return None
    heading = tag("h2", None, tag("a", {"href": f"#{identity}"}, title))
    return tag("section", {"id": identity}, heading, tag("p", {"class": "lead"}, lead) if lead else None, content)


def contents(entries: list[tuple[str, str]]) -> Markup:
    """Links to the page's parts."""
    links = [tag("a", {"href": f"#{identity}"}, title) for identity, title in entries]
    return tag("nav", {"aria-label": "Contents"}, join(links))


def write(text: str, path: Path) -> Path:
    """Write the page, whole or not at all. Raises MachineError where it can't be written."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
        unfinished.replace(path)
    except OSError as error:
        raise MachineError(f"{path}: can't be written ({error.strerror})") from error
    return path


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
