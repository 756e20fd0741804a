"""The winner's masks beside the source's, on the user's own frames."""

from collections.abc import Sequence

from danmatte_workbench.report.markup import Markup, join, tag
from danmatte_workbench.report.pictures import Comparison
from danmatte_workbench.report.words import fixed, number, plain


def section(comparisons: Sequence[Comparison]) -> Markup | None:
    """Four pictures a frame, the least agreement first; a script lays the winner's over the source's."""
    if not comparisons:
        return None
    key = tag(
        "ul",
        {"class": "legend"},
        tag("li", None, tag("span", {"class": "swatch lost"}), "only the source says person, drawn a pixel wider"),
        tag("li", None, tag("span", {"class": "swatch gained"}), "only the winner does, likewise"),
        tag("li", None, tag("span", {"class": "swatch both"}), "both do"),
    )
    button = tag(
        "button",
        {"type": "button", "class": "quiet", "data-slide": True, "aria-pressed": "false", "hidden": True},
        "Lay the winner over the source",
    )
    ordered = sorted(comparisons, key=lambda item: item.iou)
    frames = [_frame(place, item) for place, item in enumerate(ordered, 1)]
    said = tag("p", {"class": "faint"}, "Where the two agree least comes first.")
    return join((said, tag("div", {"class": "bench"}, key, button), *frames))


def _frame(place: int, item: Comparison) -> Markup:
    name = plain(item.name)
    height, width = item.shown
    share = f"only the source {_percent(item.lost)}, only the winner {_percent(item.gained)} of the pixels"
    tiles = (
        ("original", "Frame", item.frame, f"Frame {name}"),
        ("source", "Source", item.source, f"What the source calls a person in {name}, the rest dark"),
        ("winner", "Winner", item.winner, f"What the winner calls a person in {name}, the rest dark"),
        ("difference", "Difference", item.difference, f"Where the two differ in {name}: {share}"),
    )
    pictures = [_tile(kind, title, uri, alt, (width, height)) for kind, title, uri, alt in tiles]
    slider = tag(
        "label",
        {"class": "slider", "hidden": True},
        tag("span", None, "source"),
        tag(
            "input",
            {"type": "range", "min": 0, "max": 100, "value": 50, "aria-label": f"Share of the source in {name}"},
        ),
        tag("span", None, "winner"),
    )
    caption = tag(
        "figcaption",
        None,
        tag("b", None, name),
        f" {item.size[1]}×{item.size[0]}, IoU of the two {fixed(item.iou, 4)}; {share}",
    )
    return tag(
        "figure", {"class": "frame", "id": f"frame-{place}"}, tag("div", {"class": "quad"}, *pictures), slider, caption
    )


def _tile(kind: str, title: str, uri: str, alt: str, size: tuple[int, int]) -> Markup:
    picture = tag("img", {"src": uri, "alt": alt, "width": size[0], "height": size[1]})
    return tag("div", {"class": f"shot {kind}"}, picture, tag("span", {"aria-hidden": "true"}, title))


def _percent(share: float) -> str:
    return f"{number(100 * share, 2)} %"
