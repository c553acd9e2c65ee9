"""The values that both sides of a script's worker share: its limits, and how it ended."""

from __future__ import annotations

from typing import Literal, TypeAlias

from cosmos.limits import MAX_NOVA_CPU_SECONDS, MAX_NOVA_INSTRUCTIONS, MAX_NOVA_MEMORY_BYTES, MAX_NOVA_WAIT_SECONDS
from cosmos.records import dataclass

Ending: TypeAlias = Literal["done", "syntax", "missing", "failed", "over"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a script ended, and why: Lua's message, with script name and line, or the limit that it passed."""

    ending: Ending
    problem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The limits of one script.

    `cpu_seconds` is for Lua, and again for all templates. `wait_seconds` is the time that is spent waiting for the
    script's workers, verbs not counted.
    """

    instructions: int = MAX_NOVA_INSTRUCTIONS
    cpu_seconds: int = MAX_NOVA_CPU_SECONDS
    memory_bytes: int = MAX_NOVA_MEMORY_BYTES
    wait_seconds: int = MAX_NOVA_WAIT_SECONDS
