"""Runs the Lua of one script, locked down (TRUST.md section 8). What it can reach is the verbs, through one host
function.

A script never holds a Python object: the host function is an upvalue of Lua closures, takes and gives plain values, and
never raises. Lua's own errors, values and tables never come out: one call from Python runs everything and gives two
plain strings.

KNOWN GAP: the Lua state lives in this process. A fault in Lua's or lupa's C code would be a fault of the builder, and
the limit on processor time is looked at between instructions only. A worker process with rlimits and seccomp comes with
its own issue; it takes the place of `run_script`, and nothing else changes.
KNOWN GAP: weak tables are refused when a metatable is set, not when `__mode` is added to it later; what they then hold
depends on when Lua collects garbage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, TypeAlias, get_args

from lupa.lua54 import LuaError, LuaRuntime

from cosmos.limits import (
    MAX_NOVA_CPU_SECONDS,
    MAX_NOVA_INSTRUCTIONS,
    MAX_NOVA_MEMORY_BYTES,
    MAX_NOVA_REPLY_BYTES,
    MAX_SCRIPT_BYTES,
    MIB,
)
from cosmos.nova.lua_base import BASE
from cosmos.nova.lua_library import LIBRARY
from cosmos.nova.lua_patterns import PATTERNS
from cosmos.nova.lua_verbs import VERBS

Ending: TypeAlias = Literal["done", "syntax", "missing", "failed", "over"]
Call: TypeAlias = Callable[..., tuple[Any, ...]]

PRELUDE: Final = (BASE + PATTERNS + LIBRARY + VERBS).encode()
_HEADROOM_BYTES: Final = (
    MAX_NOVA_REPLY_BYTES + 3 * MIB
)  # free before each verb: lupa pushes its answer without protection


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a script ended, and why: Lua's message, with script name and line, or the limit that it passed."""

    ending: Ending
    problem: str


def run_script(script: bytes, script_name: str, function: str, call: Call) -> Outcome:
    """Load `script` and run its `function`. `call(verb, *args)` is the host function (see `Broker.call`)."""
    lua = LuaRuntime(
        attribute_handlers=(_deny, _deny),
        register_eval=False,
        register_builtins=False,
        encoding=None,
        unpack_returned_tuples=True,
        max_memory=MAX_NOVA_MEMORY_BYTES,
    )
    start = lua.execute(
        PRELUDE,
        call,
        MAX_NOVA_INSTRUCTIONS,
        MAX_NOVA_CPU_SECONDS,
        MAX_NOVA_MEMORY_BYTES,
        _HEADROOM_BYTES,
        MAX_SCRIPT_BYTES,
        name=b"=nova",
        mode="t",
    )
    try:
        ending, problem = start(script, script_name.encode(), function.encode())
    except LuaError as error:  # raised past the last pcall: only a limit does that
        return Outcome(ending="over", problem=str(error)[:200])
    return Outcome(ending=_ending(ending.decode()), problem=problem.decode("utf-8", "surrogateescape"))


def _ending(text: str) -> Ending:
    for ending in get_args(Ending):
        if text == ending:
            return ending  # type: ignore[no-any-return]  # get_args loses the literal
    raise AssertionError(text)


def _deny(*_args: object) -> NoReturn:
    raise AttributeError("scripts hold no objects of the host")
