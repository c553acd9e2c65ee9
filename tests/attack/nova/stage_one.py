"""Runs scripts of the corpus, each as a star's install script, in a process of its own (test_nova_corpus.py).

Each line of stdin names a script, in JSON: `{"script": …, "cpu-seconds": …, "user": …, "folder": …}`. This process has
loaded the program and started its zygotes, and forks for each script: one zygote forks the workers of all scripts, as
in a build. Each line of stdout says how the fork ended and what it printed: what came of the script, as JSON.

With a user, a number, the fork becomes that user: after the zygotes were started, as Python itself may lie where no
other user may look.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from cosmos.errors import CosmosError
from cosmos.nova import run
from cosmos.nova.job import NovaJob
from cosmos.nova.meter import Meter
from cosmos.nova.outcome import Limits
from cosmos.nova.run import run_install
from cosmos.nova.verbs import Verbs
from cosmos.nova.workers import TEMPLATE_WORKER, WORKER
from cosmos.pack.layer import pack_layer
from cosmos.sandbox.probe import demand_sandbox
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.tree.entry import Entry, Kind, tree_of
from cosmos.treepath import TreePath

MAX_WORK = 10_000_000  # a sixth of what is allowed in earnest; half of it for a script that has one second
BREACH = (
    "local log, tostring = log, tostring function breach(why) log('BREACH: ' .. tostring(why)) error('breach', 0) end "
)


def entry(path: str, kind: Kind = "file", target: bytes = b"", content: bytes = b"") -> Entry:
    """An entry of the archive or of a dependency."""
    return Entry(path=TreePath.parse(path), kind=kind, mode=0o755, target=target, content=content)


WAYS_OUT = (
    "{{ ''.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('format')|attr('__globals__') }}",
    "{{ '{0.__class__.__mro__}'.format('') }}",  # CVE-2016-10745
    "{{ '{x.__class__}'.format_map({'x': 1}) }}",  # CVE-2019-10906
    "{% set f = '{0.__class__}'.format %}{{ f('') }}",
    "{{ ['{0.__class__}'.format]|map('call')|list }}",  # CVE-2024-56326: kept, called by a filter
    "{{ (''|attr('format'))|string }}",  # CVE-2025-27516: had by |attr
    "{{ {'a': '{0.__class__}'}|map('attr', 'format')|first }}",
    "{{ [''.join]|map(attribute='__self__')|first|upper }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ range.__globals__ }}",
    "{{ range._action }}",
    "{{ dict.__base__.__subclasses__() }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{% for x in [1] %}{{ loop._iterator.gi_frame }}{% endfor %}",
    "{{ x.environment }}",
    "{{ ().count.__self__.__class__ }}",
    "{{ config.items() }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ [].append(1) }}",
    "{{ dict().update(a=1) }}",
)
ROUND = "{% for i in range(99999) %}"
TEMPLATES = {
    "shows": "{% for key in vars %}{{ key }}={{ vars[key] }}\n{% endfor %}",
    "loops": ROUND * 9 + "{% endfor %}" * 9,
    "slow": ROUND + "{% endfor %}",
    "power": "{{ 10 ** 10000000 }}",
    "repeated": "{{ 'x' * 10 ** 9 }}",
    "doubled": "{% set n = namespace(x='x') %}" + ROUND + "{% set n.x = n.x ~ n.x %}{% endfor %}",
    "nested": "{% set n = namespace(x=1) %}{% for i in range(40) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "padded": "{{ '%0999999999d' % 1 }}",
    "indented": "{{ ('\\n' * 100000)|indent(100000, blank=true) }}",
    "long": ROUND + "{{ 'x' * 1000 }}{% endfor %}",
    "sorted": "{% set l = range(50000)|reverse %}" + ROUND + "{{ l|sort|length }}{% endfor %}",
    "titled": "{% set t = 'a.' * 500000 %}" + ROUND + "{{ t|title|length }}{% endfor %}",
    "written": "{% set n = namespace(x=1) %}{% for i in range(9) %}{% set n.x = [n.x] * 9 %}{% endfor %}"
    "{{ n.x|tojson }}",
    "recursion": "{% macro m(x) %}{{ m([x]) }}{% endmacro %}{{ m(1) }}",
    "deep": "{{ " + "[" * 100000 + "]" * 100000 + " }}",
    "many": "{{1|d}}" * 149000,
    "bare": "{{ 'x'.upper }}",
    "set": "{{ ({'a': 1, 'b': 2, 'c': 3}.keys() - [])|join }}",
    "lazy": "{{ ['a']|map('upper') }}",
    "include": "{% include '/etc/passwd' %}",
    "extends": "{% extends 'canary-of-the-host' %}",
    "import": "{% import 'os' as os %}",
    "lorem": "{{ lipsum() }}",
    "random": "{{ [1, 2, 3]|random }}",
    "do": "{% do x.append(1) %}",
    "utf8": "\udcff",
    **{f"out{number}": text for number, text in enumerate(WAYS_OUT)},
}
FILES = [
    entry("data", content=b"data"),
    entry("hard/file", content=b"x"),
    entry("hard/link", "hardlink", target=b"hard/file"),
    entry("evil", "symlink", target=b"/etc/passwd"),
    entry("evil-up", "symlink", target=b"../../../../../etc/passwd"),
    entry("evil-dir", "symlink", target=b"/etc"),
    entry("links/evil", "symlink", target=b"../../../../../../canary-of-the-host"),
    entry("t", content=b"template{{ text }}"),
    *(entry(f"j/{name}", content=text.encode("utf-8", "surrogateescape")) for name, text in TEMPLATES.items()),
    *(entry(f"many/{number}", content=b"m" * 1000) for number in range(200)),
]
ROOT = [entry("usr/lib", "dir"), entry("usr/lib/libdep.so", content=b"dep")]


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


def stage(script: bytes, cpu_seconds: int) -> None:
    """Run the script with lower limits than in earnest, so that the corpus takes seconds; print what came of it."""
    run.LIMITS = Limits(cpu_seconds=cpu_seconds)
    run.Meter = functools.partial(Meter, max_work=min(cpu_seconds, 2) * MAX_WORK // 2)
    breaches: list[str] = []
    said = Verbs.log

    def log(self: Verbs, text: bytes) -> None:
        if text.startswith(b"BREACH"):
            breaches.append(text.decode("utf-8", "replace"))
        said(self, text)

    Verbs.log = log
    programs = Echo() if b"\n-- programs: allowed\n" in script else None
    job = NovaJob(star="attack", script_name="install.lua", script=BREACH.encode() + script, files=tree_of(FILES),
                  root=tree_of(ROOT), epoch=0, programs=programs)  # fmt: skip
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


def in_a_fork(asked: Mapping[str, str], out: int, err: int) -> NoReturn:
    """Be the process of one script: its folder, its streams, its user."""
    ended = 1
    try:
        os.chdir(asked["folder"])
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, stream in enumerate((nothing, out, err)):
            os.dup2(stream, number)
        script = Path(asked["script"]).read_bytes()  # before the user changes, who may not look into this folder
        if asked["user"]:
            become(int(asked["user"]))
        stage(script, int(asked["cpu-seconds"]))
        ended = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended)


def serve() -> None:
    """Fork for each script that stdin names, one after the other; print how each ended."""
    demand_sandbox(WORKER)
    demand_sandbox(TEMPLATE_WORKER)
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                in_a_fork(json.loads(line), out.fileno(), err.fileno())
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said = [stream.seek(0) or stream.read().decode("utf-8", "replace") for stream in (out, err)]
        print(json.dumps({"status": status, "out": said[0], "err": said[1]}), flush=True)


if __name__ == "__main__":
    serve()
