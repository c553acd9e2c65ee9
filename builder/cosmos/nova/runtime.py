"""Run the Lua of one script, locked down (TRUST.md section 8): it can only call verbs, through one host function.

A script never holds a Python object: the host function is an upvalue of Lua closures, takes and returns plain values,
and never raises. Lua's errors, values and tables never come out: one call from Python runs everything and returns two
plain strings.

It runs in a worker (`nova.worker`), whose process can only compute. This module limits an ordinary script. The worker's
process confines a script that has broken out of Lua.

KNOWN GAP: Lua 5.4 hashes strings with its own seed, which cannot be chosen. The seed decides when Lua lays out a table
again. So it decides which border `#` returns for a list with holes, if the same table has string keys and some of them
were removed.
"""

from __future__ import annotations

from collections.abc import Callable

from lupa.lua54 import LuaError, LuaRuntime

from cosmos.hints import Any, Final, NoReturn, TypeAlias
from cosmos.limits import MAX_NOVA_REPLY_BYTES, MAX_SCRIPT_BYTES, MIB
from cosmos.nova.outcome import ENDINGS, Ending, Limits, Outcome
from cosmos.nova.prelude import PRELUDE

Call: TypeAlias = Callable[..., tuple[Any, ...]]
Start: TypeAlias = Callable[[bytes, bytes, bytes], tuple[bytes, bytes]]

_HEADROOM_BYTES: Final = (
    MAX_NOVA_REPLY_BYTES + 3 * MIB
)  # free before each verb: lupa pushes its answer without protection


def prepared(limits: Limits, call: Call) -> Start:
    """Return a locked-down Lua, ready to run one script. `call(verb, *args)` is the host function (see `Broker.call`).

    It may be made before a worker is forked, which saves each worker the time.
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
    for ending in ENDINGS:
        if text == ending:
            return ending
    raise AssertionError(text)


def _deny(*_args: object) -> NoReturn:
    raise AttributeError("scripts hold no objects of the host")
