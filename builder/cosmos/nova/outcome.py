"""The values that both sides of a script's worker share: its limits, and how it ended."""

from __future__ import annotations

from cosmos.hints import Final, Literal, TypeAlias
from cosmos.limits import MAX_NOVA_CPU_SECONDS, MAX_NOVA_INSTRUCTIONS, MAX_NOVA_MEMORY_BYTES, MAX_NOVA_WAIT_SECONDS

Ending: TypeAlias = Literal["done", "syntax", "missing", "failed", "over"]
ENDINGS: Final[tuple[Ending, ...]] = ("done", "syntax", "missing", "failed", "over")


class Outcome:
    """How a script ended, and why: Lua's message, with script name and line, or the limit that it passed."""

    __slots__ = ("ending", "problem")

    def __init__(self, *, ending: Ending, problem: str) -> None:
        self.ending: Final = ending
        self.problem: Final = problem

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outcome) and (self.ending, self.problem) == (other.ending, other.problem)

    def __hash__(self) -> int:
        return hash((self.ending, self.problem))

    def __repr__(self) -> str:
        return f"Outcome(ending={self.ending!r}, problem={self.problem!r})"


class Limits:
    """The limits of one script.

    `cpu_seconds` is for Lua, and again for all templates. `wait_seconds` is the time that is spent waiting for the
    script's workers, verbs not counted.
    """

    __slots__ = ("cpu_seconds", "instructions", "memory_bytes", "wait_seconds")

    def __init__(
        self,
        *,
        instructions: int = MAX_NOVA_INSTRUCTIONS,
        cpu_seconds: int = MAX_NOVA_CPU_SECONDS,
        memory_bytes: int = MAX_NOVA_MEMORY_BYTES,
        wait_seconds: int = MAX_NOVA_WAIT_SECONDS,
    ) -> None:
        self.instructions: Final = instructions
        self.cpu_seconds: Final = cpu_seconds
        self.memory_bytes: Final = memory_bytes
        self.wait_seconds: Final = wait_seconds
