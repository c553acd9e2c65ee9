"""Runs one script of the corpus as a star's install script; prints what came of it as JSON (test_nova_corpus.py)."""

from __future__ import annotations

import functools
import json
import sys
import time
from pathlib import Path

from cosmos.errors import CosmosError
from cosmos.nova import run, sandbox
from cosmos.nova.job import NovaJob
from cosmos.nova.meter import Meter
from cosmos.nova.run import run_install
from cosmos.nova.verbs import Verbs
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


def main(script_file: str, cpu_seconds: str) -> None:
    """Run the script with lower limits than in earnest, so that the corpus takes seconds."""
    sandbox.MAX_NOVA_CPU_SECONDS = int(cpu_seconds)
    run.Meter = functools.partial(Meter, max_work=MAX_WORK)
    breaches: list[str] = []
    said = Verbs.log

    def log(self: Verbs, text: bytes) -> None:
        if text.startswith(b"BREACH"):
            breaches.append(text.decode("utf-8", "replace"))
        said(self, text)

    Verbs.log = log
    script = Path(script_file).read_bytes()
    job = NovaJob(star="attack", script_name="install.lua", script=BREACH.encode() + script, files=tree_of(FILES),
                  root=tree_of(ROOT), epoch=0, render=render)  # fmt: skip
    began = time.perf_counter()
    problem, tree, receipt = None, [], b""
    try:
        result = run_install(job)
        tree, receipt = (
            [bytes(e.content).decode("latin-1") + path.text for path, e in result.entries.items()],
            result.receipt.to_bytes(),
        )
    except CosmosError as error:
        problem = f"{type(error).__name__}: {error}"
    print(json.dumps({"problem": problem, "breaches": breaches, "seconds": round(time.perf_counter() - began, 2),
                      "made": "\n".join(tree), "receipt": receipt.decode()}))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
