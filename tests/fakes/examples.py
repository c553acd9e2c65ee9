"""How many examples a property test tries: some in every run, more in the runs that look for new ones."""

from __future__ import annotations

from typing import Any

from hypothesis import settings


def tried(*, same: int, new: int, **more: Any) -> settings:
    """Return the settings of a test that tries `same` examples in every run and `new` ones with `make test-slow`.

    The runs' profiles, `same` and `new`, are those of tests/conftest.py (docs/decisions/0061).
    """
    return settings(max_examples=same if settings.default.derandomize else new, **more)
