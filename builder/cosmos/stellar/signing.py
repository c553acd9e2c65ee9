"""Sign documents: `NAME.dsse` beside `NAME` (trust.dsse), each kind with a key of the role that signs it.

The content of a document decides its kind. The whole document is parsed before it is signed, so nobody signs a document
that readers refuse. A second key's signature is added. An envelope over other bytes than the file's is replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cosmos.durable import write_durably
from cosmos.errors import Malformed
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_ENVELOPE_BYTES, MAX_INDEX_BYTES, MAX_INDEX_ENVELOPE_BYTES
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.lock import Lock
from cosmos.model.statement import Statement
from cosmos.reading import envelope_of, is_there, read_bounded, read_envelope
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.trust.dsse import Envelope, Signature, assemble
from cosmos.trust.roles import GALAXY_TYPE, LOCK_TYPE, SIGNED_BY, STAR_TYPE, TRUST_TYPE
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """The files that got a signature in one run, and the number of files that had it before."""

    files: tuple[Path, ...]
    already: int


def sign_files(files: Sequence[Path], keys: Sequence[SecretKey]) -> Signed:
    """Sign each of `files` with every key whose role signs its kind; raises `Malformed` if no key does."""
    added: list[Path] = []
    already = 0
    for file in files:
        kind = kind_of(file, _read(file))
        fitting = [key for key in keys if kind in SIGNED_BY[key.role]]
        if not fitting:
            roles = ", ".join(sorted({key.role for key in keys})) or "none"
            wanted = " or ".join(role for role, kinds in SIGNED_BY.items() if kind in kinds)
            raise Malformed(str(file), f"want a key of the role {wanted} to sign it, got {roles}")
        changed = [key for key in fitting if sign_file(file, key)]
        added += [file] if changed else []
        already += not changed
    return Signed(files=tuple(added), already=already)


def sign_file(file: Path, key: SecretKey) -> bool:
    """Add `key`'s signature to the envelope beside `file`; return whether it is new.

    Raises `Refused` for a key whose role does not sign such a document, `Malformed` for an unknown kind of document.
    """
    data = _read(file)
    kind = kind_of(file, data)
    return bool(sign_parsed(file, kind, data, signatures_over(file, kind, data), (key,)))


def sign_parsed(file: Path, kind: str, data: bytes, before: Iterable[Signature], keys: Sequence[SecretKey]) -> int:
    """Add the signatures of `keys` to the envelope beside `file`; return how many of them are new.

    The caller has read `data` from the file, has parsed it as a document of this `kind`, and found the signatures
    `before` over it in the envelope. A key that has signed does not sign again. Raises `Refused` for a key whose role
    does not sign such a document.
    """
    now = {one.keyid: one for one in before}
    new = [key for key in keys if key.public.id not in now or not key.has_signed(kind, data, now[key.public.id])]
    if new:
        now |= {key.public.id: key.signature(kind, data) for key in new}
        write_durably(envelope_of(file), assemble(kind, data, now.values()))
    return len(new)


def write_document(file: Path, data: bytes) -> bool:
    """Write `data` to `file`, and remove an envelope that signs other bytes; return whether anything was changed."""
    if is_there(file) and _read(file) == data:
        return False
    envelope = envelope_beside(file)
    if envelope is not None and envelope.payload != data:
        envelope_of(file).unlink()
    write_durably(file, data)
    return True


def kind_of(file: Path, data: bytes) -> str:
    """Return the payload type of a document that can be signed here; raises `Malformed` for any other."""
    table = Table.parse(data, str(file), max_bytes=MAX_INDEX_BYTES)
    if "statement" in table:
        Statement.parse(data, str(file))
        return STAR_TYPE
    if "lock-version" in table:
        Lock.parse(data, str(file))
        return LOCK_TYPE
    if "trust-version" in table:
        TrustRoots.parse(data, str(file))
        return TRUST_TYPE
    if "seq" in table:
        GalaxyIndex.parse(data, str(file))
        return GALAXY_TYPE
    raise Malformed(
        str(file), "cannot be signed: want the statement of a star, a galaxy's index, a lock or a trust.toml"
    )


def _read(file: Path) -> bytes:
    return read_bounded(file, MAX_INDEX_BYTES)


def statement_envelope(file: Path) -> Envelope | None:
    """Return the envelope beside the statement `file`, as `envelope_beside`."""
    return envelope_beside(file, MAX_ENVELOPE_BYTES)


def envelope_beside(file: Path, max_bytes: int = MAX_INDEX_ENVELOPE_BYTES) -> Envelope | None:
    """Return the envelope beside `file`, or None for an unsigned file; nothing in it is verified. Raises `Refused`."""
    data = read_envelope(file, max_bytes)
    return None if data is None else Envelope.parse(data, str(envelope_of(file)), max_bytes=max_bytes)


def signatures_over(file: Path, kind: str, data: bytes) -> tuple[Signature, ...]:
    """Return the signatures in the envelope beside `file`, if it is over `data` as a document of this kind."""
    return signatures_in(envelope_beside(file), kind, data)


def signatures_in(envelope: Envelope | None, kind: str, data: bytes) -> tuple[Signature, ...]:
    """Return the signatures in `envelope`, if it is over `data` as a document of this kind."""
    if envelope is None or (envelope.payload_type, envelope.payload) != (kind, data):
        return ()
    return envelope.signatures
