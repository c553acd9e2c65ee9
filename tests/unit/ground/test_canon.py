"""JSON for people is written as Python's own encoder writes it, only in less time."""

from __future__ import annotations

import json

import pytest

from cosmos.canon import Json, readable_text

VALUES: list[Json] = [
    None,
    True,
    -7,
    "",
    'é " \\ \n \u2028 \x7f',
    [],
    {},
    [[], {}, [None]],
    {"b": [1, False, {"d": {}, "c": "x"}], "a": {"é": []}, "": 1 << 70},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_readable_json_is_that_of_the_standard_library(value: Json) -> None:
    assert readable_text(value) == json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        readable_text([float("nan")])  # type: ignore[list-item]  # the type refuses it, too
