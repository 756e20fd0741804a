"""How Sphinx builds the site; `scripts/docs` puts its pages together and starts it."""

from sphinx.application import Sphinx

project = "danmatte"
author = "the danmatte authors"
project_copyright = "the danmatte authors; Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3  # links to headings are checked as well
default_role = "code"  # docstrings set names in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"source_edit_link": "", "navigation_with_keys": False}
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False


def mark_code(_app: object, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Docstrings here set code off by its indentation alone; reStructuredText wants `::` before it."""
    for place in range(len(lines) - 1, 0, -1):
        begins = lines[place].startswith("    ") and not lines[place - 1].strip()
        before = next((line for line in reversed(lines[:place]) if line.strip()), "")
        if begins and not before.startswith("    ") and not before.rstrip().endswith("::"):
            lines[place:place] = ["::", ""]


def skip_fields(_app: object, _what: str, _name: str, member: object, skip: bool, _options: object) -> bool:
    """A named tuple's fields stand in its signature; of each by itself Python says only its number."""
    return skip or (getattr(member, "__doc__", None) or "").startswith("Alias for field number")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", mark_code)
    app.connect("autodoc-skip-member", skip_fields)
