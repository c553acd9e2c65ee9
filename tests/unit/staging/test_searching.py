"""The match of a star with the words of a search."""

from __future__ import annotations

from cosmos.model.catalogue import Described
from cosmos.model.names import StarName
from cosmos.staging.searching import Match, matched


def test_letters_that_fold_to_several_are_found() -> None:
    star = Described(name=StarName("a"), version=None, description="Straße")
    assert matched(star, ["strasse".casefold()]) == (Match.IN_TEXT,)
