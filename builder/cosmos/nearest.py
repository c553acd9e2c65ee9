"""Which of some names a person may have meant: for the hint of an error.

`difflib` is loaded when a name is wrong, not when a command starts.
"""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, names: Iterable[str], most: int = 1) -> list[str]:
    """Return at most `most` of `names` that look like `word`, the likeliest first.

    >>> nearest("galxy", ["galaxy", "star"])
    ['galaxy']
    """
    from difflib import get_close_matches

    return get_close_matches(word, list(names), n=most)
