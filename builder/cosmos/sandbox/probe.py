"""The live probe: try inside a worker's own sandbox everything that it must refuse, before its first job.

The probe fails closed: if a result differs from `WANTED`, the build ends (`WorldFailed`), and no script ran. The
results go into the release's provenance. They are the same for every build that succeeds, so they change no byte.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cosmos.durable import sweep_old
from cosmos.errors import WorldFailed
from cosmos.sandbox.conversation import WHERE, Patience, conversation, no_sandbox, planted_secret
from cosmos.sandbox.wire import OUTCOME, BrokenProtocol

WANTED: Final[Mapping[str, str]] = {
    "canary": "refused",  # a file that anyone may read, opened by its path
    "socket": "refused",  # of the internet, and of this machine
    "processes": "refused",  # to list them, to signal them: itself, the first one
    "program": "refused",  # to fork, to start one
    "executable-memory": "refused",
    "capabilities": "none",
    "seccomp": "on",
    "no-new-privileges": "on",
    "secret": "absent",  # the secret planted in the environment or the memory of the process that started the sandbox
}
_SECONDS: Final = 30
_CPU_SECONDS: Final = 5
_HALF: Final = 16

_held: dict[str, Mapping[str, str]] = {}  # the results by the worker's module, after they were as wanted


def demand_sandbox(module: str) -> Mapping[str, str]:
    """Return the probe's results in a worker of `module`, which equal `WANTED`; raises `WorldFailed`.

    It tries once in the life of this process.
    """
    if module not in _held:
        seen = _probed(module)
        missed = [f"{name} is {seen.get(name, 'unknown')}, wanted {want}" for name, want in WANTED.items()
                  if seen.get(name) != want]  # fmt: skip
        if missed:
            raise WorldFailed(
                WHERE, f"the sandbox does not hold: {'; '.join(missed)}", hint="no script was run; report this machine"
            )
        _held[module] = seen
    return _held[module]


def _probed(module: str) -> Mapping[str, str]:
    secret = planted_secret(module)
    with tempfile.NamedTemporaryFile(prefix="cosmos-canary-") as canary:
        canary.write(secret)
        canary.flush()
        sweep_old(Path(canary.name), "cosmos-canary-", "cosmos-tools-")
        # never whole: the question itself would be found
        job = (b"probe", _CPU_SECONDS, canary.name.encode(), secret[:_HALF], hashlib.blake2s(secret[_HALF:]).digest())
        try:
            with conversation(job, Patience(seconds=_SECONDS), module) as worker:
                _, values = worker.receive(OUTCOME)
        except (BrokenProtocol, EOFError, TimeoutError) as error:
            raise no_sandbox("the sandbox's probe did not come to its end") from error
    if len(values) != 2 or not isinstance(values[1], bytes):
        raise no_sandbox("the sandbox's probe gave no answer")
    lines = (line.partition("=") for line in values[1].decode("utf-8", "replace").splitlines())
    return {name: value for name, _, value in lines}
