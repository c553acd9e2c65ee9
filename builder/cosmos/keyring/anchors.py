"""The trust anchors that a home or a system has accepted: where they lie, how the first is accepted, how they are read.

    HOME/trust/trust.toml              of a builder
    ROOT/etc/cosmos/trust.toml         of a running system
    trust.toml.dsse beside it          where the document came signed

The first document is accepted by the SHA-256 of its exact bytes, which the operator got by another way than the file.
There is no trust on first use. Another document does not replace an accepted one here: going from version N to N+1 has
its own rules (TRUST.md section 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import Refused, WorldFailed
from cosmos.limits import MAX_ENVELOPE_BYTES
from cosmos.trust.roots import TRUST_FILE, TrustRoots, demand_digest, verify_roots


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

    In this order: the file's SHA-256 is `wanted`; its envelope, where there is one, is by its own root keys; no other
    document was accepted before. To accept the same bytes again changes nothing.
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
            hint=f"if that one was a mistake, remove {anchor} yourself and run this again",
        )
    _beside(anchor).unlink(missing_ok=True)  # left by an attempt that was cut short
    if envelope is not None:
        write_durably(_beside(anchor), envelope)
    write_durably(anchor, data)  # last: without it nothing was accepted
    return Anchor(path=anchor, digest=wanted, roots=roots, is_signed=envelope is not None, is_new=True)


def load_trust(anchor: Path) -> Anchor:
    """Return the accepted trust anchors at `anchor`; raises `Refused` where none were accepted."""
    if not anchor.exists():
        raise Refused(
            str(anchor),
            "no trust anchors were accepted, so no signature can be judged",
            hint="cosmos trust init trust.toml --sha256 DIGEST, with the digest from whoever made the file",
        )
    data, envelope = document_and_envelope(anchor)
    roots = verify_roots(data, envelope, str(anchor))
    return Anchor(path=anchor, digest=Digest.of(data), roots=roots, is_signed=envelope is not None)


def document_and_envelope(file: Path) -> tuple[bytes, bytes | None]:
    """Return the bytes of `file` and of the `.dsse` beside it, None where there is none; raises `WorldFailed`."""
    beside = _beside(file)
    return _bounded(file), _bounded(beside) if beside.exists() else None


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.dsse")


def _bounded(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_ENVELOPE_BYTES + 1)
    except OSError as error:
        raise WorldFailed(str(file), f"cannot be read: {(error.strerror or str(error)).lower()}") from error
