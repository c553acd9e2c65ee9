"""`Scalar`: the values that a worker and the trusted process may exchange. They never exchange objects."""

from __future__ import annotations

from cosmos.hints import TypeAlias

Scalar: TypeAlias = "bytes | int | float | bool | None"
