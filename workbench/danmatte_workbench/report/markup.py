"""HTML and SVG, escaped unless a piece is markup already: names in a report come from whoever made the graph."""

import html
from collections.abc import Iterable, Mapping

from danmatte_workbench.report.words import plain

VOID = frozenset({"br", "img", "input", "link", "meta", "wbr"})

Value = str | float | bool | None


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | None
NOTHING = Markup("")


def tag(name: str, attributes: Mapping[str, Value] | None = None, *children: Child) -> Markup:
    """An element; an attribute that is None or False is left out, True is written without a value."""
    start = name + "".join(_attribute(key, value) for key, value in (attributes or {}).items())
    return Markup(f"<{start}>") if name in VOID else Markup(f"<{start}>{join(children)}</{name}>")


def join(children: Iterable[Child], between: str = "") -> Markup:
    """One piece of markup; what is only text is escaped."""
    return Markup(between.join(escape(child) for child in children if child))


def escape(text: str) -> Markup:
    """The text, safe between tags and in double quotes."""
    return text if isinstance(text, Markup) else Markup(html.escape(plain(text)))


def _attribute(name: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    if isinstance(value, int | float):
        value = f"{value:.2f}".rstrip("0").rstrip(".")
    return f' {name}="{html.escape(plain(value))}"'
