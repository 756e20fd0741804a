"""A parser of written pages, for their elements and texts."""

import html.parser
from dataclasses import dataclass, field
from pathlib import Path

VOID = {"meta", "link", "img", "input", "br", "wbr"}


@dataclass
class Element:
    """An element with all the text in it."""

    name: str
    attributes: dict[str, str | None]
    text: str = ""
    inside: tuple[str, ...] = ()


@dataclass
class Page(html.parser.HTMLParser):
    """Collects all elements in order; `open` must be empty at the end."""

    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), inside=tuple(item.name for item in self.open))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def all(self, name: str, **attributes: str) -> list[Element]:
        """Return the elements of a kind with these attributes; ``_class`` is the class."""
        wanted = {key.lstrip("_"): value for key, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element.name == name and all(element.attributes.get(key) == value for key, value in wanted.items())
        ]

    def one(self, name: str, **attributes: str) -> Element:
        """Return the only such element."""
        (found,) = self.all(name, **attributes)
        return found

    def section(self, identity: str) -> str:
        """Return the text of a section of the page."""
        return self.one("section", id=identity).text


def read(path: Path) -> Page:
    """Read the page in the file, which must be well-formed."""
    page = Page()
    page.feed(path.read_text("utf-8"))
    page.close()
    assert page.open == []
    return page
