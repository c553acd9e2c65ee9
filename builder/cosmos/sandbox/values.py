"""`Scalar`: what may cross between a worker and the trusted process. No object of either side ever does."""

from __future__ import annotations

from typing import TypeAlias

Scalar: TypeAlias = "bytes | int | float | bool | None"
