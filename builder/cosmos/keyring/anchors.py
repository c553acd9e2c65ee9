"""The trust anchors that a home or a system has accepted: where their files are, how to accept them, how to read them.

    HOME/trust/trust.toml              of a builder
    ROOT/etc/cosmos/trust.toml         of a running system
    trust.toml.dsse beside it          if the document came signed
    chain/N.toml, chain/N.toml.dsse    beside it: every version that was ever accepted

The operator accepts the first document by the SHA-256 of its exact bytes. They got this digest by another way than the
file. There is no trust on first use. Each later document must follow from the one before: `keyring.catching_up`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import Refused
from cosmos.limits import MAX_ENVELOPE_BYTES
from cosmos.reading import envelope_of, is_there, read_envelope, read_if_there, read_up_to
from cosmos.trust.chain import step_file
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TRUST_FILE, TrustRoots, demand_digest, verify_roots

CHAIN: Final = "chain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """Accepted trust anchors, read from `path`. `is_new` says whether this very call accepted them."""

    path: Path
    digest: Digest
    roots: TrustRoots
    is_signed: bool
    is_new: bool = False


def home_anchor(home: Path) -> Path:
    """Return where a builder's home keeps its trust anchors."""
    return home / "trust" / TRUST_FILE


def system_anchor(root: Path) -> Path:
    """Return where the system at `root` keeps its trust anchors."""
    return root / "etc" / "cosmos" / TRUST_FILE


def accept_trust(file: Path, wanted: Digest, anchor: Path) -> Anchor:
    """Accept `file` as the trust anchors at `anchor`, or raise and write nothing.

    In this order: the file's SHA-256 is `wanted`; if it has an envelope, the document's own root keys have signed it;
    no other document was accepted before. To accept the same bytes again changes nothing.
    """
    data, envelope = document_and_envelope(file)
    demand_digest(data, wanted, str(file))
    roots = verify_roots(data, envelope, str(file))
    if anchor.exists() or anchor.is_symlink():
        accepted = load_trust(anchor)
        if accepted.digest == wanted:
            return accepted
        raise Refused(
            str(file),
            f"another document was accepted before: {anchor} is {accepted.digest}",
            hint=f"if that document was a mistake, remove {anchor} and run the same command again",
        )
    envelope_of(anchor).unlink(missing_ok=True)  # left by an attempt that was cut off
    if envelope is not None:
        write_durably(envelope_of(anchor), envelope)
    keep_version(anchor, roots.version, data, envelope)
    write_durably(anchor, data)  # last: without it nothing was accepted
    return Anchor(path=anchor, digest=wanted, roots=roots, is_signed=envelope is not None, is_new=True)


def accepted_versions(anchor: Path) -> tuple[int, ...]:
    """Return the versions that were ever accepted and are kept, oldest first."""
    folder = anchor.with_name(CHAIN)
    names = [file.name.removesuffix(".toml") for file in sorted(folder.glob("*.toml"))] if folder.is_dir() else []
    return tuple(sorted(int(name) for name in names if name.isascii() and name.isdecimal()))


def earlier_roots(anchor: Path, version: int, digest: Digest) -> TrustRoots | None:
    """Return the accepted document of `version` if its file is kept and has the SHA-256 `digest`, else None."""
    file = anchor.with_name(CHAIN) / step_file(version)
    if not is_there(file):
        return None
    data, envelope = document_and_envelope(file)
    return verify_roots(data, envelope, str(file)) if Digest.of(data) == digest else None


def load_trust(anchor: Path, memory: Memory | None = None) -> Anchor:
    """Return the accepted trust anchors at `anchor`; raises `Refused` if this machine has accepted none yet.

    With a `memory`, it refuses anchors that are older than those seen before, and other anchors of the same version.
    """
    if not anchor.exists():
        raise Refused(
            str(anchor),
            "no trust anchors were accepted, so no signature can be judged",
            hint="ask the maker of trust.toml for its digest, then: cosmos trust init trust.toml --sha256 DIGEST",
        )
    data, envelope = document_and_envelope(anchor)
    version = TrustRoots.parse(data, str(anchor)).version
    kept = anchor.with_name(CHAIN) / step_file(version)
    if (
        read_if_there(kept, MAX_ENVELOPE_BYTES) == data
    ):  # a step that was cut off left the envelope of the version before
        envelope = document_and_envelope(kept)[1]
    roots = verify_roots(data, envelope, str(anchor))
    digest = Digest.of(data)
    if memory is not None:
        memory.with_trust(version, digest, str(anchor))
    return Anchor(path=anchor, digest=digest, roots=roots, is_signed=envelope is not None)


def document_and_envelope(file: Path) -> tuple[bytes, bytes | None]:
    """Return the bytes of `file`, and of the `.dsse` file beside it or None; raises `WorldFailed`."""
    return read_up_to(file, MAX_ENVELOPE_BYTES), read_envelope(file, MAX_ENVELOPE_BYTES)


def keep_version(anchor: Path, version: int, data: bytes, envelope: bytes | None) -> None:
    """Keep an accepted version beside the anchors, its envelope first."""
    file = anchor.with_name(CHAIN) / step_file(version)
    if envelope is not None:
        write_durably(envelope_of(file), envelope)
    write_durably(file, data)
