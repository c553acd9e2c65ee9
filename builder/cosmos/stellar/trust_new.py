"""Write the first `trust.toml` of a galaxy from public keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import tomli_w

from cosmos.durable import write_durably
from cosmos.errors import Malformed
from cosmos.keyring.secret_key import SecretKey
from cosmos.reading import envelope_of
from cosmos.records import dataclass
from cosmos.stellar.trust_next import Progress, demand_holders, progress
from cosmos.trust.dsse import assemble
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import TRUST_TYPE, Role
from cosmos.trust.roots import KEYED_ROLES, AuthorKey, RoleKeys, TrustRoots

_TITLE = "# who may sign, and what; accepted with: cosmos trust init FILE --sha256 DIGEST\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleWish:
    """The public keys of a role, and the number of them that must sign."""

    role: Role
    keys: tuple[PublicKey, ...]
    threshold: int


def first_roots(
    wishes: Iterable[RoleWish], authors: Sequence[AuthorKey], author_threshold: int, text: str
) -> TrustRoots:
    """Return version 1 with these keys; `text` is its description. `write_trust` checks the whole document.

    Raises `Malformed` for a threshold above the number of author keys, and for a threshold of a role without keys.
    """
    wishes = tuple(wishes)
    held = len({author.key.raw for author in authors})
    if author_threshold > max(1, held):
        raise Malformed(f"--threshold author={author_threshold}", f"want at most {held}, the number of author keys")
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


def write_trust(roots: TrustRoots, out: Path, signers: Sequence[SecretKey]) -> Progress:
    """Write `roots` to `out`, and an envelope beside it if there are `signers`; raises `Malformed` or `Refused`.

    The document is first checked by the same rules as later by its users. Nothing is overwritten. Other holders of root
    keys may add the signatures that are still missing.
    """
    data = (_TITLE + tomli_w.dumps(roots.to_toml())).encode()
    demand_holders(signers, None, TrustRoots.parse(data, str(out)))
    for path in (out, envelope_of(out)):
        if path.exists() or path.is_symlink():
            raise Malformed(
                str(path),
                "is there already; trust anchors are never overwritten",
                hint="choose another --out FILE; to change it: stellar trust rotate",
            )
    signatures = [signer.signature(TRUST_TYPE, data) for signer in signers]
    if signatures:
        write_durably(envelope_of(out), assemble(TRUST_TYPE, data, signatures))
    write_durably(out, data)
    return progress(out, None)
