"""Where the time goes, before and after: by kind of layer, by precision, and the slowest layers."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from danmatte_workbench.report.markup import Markup, join, tag
from danmatte_workbench.report.run import Layer, Run
from danmatte_workbench.report.tables import scrolled
from danmatte_workbench.report.words import number

KINDS, TOP = 6, 10


@dataclass(frozen=True)
class Share:
    """What a group of layers takes; ``rank`` chooses its colour."""

    name: str
    rank: int
    ms: float
    count: int


def section(run: Run) -> Markup | None:
    """Bars before and after; None where nothing was profiled."""
    before, after = run.layers.before, run.layers.after
    if not before and not after:
        return None
    sides = [(name, layers) for name, layers in (("before", before), ("after", after)) if layers]
    longest = max(_total(layers) for _, layers in sides)
    said = " → ".join(f"{number(_total(layers))} ms in {len(layers)} layers {name}" for name, layers in sides)
    return join(
        (
            tag("p", None, f"{said}, one frame at a time."),
            _bars("By kind of layer", sides, longest, lambda layer: layer.kind),
            _bars("By precision", sides, longest, lambda layer: layer.precision or "?"),
            tag("div", {"class": "pair"}, *(_slowest(name, layers) for name, layers in sides)),
        )
    )


def _total(layers: Iterable[Layer]) -> float:
    return sum(layer.ms for layer in layers)


Sides = Sequence[tuple[str, Sequence[Layer]]]


def _bars(title: str, sides: Sides, longest: float, key: Callable[[Layer], str]) -> Markup:
    """A bar for each side, both to the same scale, and a table of what they show."""
    names = _names((layer for _, layers in sides for layer in layers), key)
    shares = {side: _shares(layers, names, key) for side, layers in sides}
    bars = [
        tag(
            "div",
            {"class": "bar"},
            tag("span", None, side),
            _bar(found, longest),
            tag("b", None, f"{number(sum(share.ms for share in found))} ms"),
        )
        for side, found in shares.items()
    ]
    return tag("figure", {"class": "shares"}, tag("figcaption", None, title), *bars, _key(shares, names))


def _names(layers: Iterable[Layer], key: Callable[[Layer], str]) -> list[str]:
    """Groups by the time they take in both sides together; the small ones are one."""
    spent: dict[str, float] = {}
    for layer in layers:
        spent[key(layer)] = spent.get(key(layer), 0.0) + layer.ms
    ordered = sorted(spent, key=lambda name: -spent[name])
    return ordered if len(ordered) <= KINDS else [*ordered[: KINDS - 1], OTHERS]


OTHERS = "all others"


def _shares(layers: Sequence[Layer], names: Sequence[str], key: Callable[[Layer], str]) -> list[Share]:
    found = []
    for rank, name in enumerate(names):
        mine = [layer for layer in layers if key(layer) == name or (name == OTHERS and key(layer) not in names)]
        found.append(Share(name, rank, _total(mine), len(mine)))
    return found


def _bar(shares: Sequence[Share], longest: float) -> Markup:
    """A bar as wide as its column, in parts of a thousand."""
    parts, left = [], 0.0
    for share in shares:
        width = 1000 * share.ms / longest if longest else 0.0
        told = tag("title", None, f"{share.name}: {number(share.ms)} ms")
        parts.append(
            tag("rect", {"x": left, "y": 0, "width": width, "height": 10, "class": f"fill s{share.rank}"}, told)
        )
        left += width
    attributes = {"viewBox": "0 0 1000 10", "preserveAspectRatio": "none", "aria-hidden": "true"}
    return tag("svg", attributes, *parts)


def _key(shares: dict[str, list[Share]], names: Sequence[str]) -> Markup:
    """The bars' figures: milliseconds and layers of each group on each side."""
    head = tag(
        "tr",
        None,
        tag("th", {"scope": "col"}, ""),
        *(tag("th", {"scope": "col", "class": "number"}, side) for side in shares),
    )
    rows = []
    for rank, name in enumerate(names):
        swatch = tag("span", {"class": f"swatch s{rank}", "aria-hidden": "true"})
        cells = [_cell(found[rank], sum(share.ms for share in found)) for found in shares.values()]
        rows.append(tag("tr", None, tag("th", {"scope": "row"}, swatch, name), *cells))
    return tag("table", {"class": "key"}, tag("thead", None, head), tag("tbody", None, *rows))


def _cell(share: Share, total: float) -> Markup:
    if not share.count:
        return tag("td", {"class": "number none"}, "–")
    part = f"{100 * share.ms / total:.0f} %" if total else "–"
    return tag("td", {"class": "number"}, f"{number(share.ms)} ms", tag("small", None, f"{part}, {share.count} ×"))


def _slowest(side: str, layers: Sequence[Layer]) -> Markup:
    """The slowest layers of one side; their bars are to their own scale."""
    ordered = sorted(layers, key=lambda layer: -layer.ms)[:TOP]
    longest = ordered[0].ms
    head = tag(
        "tr",
        None,
        *(tag("th", {"scope": "col"}, title) for title in ("Layer", "Precision")),
        tag("th", {"scope": "col", "class": "number"}, "ms"),
    )
    rows = [_row(layer, longest) for layer in ordered]
    part = 100 * _total(ordered) / (_total(layers) or 1)
    caption = tag(
        "caption", None, f"The slowest {len(ordered)} of {len(layers)} layers {side}: {part:.0f} % of the time"
    )
    return scrolled(
        f"The slowest layers {side}", caption, tag("thead", None, head), tag("tbody", None, *rows), name="slowest"
    )


def _breakable(name: str) -> list[Markup]:
    """The name, which may be broken after each slash."""
    return [join((part, tag("wbr"))) for part in re.split(r"(?<=[/.])", name)]


def _row(layer: Layer, longest: float) -> Markup:
    width = 100 * layer.ms / longest if longest else 0.0
    bar = tag(
        "svg",
        {"class": "meter", "viewBox": "0 0 100 4", "preserveAspectRatio": "none", "aria-hidden": "true"},
        tag("rect", {"x": 0, "y": 0, "width": width, "height": 4, "class": "fill s0"}),
    )
    kernel = tag("small", None, f"{layer.kind} · {layer.kernel}" if layer.kernel else layer.kind)
    return tag(
        "tr",
        None,
        tag("th", {"scope": "row"}, tag("span", {"class": "name"}, *_breakable(layer.name)), kernel, bar),
        tag("td", None, layer.precision or "?"),
        tag("td", {"class": "number"}, number(layer.ms)),
    )
