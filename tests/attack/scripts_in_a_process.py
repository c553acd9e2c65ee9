"""Runs mutated install scripts, one after the other; prints how each ended (test_mutated_scripts.py).

python scripts_in_a_process.py SEED COUNT
"""

from __future__ import annotations

import functools
import json
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "nova"))

from stage_one import FILES, ROOT

from cosmos.errors import ScriptFailed
from cosmos.nova import run
from cosmos.nova.job import NovaJob
from cosmos.nova.meter import Meter
from cosmos.nova.outcome import Limits
from cosmos.nova.run import run_install
from cosmos.tree.entry import tree_of

_PIECES = (
    "(", ")", "{", "}", "[", "]", "=", ",", "..", "...", "#", "-", "~", "//", "\"", "'", "\\", "\n", "--", "[[",
    "]]", "nil",
    "true", "0", "-1", "1e308", "0/0", "math.huge", "function", "end", "return", "local", "for", "do", "while true do",
    "pcall", "error", "setmetatable", "string.rep('x', 1e9)", "write('/x', '')", "copy('data', '/y')", "mkdir('/z')",
    "symlink('../x', '/l')", "chmod('/x', '0755')", "chown('/x', 1, 2)", "glob('/**')", "render('t', '/t', {text = 1})",
    "exists('/usr')", "setcap('/x', 'cap_net_raw+ep')", "mknod('/n', 'p')", "filemap{'/x'}", "env('A', 'b')", "log(_G)",
    "run{'x'}", "\0", "\xff", "goto x", "::x::", "<const>", "install()", "tostring", "next", "select('#')",
    "table.sort",
)  # fmt: skip


def mutated(seed: int, count: int) -> list[bytes]:
    """Return `count` mutations of the corpus, the same for one seed."""
    chance = random.Random(seed)
    corpus = [path.read_text() for path in sorted((Path(__file__).parent / "nova").glob("*.lua"))]
    made = []
    for _ in range(count):
        script = chance.choice(corpus)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(script) + 1)
            end = min(len(script), at + chance.randint(0, 12))
            other = chance.choice(corpus)
            start = chance.randrange(len(other) + 1)
            put = chance.choice((chance.choice(_PIECES), other[start : start + 40], script[at:end], ""))
            script = script[:at] + put + script[chance.choice((at, end)) :]
        made.append(script.encode("utf-8", "surrogateescape"))
    return made


def main(seed: str, count: str) -> None:
    """Print one row a script: how it ended, and after how many seconds."""
    run.LIMITS = Limits(cpu_seconds=2)
    run.Meter = functools.partial(Meter, max_work=2_000_000)
    said = []
    for script in mutated(int(seed), int(count)):
        job = NovaJob(
            star="a", script_name="install.lua", script=script, files=tree_of(FILES), root=tree_of(ROOT), epoch=0
        )
        began = time.perf_counter()
        try:
            run_install(job)
            ending = "done"
        except ScriptFailed as failure:
            ending = "stopped" if "was stopped" in str(failure) else "failed"
        said.append((ending, round(time.perf_counter() - began, 1)))
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
