"""Judge stars by what the system's operator demands of every one of them: `log` and `badges` of `[policy]`.

Every command that acquires, keeps or locks stars goes through `system_judge`: `install`, `sync` and `freeze`. The rules
are those of an image's policy (staging.vouching). The keys are those of the system's trust.toml. The system's memory
keeps the head of each log as soon as it was judged.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from cosmos.device.journal import at_work
from cosmos.device.memory import SystemTrust, read_memory, remember
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH
from cosmos.errors import Refused, WorldFailed
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.staging.logs import Remember
from cosmos.staging.vouching import VouchingJudge
from cosmos.trust.memory import Memory


def system_judge(
    settings: Settings, trust: SystemTrust, remembering: Remember, reporter: Reporter, *, option: str
) -> VouchingJudge:
    """Return the judge of the system's policy. `remembering` is `as_writer` or `as_reader` of the system.

    Raises `Refused` if the policy demands what no accepted trust.toml can say: whose logs and badges count.
    """
    if settings.vouching and trust.locked is None:
        raise Refused(
            shown(SETTINGS_PATH),
            f"[policy] wants {' and '.join(settings.vouching.to_toml())} for every star, but no trust.toml says "
            "whose count",
            hint=f"cosmos trust init FILE --sha256 DIGEST{option}",
        )
    return VouchingJudge(settings.vouching, trust.roots, remembering, reporter)


def as_writer(root: LiveRoot) -> Remember:
    """Return how the only writer of the system remembers."""
    return partial(remember, root)


def as_onlooker(root: LiveRoot) -> Remember:
    """Return how a command that writes nothing at all judges by the memory."""

    def judged(change: Callable[[Memory], Memory]) -> None:
        change(read_memory(root) or Memory())

    return judged


def as_reader(root: LiveRoot) -> Remember:
    """Return how a command that changes nothing else remembers: where it may not write, it judges alone."""

    judges = as_onlooker(root)

    def judged(change: Callable[[Memory], Memory]) -> None:
        judges(change)
        with suppress(WorldFailed), at_work(root):
            remember(root, change)

    return judged
