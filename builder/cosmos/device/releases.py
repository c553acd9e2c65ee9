"""A system as the judge of a release that it gets: by its own trust anchors and memory (`release.verdicts`)."""

from __future__ import annotations

from collections.abc import Callable

from cosmos.device.journal import at_work
from cosmos.device.memory import remember, system_trust
from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import TRUST_PATH
from cosmos.errors import Refused
from cosmos.model.lock import Lock, LockedStar
from cosmos.records import dataclass
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, slots=True)
class SystemJudge:
    """The system at `root`. It keeps no statements of stars that it does not have."""

    root: LiveRoot

    @property
    def pinned(self) -> TrustRoots:
        """The keys that the system trusts. Raises `Refused` if it has no trust anchors."""
        trust = system_trust(self.root)
        if trust.locked is None:
            hint = f"cosmos trust init FILE --sha256 DIGEST{self.root.option}; or name a public key: --key PUB"
            raise Refused(shown(TRUST_PATH), "no trust anchors were accepted for this system", hint=hint)
        return trust.roots

    def roots_when_locked(self, lock: Lock) -> TrustRoots | None:
        """Return the trust anchors of the lock, if they are those of now."""
        trust = system_trust(self.root)
        return trust.roots if trust.locked == lock.trust else None

    def kept_statement(self, star: LockedStar) -> bytes | None:  # noqa: ARG002 - a builder's home has them
        """Return None: a system has no statements of the stars of a release."""
        return None

    def remember(self, change: Callable[[Memory], Memory]) -> None:
        """Change the system's memory. Raises `RolledBack`, and `WorldFailed` if another cosmos is at work."""
        with at_work(self.root):
            remember(self.root, change)
