"""Write a first `trust.toml` from public keys: for the people who start a galaxy and those who take its stars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import Malformed
from cosmos.keyring.secret_key import SecretKey
from cosmos.reading import envelope_of
from cosmos.trust.dsse import assemble
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import TRUST_TYPE, Role
from cosmos.trust.roots import KEYED_ROLES, AuthorKey, RoleKeys, TrustRoots, verify_roots

_TITLE = "# who may sign, and what; accepted with: cosmos trust init FILE --sha256 DIGEST\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTrust:
    """The document that was written."""

    path: Path
    digest: Digest
    roots: TrustRoots
    is_signed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleWish:
    """The public keys that a role shall have, and how many of them must sign."""

    role: Role
    keys: tuple[PublicKey, ...]
    threshold: int


def first_roots(
    wishes: Iterable[RoleWish], authors: Sequence[AuthorKey], author_threshold: int, text: str
) -> TrustRoots:
    """Return version 1 with these keys; `text` describes it. `write_trust` checks that the whole holds together.

    Raises `Malformed` for a threshold that the author keys could never reach, and for one of a role without keys.
    """
    wishes = tuple(wishes)
    held = len({author.key.raw for author in authors})
    if author_threshold > max(1, held):
        raise Malformed(f"--threshold author={author_threshold}", f"want no more than the author keys given: {held}")
    for wish in wishes:
        if wish.threshold > 1 and not wish.keys:
            raise Malformed(f"--threshold {wish.role}={wish.threshold}", f"want keys of the role {wish.role}, got none")
    roles = {
        wish.role: RoleKeys(threshold=wish.threshold, keys=wish.keys)
        for wish in wishes
        if wish.keys and wish.role in KEYED_ROLES
    }
    return TrustRoots(
        version=1, description=text, roles=roles, author_threshold=author_threshold, authors=tuple(authors)
    )


def write_trust(roots: TrustRoots, out: Path, signers: Sequence[SecretKey]) -> NewTrust:
    """Write `roots` to `out`, and the envelope beside it where `signers` sign; raises `Malformed` or `Refused`.

    What is written was read back with the rules by which it will be judged; nothing is overwritten.
    """
    beside = envelope_of(out)
    data = (_TITLE + tomli_w.dumps(roots.to_toml())).encode()
    signatures = [signer.signature(TRUST_TYPE, data) for signer in signers]
    envelope = assemble(TRUST_TYPE, data, signatures) if signatures else None
    checked = verify_roots(data, envelope, str(out))
    for path in (out, beside):
        if path.exists() or path.is_symlink():
            raise Malformed(str(path), "is there already, and trust anchors are never overwritten")
    if envelope is not None:
        write_durably(beside, envelope)
    write_durably(out, data)
    return NewTrust(path=out, digest=Digest.of(data), roots=checked, is_signed=envelope is not None)
