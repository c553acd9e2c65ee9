"""`run()`: one program in bubblewrap (bwrap(1)): no network, no other process, no file but its tools and the star.

    bwrap --unshare-user --unshare-all --disable-userns --die-with-parent --new-session --clearenv --cap-drop ALL
          --hostname nova --ro-bind TOOLS / --proc /proc --dev /dev --size N --tmpfs /tmp --bind STAGE /stage
          --chdir /stage

Without `--unshare-user`, `--unshare-all` silently leaves the user namespace out. STAGE is a copy of the star's tree;
what is there when the program has ended is read back as data. TOOLS is a folder made of verified stars (`star_tools`),
or, for a maintainer's own `stellar build-star`, the machine's /usr (`host_tools`). The environment is fixed, but for
what the script sets with `env()`.

KNOWN GAP: no limit holds all that a program writes to STAGE together, only each file (`_LIMITS`) and what is read back.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cosmos.errors import WorldFailed
from cosmos.limits import GIB, MIB
from cosmos.nova.job import RunOutcome
from cosmos.nova.on_disk import given_to, open_to_all, read_back, written_out
from cosmos.process import find_program, watch_program
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

NOBODY: Final = 65534
Tools: TypeAlias = Callable[[], AbstractContextManager[tuple[str, ...]]]
_TMP_BYTES: Final = 256 * MIB  # of /tmp, which is memory
_LIMITS: Final = (
    "--core=0",
    "--nofile=1024",
    f"--fsize={2 * GIB}",
    f"--as={4 * GIB}",
    "--nproc=4096",
    "--memlock=65536",
)
_PLACES: Final = ("proc", "dev", "tmp", "stage")  # where something is mounted in TOOLS
_PROBE_SECONDS: Final = 20
_NOT_THERE: Final = "/no-such-program"
_UTIL_HINT: Final = "install util-linux: sudo apt-get install util-linux"
_BWRAP_HINT: Final = "install bubblewrap: sudo apt-get install --no-install-recommends bubblewrap"
_NAMESPACE_HINT: Final = (
    "bubblewrap needs user namespaces: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000, "
    "and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bubble:
    """Runs programs for one script. `epoch` is the time of what they make; `tools` gives bwrap's arguments for `/`."""

    tools: Tools
    epoch: int
    timeout_seconds: float
    where: str

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        """Run `words` in a copy of `tree` and return what is there afterwards; raises `WorldFailed`."""
        bwrap = find_program("bwrap", _BWRAP_HINT)
        limited = _limited()
        with self.tools() as root, tempfile.TemporaryDirectory(prefix="cosmos-stage-") as name:
            stage = Path(name) / "stage"
            stage.mkdir()
            open_to_all(Path(name))
            self._demand_namespaces([*limited, *sandboxed(bwrap, root, stage), "--", _NOT_THERE])
            written_out(tree, stage)
            open_to_all(stage)
            if os.geteuid() == 0:
                given_to(stage, NOBODY)
            settings = [part for pair in _environment(env, self.epoch) for part in ("--setenv", *pair)]
            status, last = watch_program(
                [*limited, *sandboxed(bwrap, root, stage), *settings, "--", *map(os.fsdecode, words)],
                env={},
                timeout_seconds=self.timeout_seconds,
                where=self.where,
                told=_unheard,
            )
            return RunOutcome(status=status, tree=dict(read_back(stage, tree, self.epoch)), last=last)

    def _demand_namespaces(self, probe: list[str]) -> None:
        """Start the sandbox with a program that is not there: the sandbox itself must come up, and say so."""
        _, said = watch_program(probe, env={}, timeout_seconds=_PROBE_SECONDS, where=self.where, told=_unheard)
        if f"execvp {_NOT_THERE}" not in said:
            raise WorldFailed(
                self.where,
                f"bubblewrap cannot make its sandbox here: {said[-300:] or 'it says nothing'}",
                hint=_NAMESPACE_HINT,
            )


def _limited() -> list[str]:
    """Return the command that another is put behind, for its limits.

    Root becomes nobody: in a user namespace it would have no capabilities, but own what root owns in /proc/sys.
    """
    limits = [find_program("prlimit", _UTIL_HINT), *_LIMITS, "--"]
    if os.geteuid() != 0:
        return limits
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return [find_program("setpriv", _UTIL_HINT), *user, "--", *limits]


def sandboxed(bwrap: str, root: tuple[str, ...], stage: Path) -> list[str]:
    """Return the command that starts a program in the sandbox, up to its environment and its words."""
    return [
        bwrap, "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session",
        "--clearenv", "--cap-drop", "ALL", "--hostname", "nova", *root, "--proc", "/proc", "--dev", "/dev",
        "--size", str(_TMP_BYTES), "--tmpfs", "/tmp", "--bind", str(stage), "/stage", "--chdir", "/stage",  # noqa: S108 - the sandbox's own
    ]  # fmt: skip


def star_tools(layers: Callable[[], Iterator[Entry]]) -> Tools:
    """Return tools that are the files of verified stars, written out for as long as a program runs."""

    @contextmanager
    def tools() -> Iterator[tuple[str, ...]]:
        with tempfile.TemporaryDirectory(prefix="cosmos-tools-") as name:
            root = Path(name) / "root"
            root.mkdir()
            written_out({entry.path: entry for entry in layers()}, root)
            for place in _PLACES:
                (root / place).mkdir(exist_ok=True)
            open_to_all(Path(name))
            yield ("--ro-bind", str(root), "/")

    return tools


@contextmanager
def host_tools() -> Iterator[tuple[str, ...]]:
    """Give the machine's own /usr, read-only: what is built with it depends on the machine."""
    with tempfile.TemporaryDirectory(prefix="cosmos-tools-") as name:
        root = Path(name)
        for place in (*_PLACES, "usr", "etc/alternatives"):
            (root / place).mkdir(parents=True)
        for link in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
            if Path("/usr", link).is_dir():
                (root / link).symlink_to(f"usr/{link}")
        open_to_all(root)
        alternatives = "/etc/alternatives"  # Debian's `cc` leads through it
        yield ("--ro-bind", name, "/", "--ro-bind", "/usr", "/usr", "--ro-bind-try", alternatives, alternatives)


def _environment(given: Mapping[bytes, bytes], epoch: int) -> Iterator[tuple[str, str]]:
    fixed = {
        "PATH": "/usr/bin:/usr/sbin:/bin:/sbin",
        "HOME": "",
        "TMPDIR": "/tmp",  # noqa: S108 - the sandbox's own
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(epoch),
    }
    yield from {**fixed, **{os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}}.items()


def _unheard(_line: str) -> None:
    """Let a line pass: its last ones are kept."""
