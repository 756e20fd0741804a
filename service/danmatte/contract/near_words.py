"""Suggestions for a misspelt word, as error messages end with."""

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 20  # a graph has thousands of names: nobody reads more of them


def did_you_mean(
    word: str, known: Iterable[str], *, suggestions: int = 1, cutoff: float = 0.6, listed: bool = True
) -> str:
    """`; did you mean 'nearest'?` for a message; when none is near the known words, or nothing unless `listed`.

    `cutoff`: how alike a suggestion is at least, 0 to 1, as `difflib.get_close_matches` counts it.
    """
    words = list(dict.fromkeys(known))
    if near := get_close_matches(word, words, n=suggestions, cutoff=cutoff):
        return f"; did you mean {' or '.join(map(repr, near))}?"
    if not listed:
        return ""
    return f"; known: {', '.join(words[:_LISTED]) or 'none'}{', …' if len(words) > _LISTED else ''}"
