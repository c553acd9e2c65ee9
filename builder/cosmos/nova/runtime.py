"""Runs the Lua of one script, locked down (TRUST.md section 8). What it can reach is the verbs, through one host
function.

A script never holds a Python object: the host function is an upvalue of Lua closures, takes and gives plain values, and
never raises. Lua's own errors, values and tables never come out: one call from Python runs everything and gives two
plain strings.

It runs in a worker (`nova.worker`), whose process can do nothing but compute; what is here keeps a script honest, what
is there holds one that took the process over.

KNOWN GAP: Lua 5.4 hashes strings with a seed of its own, which can not be chosen. It decides when a table is laid out
anew, and with that which border `#` gives for a list with holes, where the same table has strings as keys and some of
them were taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeAlias, get_args

from lupa.lua54 import LuaError, LuaRuntime

from cosmos.limits import MAX_NOVA_REPLY_BYTES, MAX_SCRIPT_BYTES, MIB
from cosmos.nova.outcome import Ending, Limits, Outcome
from cosmos.nova.prelude import PRELUDE

Call: TypeAlias = Callable[..., tuple[Any, ...]]
Start: TypeAlias = Callable[[bytes, bytes, bytes], tuple[bytes, bytes]]

_HEADROOM_BYTES: Final = (
    MAX_NOVA_REPLY_BYTES + 3 * MIB
)  # free before each verb: lupa pushes its answer without protection


def prepared(limits: Limits, call: Call) -> Start:
    """Return a locked-down Lua, ready to run one script. `call(verb, *args)` is the host function (see `Broker.call`).

    May be made before a worker is forked: that saves each worker the time.
    """
    lua = LuaRuntime(
        attribute_handlers=(_deny, _deny),
        register_eval=False,
        register_builtins=False,
        encoding=None,
        unpack_returned_tuples=True,
        max_memory=limits.memory_bytes,
    )
    start: Start = lua.execute(
        PRELUDE,
        call,
        limits.instructions,
        limits.cpu_seconds,
        limits.memory_bytes,
        _HEADROOM_BYTES,
        MAX_SCRIPT_BYTES,
        name=b"=nova",
        mode="t",
    )
    return start


def run_script(script: bytes, script_name: str, function: str, start: Start) -> Outcome:
    """Load `script` in the Lua that `prepared` made, once, and run its `function`."""
    try:
        ending, problem = start(script, script_name.encode(), function.encode())
    except LuaError:  # raised past the last pcall: only the limit on memory does that
        return Outcome(ending="over", problem="it used up its memory")
    return Outcome(ending=_ending(ending.decode()), problem=problem.decode("utf-8", "surrogateescape"))


def _ending(text: str) -> Ending:
    for ending in get_args(Ending):
        if text == ending:
            return ending  # type: ignore[no-any-return]  # get_args loses the literal
    raise AssertionError(text)


def _deny(*_args: object) -> NoReturn:
    raise AttributeError("scripts hold no objects of the host")
