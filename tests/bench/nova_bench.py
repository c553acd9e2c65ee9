"""What a script's own process costs: 100 scripts in one build, against the same verbs called from Python.

    PYTHONPATH=builder python tests/bench/nova_bench.py

Each script does what an install script does: it copies a folder, links, writes, looks. Printed are the medians of one
script in its worker and of its verbs alone, the difference (the cost of the sandbox: at most 5 ms), and the ratio; and
what render() costs, whose templates have a worker of their own.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from cosmos.nova.broker import Broker
from cosmos.nova.job import NovaJob
from cosmos.nova.meter import Meter
from cosmos.nova.run import run_install
from cosmos.nova.verbs import Verbs
from cosmos.nova.workers import WORKER
from cosmos.sandbox.probe import demand_sandbox
from cosmos.tree.entry import Entry, tree_of
from cosmos.treepath import TreePath

SCRIPTS = 100
VERBS = [
    (b"copy", b"bin/", b"/usr/bin/"), (b"symlink", b"tool1", b"/usr/bin/t"), (b"chmod", b"/usr/bin/tool1", b"0755"),
    (b"mkdir", b"/etc/tool"), (b"write", b"/etc/tool/conf", b"x = 1\n"), (b"exists", b"/usr/lib/libc.so"),
    (b"glob", b"/usr/bin/*"), (b"log", b"done"),
]  # fmt: skip
LUA = b"""
function install()
  copy("bin/", "/usr/bin/") symlink("tool1", "/usr/bin/t") chmod("/usr/bin/tool1", "0755")
  mkdir("/etc/tool") write("/etc/tool/conf", "x = 1\\n") exists("/usr/lib/libc.so")
  glob("/usr/bin/*") log("done")
end
"""
RENDERS = 100
TEMPLATE = b"""[tool]
name = {{ name }}
{% for port in ports %}
listen = {{ host | upper }}:{{ port }}
{% endfor %}
"""
JOB = NovaJob(
    star="bench",
    script_name="install.lua",
    script=LUA,
    epoch=0,
    files=tree_of(
        [
            *(
                Entry(path=TreePath.parse(f"bin/tool{n}"), kind="file", mode=0o755, content=b"x" * 100)
                for n in range(20)
            ),
            Entry(path=TreePath.parse("conf.in"), kind="file", mode=0o644, content=TEMPLATE),
        ]
    ),
    root=tree_of([Entry(path=TreePath.parse("usr/lib/libc.so"), kind="file", mode=0o755, content=b"c")]),
)


def milliseconds_of_verbs() -> float:
    """Time the verbs alone, called from Python."""
    began = time.perf_counter()
    verbs = Verbs(JOB, "install", Meter(), no_templates)
    broker = Broker(JOB, verbs, Meter())
    for verb, *args in VERBS:
        assert broker.call(verb, tuple(args))[0]
    verbs.root.layer()
    return (time.perf_counter() - began) * 1000


def no_templates(shown: str, _template: bytes, _variables: bytes) -> bytes:
    """Refuse: the verbs that are timed alone render nothing."""
    raise AssertionError(shown)


def milliseconds_of_script(job: NovaJob = JOB) -> float:
    """Time one script, its worker and all."""
    began = time.perf_counter()
    run_install(job)
    return (time.perf_counter() - began) * 1000


def rendering(times: int) -> NovaJob:
    """Return the job of a script that renders a template `times` times, and does nothing else."""
    lua = (
        b"""
        function install()
          for n = 1, %d do render("conf.in", "/etc/conf", {name = "x", host = "h", ports = {1, 2, 3}}) end
        end"""
        % times
    )
    return replace(JOB, script=lua)


def main() -> None:
    """Print the medians."""
    began = time.perf_counter()
    demand_sandbox(WORKER)
    first = (time.perf_counter() - began) * 1000
    verbs = statistics.median(milliseconds_of_verbs() for _ in range(SCRIPTS))
    script = statistics.median(milliseconds_of_script() for _ in range(SCRIPTS))
    print(f"once: zygote and probe {first:.0f} ms")
    print(f"median of {SCRIPTS}: script {script:.2f} ms, its verbs from Python {verbs:.2f} ms")
    one = statistics.median(milliseconds_of_script(rendering(1)) for _ in range(SCRIPTS))
    many = statistics.median(milliseconds_of_script(rendering(RENDERS)) for _ in range(SCRIPTS // 10))
    after = statistics.median(milliseconds_of_script() for _ in range(SCRIPTS))
    print(f"a script that renders once {one:.2f} ms; each further render() {(many - one) / (RENDERS - 1):.2f} ms")
    print(f"the plain script, once templates were rendered: {after:.2f} ms")
    print(f"the sandbox costs {script - verbs:.2f} ms a script; ratio {script / verbs:.1f}")


if __name__ == "__main__":
    main()
