"""Runs one script of the corpus as a star's install script; prints what came of it as JSON (test_nova_corpus.py).

With a third word, a number, the trusted process becomes that user: after the zygote was started, as Python itself may
lie where no other user may look.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from cosmos.errors import CosmosError
from cosmos.nova import run
from cosmos.nova.job import NovaJob, RunOutcome
from cosmos.nova.meter import Meter
from cosmos.nova.outcome import Limits
from cosmos.nova.probe import demand_sandbox
from cosmos.nova.run import run_install
from cosmos.nova.verbs import Verbs
from cosmos.pack.layer import pack_layer
from cosmos.tree.entry import Entry, Kind, tree_of
from cosmos.treepath import TreePath

MAX_WORK = 10_000_000  # a sixth of what is allowed in earnest
BREACH = (
    "local log, tostring = log, tostring function breach(why) log('BREACH: ' .. tostring(why)) error('breach', 0) end "
)


def entry(path: str, kind: Kind = "file", target: bytes = b"", content: bytes = b"") -> Entry:
    """An entry of the archive or of a dependency."""
    return Entry(path=TreePath.parse(path), kind=kind, mode=0o755, target=target, content=content)


FILES = [
    entry("data", content=b"data"),
    entry("hard/file", content=b"x"),
    entry("hard/link", "hardlink", target=b"hard/file"),
    entry("evil", "symlink", target=b"/etc/passwd"),
    entry("evil-up", "symlink", target=b"../../../../../etc/passwd"),
    entry("evil-dir", "symlink", target=b"/etc"),
    entry("links/evil", "symlink", target=b"../../../../../../canary-of-the-host"),
    entry("t", content=b"template"),
    *(entry(f"many/{number}", content=b"m" * 1000) for number in range(200)),
]
ROOT = [entry("usr/lib", "dir"), entry("usr/lib/libdep.so", content=b"dep")]


def render(template: bytes, variables: object) -> bytes:
    """A template that shows what it was given."""
    return template + json.dumps(variables, sort_keys=True).encode()


class Echo:
    """A program that leaves behind its words and its environment."""

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        """Add one file to the tree."""
        made = entry(f"usr/made-{len(tree)}", content=repr((words, sorted(env.items()))).encode())
        return RunOutcome(status=0, tree={**tree, made.path: made})


def become(user: int) -> None:
    """Be another user, of one group, for good."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def main(script_file: str, cpu_seconds: str, user: str = "") -> None:
    """Run the script with lower limits than in earnest, so that the corpus takes seconds."""
    run.LIMITS = Limits(cpu_seconds=int(cpu_seconds))
    run.Meter = functools.partial(Meter, max_work=MAX_WORK)
    breaches: list[str] = []
    said = Verbs.log

    def log(self: Verbs, text: bytes) -> None:
        if text.startswith(b"BREACH"):
            breaches.append(text.decode("utf-8", "replace"))
        said(self, text)

    Verbs.log = log
    script = Path(script_file).read_bytes()
    programs = Echo() if b"\n-- programs: allowed\n" in script else None
    job = NovaJob(star="attack", script_name="install.lua", script=BREACH.encode() + script, files=tree_of(FILES),
                  root=tree_of(ROOT), epoch=0, render=render, programs=programs)  # fmt: skip
    if user:
        demand_sandbox()
        become(int(user))
    began = time.perf_counter()
    problem, tree, receipt, layer = None, [], b"", b""
    try:
        result = run_install(job)
        tree, receipt = (
            [bytes(e.content).decode("latin-1") + path.text for path, e in result.entries.items()],
            result.receipt.to_bytes(),
        )
        layer = pack_layer("attack", result.entries.values(), 3).frame
    except CosmosError as error:
        problem = f"{type(error).__name__}: {error}"
    print(json.dumps({"problem": problem, "breaches": breaches, "seconds": round(time.perf_counter() - began, 2),
                      "made": "\n".join(tree), "receipt": receipt.decode(), "user": os.getuid(),
                      "layer": hashlib.sha256(layer).hexdigest()}))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
