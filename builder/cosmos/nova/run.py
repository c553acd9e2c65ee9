"""Run a star's script: its `install()`, its `build()`, or the default for a star without a script."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from cosmos.errors import ScriptFailed
from cosmos.limits import MAX_SCRIPT_BYTES
from cosmos.model.star import is_named_for_a_shell
from cosmos.nova.broker import Answer, Broker
from cosmos.nova.confine import run_confined
from cosmos.nova.job import NovaJob, NovaResult, unmapped
from cosmos.nova.meter import BudgetError, Meter, VerbError
from cosmos.nova.outcome import Limits, Outcome
from cosmos.nova.receipt import Receipt
from cosmos.nova.renderer import Renderer
from cosmos.nova.sources import FILES
from cosmos.nova.verbs import Function, Verbs
from cosmos.nova.workers import WORKER
from cosmos.sandbox.conversation import Patience
from cosmos.sandbox.probe import demand_sandbox
from cosmos.sandbox.values import Scalar
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, escaped

_NOWHERE = "-- there is no function of this name --"
_OCTAL_LITERAL = re.compile(r":(\d{1,6}): malformed number near '0[oO]")
_MISSING_LIBRARY = re.compile(r"\(global '(coroutine|debug|dofile|io|loadfile|os|package|require)'\)")
_OWN_LINE = re.compile(r"^nova:\d+: ")  # a line of the sandbox's own Lua means nothing to a script's author
_SHELL = "is a shell script, and cosmos runs only Nova scripts"
_SHELL_HINT = "write what it does as install.lua (docs/nova.md), in a star of your own galaxy: stellar new-star NAME"
LIMITS = Limits()
_MAX_PROBLEM = 2000  # bytes of a script's own error text that are shown


def run_install(job: NovaJob) -> NovaResult:
    """Run the script and its `install()`; raises `ScriptFailed`, which names star, script and line."""
    verbs, broker, outcome = _run(job, "install")
    if outcome.ending == "missing":
        raise ScriptFailed(
            job.star,
            f"{_script_name(job)}: defines no install()",
            hint=f"put its lines into {job.script_name} as: function install() … end",
        )
    return _result(job, verbs, broker, outcome, "install")


def run_build(job: NovaJob) -> NovaResult:
    """Run the script and its `build()`, if it has one; returns the star's whole source tree after that.

    The root is the source tree itself: all that the archive will hold, `files/` and the files beside it. Raises
    `ScriptFailed`.
    """
    files = {
        TreePath(FILES + b"/" + path): entry.at(TreePath(FILES + b"/" + path)) for path, entry in job.files.items()
    }
    links = {
        path: replace(entry, target=FILES + b"/" + entry.target)
        for path, entry in files.items()
        if entry.kind == "hardlink"
    }
    sources = replace(job, own={**job.beside, **files, **links, **job.own})
    verbs, broker, outcome = _run(sources, "build")
    if outcome.ending == "missing":
        return NovaResult(entries=verbs.root.layer(), receipt=broker.receipt("build"))
    return _result(sources, verbs, broker, outcome, "build")


def syntax_problem(script: bytes, script_name: str) -> str | None:
    """Return Lua's syntax error for the script, or None. The script's top level runs, without verbs; its functions
    do not.
    """
    if is_shell(script, script_name):
        return f"{script_name}: {_SHELL}"
    demand_sandbox(WORKER)
    outcome = run_confined(script, script_name, _NOWHERE, LIMITS, _patience(), _no_verbs)
    return _shown(outcome) if outcome.ending == "syntax" else None


def is_shell(script: bytes, script_name: str) -> bool:
    """Return whether a script is for a shell. Upstream's galaxies have such scripts, mostly called `install.sh`.

    Upstream's program takes every name but `*.lua` and `*.nova` for one of a shell's. Here other names are Nova scripts
    too, unless the script begins as a shell's.
    """
    if script_name.endswith((".lua", ".nova")):
        return False
    return is_named_for_a_shell(script_name) or script.startswith(b"#!")


def default_install(
    files: Mapping[TreePath, Entry], *, epoch: int, path_map: Callable[[TreePath], TreePath] = unmapped
) -> NovaResult:
    """Return the layer of a star without a script: `files/*`. Raises `ScriptFailed` if two entries get one path."""
    job = NovaJob(star="", script_name="", script=b"", files=files, epoch=epoch, path_map=path_map)
    renderer = Renderer(LIMITS, _patience())  # never used
    verbs = Verbs(job, "install", Meter.unbounded(), renderer.render)
    try:
        if files:
            verbs.copy(b"files/", b"/")
    except (VerbError, BudgetError) as problem:
        raise ScriptFailed("", f"files/: {problem}") from problem
    events = tuple(event for event in verbs.events if event.verb != "read")
    return NovaResult(entries=verbs.root.layer(), receipt=Receipt(script="", function="install", events=events))


def _run(job: NovaJob, function: Function) -> tuple[Verbs, Broker, Outcome]:
    if is_shell(job.script, job.script_name):
        raise ScriptFailed(job.star, f"{_script_name(job)}: {_SHELL}", hint=_SHELL_HINT)
    if len(job.script) > MAX_SCRIPT_BYTES:
        raise ScriptFailed(
            job.star, f"{_script_name(job)}: has {len(job.script)} bytes, the limit is {MAX_SCRIPT_BYTES}"
        )
    meter = Meter(max_copied_bytes=job.max_copied_bytes)
    patience = _patience()
    with Renderer(LIMITS, patience) as renderer:
        verbs = Verbs(job, function, meter, renderer.render)
        broker = Broker(job, verbs, meter)

        def call(verb: Scalar, line: Scalar = None, *args: Scalar) -> Answer:
            return broker.call(verb, args, line)

        demand_sandbox(WORKER)
        outcome = run_confined(job.script, _script_name(job), function, LIMITS, patience, call)
    broker.reraise()
    return verbs, broker, outcome


def _result(job: NovaJob, verbs: Verbs, broker: Broker, outcome: Outcome, function: Function) -> NovaResult:
    try:
        return _finished(job, verbs, broker, outcome, function)
    except ScriptFailed as problem:
        if job.on_failure is not None and outcome.ending != "syntax":
            job.on_failure(verbs.stopped(problem))
        raise


def _finished(job: NovaJob, verbs: Verbs, broker: Broker, outcome: Outcome, function: Function) -> NovaResult:
    if outcome.ending != "done":
        raise _failed(job, broker, outcome)
    try:
        difference = verbs.undeclared()
    except BudgetError as over:
        raise ScriptFailed(job.star, f"{_script_name(job)}: was stopped: {over}") from over
    if difference is not None:
        raise ScriptFailed(job.star, f"{_script_name(job)}: filemap: {difference}")
    return NovaResult(entries=verbs.root.layer(), receipt=broker.receipt(function))


def _failed(job: NovaJob, broker: Broker, outcome: Outcome) -> ScriptFailed:
    text, name = _shown(outcome), _script_name(job)
    if outcome.ending == "over":
        return ScriptFailed(
            job.star,
            f"{name}: was stopped: {text}",
            hint="a script places files; what takes long belongs into build() or into the archive",
        )
    hint = broker.hint_for(outcome.problem) or _hint(text, job.script)
    return ScriptFailed(job.star, text if text.startswith(f"{name}:") else f"{name}: {text}", hint=hint)


def _shown(outcome: Outcome) -> str:
    """Return a worker's last message, which may be hostile, as one short line."""
    return escaped(_OWN_LINE.sub("", outcome.problem).encode("utf-8", "surrogateescape")[:_MAX_PROBLEM])


def _hint(text: str, script: bytes) -> str | None:
    """Return a hint for the usual mistakes of people who know other Lua programs."""
    library = _MISSING_LIBRARY.search(text)
    if library is not None:
        return f"Nova has no {library[1]}: a script has its verbs only, see docs/nova.md"
    octal = _OCTAL_LITERAL.search(text)
    if octal is None:
        return None
    lines = script.split(b"\n")[int(octal[1]) - 1 :]  # the text may be the script's own, and the line none
    digits = re.search(rb"0[oO]([0-7]{1,5})", lines[0] if lines else b"")
    return f'Lua has no octal numbers: write "0{digits[1].decode() if digits else "755"}" in quotes'


def _script_name(job: NovaJob) -> str:
    """Return the script's name as errors show it: Lua cuts names off at 59 characters."""
    return escaped(job.script_name.removeprefix("./").encode("utf-8", "surrogateescape"))[:50] or "install.lua"


def _patience() -> Patience:
    return Patience(seconds=LIMITS.wait_seconds)


def _no_verbs(*_args: Scalar) -> Answer:
    return False, b"verbs are not run here"
