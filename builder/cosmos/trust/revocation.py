"""`[[revoked]]`: a key that is trusted no longer, and from which seq on.

    [[revoked]]
    key = "ed25519:…"                  # a key id
    reason = "stolen laptop"
    effective-seq = 0                  # everything that it ever signed is refused

    [[revoked]]                        # a key that was retired, and never lost
    key = "ed25519:…"
    reason = "carol has left"
    effective-seq = 12                 # its signatures up to seq 12 stay good; it must stay listed in its role

The number compared is `seq` inside the signed statement or index. A document without a seq (a lock, a release, a
trust.toml) is never good under a retired key.

KNOWN GAP: the holder of a key can write an old seq into a new statement. `effective-seq` above 0 is for keys that were
retired, not for keys that were lost; a lost key gets 0.
"""

from __future__ import annotations

from typing import Self

from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.trust.keys import key_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Revoked:
    """A key that is trusted no longer. Its signatures up to `effective_seq` stay good; 0 means none of them."""

    key: str
    reason: str
    effective_seq: int = 0

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `[[revoked]]` table."""
        revoked = cls(
            key=table.read("key", key_id),
            reason=table.take("reason", str, ""),
            effective_seq=table.count("effective-seq"),
        )
        table.end()
        return revoked

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {"key": self.key, "reason": self.reason, "effective-seq": self.effective_seq}

    def __str__(self) -> str:
        extent = f" for all after seq {self.effective_seq}" if self.effective_seq else ""
        return f"revoked{extent}{f' ({self.reason})' if self.reason else ''}"
