"""Write the next version of `trust.toml`: rotate keys, revoke them, raise floors, recover.

    OLD.toml + changes -> N+1.toml -> signatures, one after the other, until both thresholds are met

The new document obeys every rule of `trust.chain`, except that signatures may still be missing. Each holder of a root
key adds their signature to the same bytes, on their own machine (`stellar trust sign`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Malformed, NoSolution, Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_ENVELOPE_BYTES
from cosmos.reading import envelope_of, read_envelope, read_up_to
from cosmos.records import dataclass
from cosmos.stellar.signing import sign_file, write_document
from cosmos.trust.chain import demand_follows, step_file
from cosmos.trust.dsse import Envelope, signers_of
from cosmos.trust.floors import Floors, Recovered, star_floor
from cosmos.trust.keys import PublicKey
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import Role
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The changes from the version before. `removed` are ids of keys, `recovered` kinds and names."""

    added: tuple[tuple[Role, PublicKey], ...] = ()
    authors: tuple[AuthorKey, ...] = ()
    removed: frozenset[str] = frozenset()
    revoked: tuple[Revoked, ...] = ()
    thresholds: Mapping[Role, int] = field(default_factory=dict)
    floors: Floors = field(default_factory=Floors)
    recovered: Recovered = field(default_factory=Recovered)
    description: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """The number of signatures of a document, and both thresholds. Without a version before it, `old` is None."""

    path: Path
    digest: Digest
    roots: TrustRoots
    own: tuple[int, int]
    old: tuple[int, int] | None

    @property
    def is_complete(self) -> bool:
        """Whether both thresholds are met."""
        return self.own[0] >= self.own[1] and (self.old is None or self.old[0] >= self.old[1])


def next_roots(old: TrustRoots, changes: Changes) -> TrustRoots:
    """Return the version that follows `old`. `write_next` checks the whole document."""
    roles: dict[Role, RoleKeys] = {}
    for role in dict.fromkeys((*old.roles, *(role for role, _ in changes.added))):
        before = old.roles[role] if role in old.roles else RoleKeys(threshold=1, keys=())
        kept = [key for key in before.keys if key.id not in changes.removed]
        keys = (*kept, *(key for held, key in changes.added if held == role))
        if keys:
            roles[role] = RoleKeys(threshold=changes.thresholds.get(role, before.threshold), keys=keys)
    version = old.version + 1
    return replace(
        old,
        version=version,
        description=old.description if changes.description is None else changes.description,
        roles=roles,
        author_threshold=changes.thresholds.get("author", old.author_threshold),
        authors=(*(author for author in old.authors if author.key.id not in changes.removed), *changes.authors),
        floors=Floors(
            galaxies={**old.floors.galaxies, **changes.floors.galaxies},
            stars={**old.floors.stars, **changes.floors.stars},
            releases={**old.floors.releases, **changes.floors.releases},
        ),
        recovered=Recovered(
            galaxies={**old.recovered.galaxies, **dict.fromkeys(changes.recovered.galaxies, version)},
            stars={**old.recovered.stars, **dict.fromkeys(changes.recovered.stars, version)},
            releases={**old.recovered.releases, **dict.fromkeys(changes.recovered.releases, version)},
            logs={**old.recovered.logs, **dict.fromkeys(changes.recovered.logs, version)},
        ),
        revoked=_revoked(old.revoked, changes.revoked),
    )


def write_next(old: TrustRoots, new: TrustRoots, out: Path, signers: Sequence[SecretKey]) -> Progress:
    """Write `new` to `out`, with the signatures of `signers`. Nothing is overwritten.

    Raises `Malformed` for a document that contradicts itself, `Refused` for one that cannot follow `old`.
    """
    title = f"# version {new.version}: follows version {old.version}; taken with: cosmos trust update FOLDER\n"
    data = (title + tomli_w.dumps(new.to_toml())).encode()
    checked = TrustRoots.parse(data, str(out))
    demand_follows(old, checked, str(out))
    if len(checked.keys("root")) < checked.threshold("root"):
        raise Malformed(
            str(out),
            f"wants {checked.threshold('root')} root keys, but only {len(checked.keys('root'))} are not revoked: "
            "nothing could ever follow it",
            hint="add a root key with --add root=NEW.pub, or lower the threshold",
        )
    for path in (out, envelope_of(out)):
        if path.exists() or path.is_symlink():
            raise Refused(
                str(path), "is there already; trust anchors are never overwritten", hint="choose another --out FILE"
            )
    demand_holders(signers, old, checked)
    write_document(out, data)
    for signer in signers:
        sign_file(out, signer)
    return progress(out, old)


def sign_next(file: Path, old: TrustRoots | None, signers: Sequence[SecretKey]) -> Progress:
    """Add the signatures of `signers` to the document in `file`; raises `Refused` for a key that would not count."""
    found = TrustRoots.parse(read_up_to(file, MAX_ENVELOPE_BYTES), str(file))
    if old is not None:
        demand_follows(old, found, str(file))
    demand_holders(signers, old, found)
    for signer in signers:
        sign_file(file, signer)
    return progress(file, old)


def progress(file: Path, old: TrustRoots | None) -> Progress:
    """Return the signatures of the document in `file`, counted against both thresholds."""
    data, beside = read_up_to(file, MAX_ENVELOPE_BYTES), read_envelope(file, MAX_ENVELOPE_BYTES)
    roots = TrustRoots.parse(data, str(file))
    envelope = None if beside is None else Envelope.parse(beside, str(envelope_of(file)))
    if envelope is not None and envelope.payload != data:
        envelope = None
    return Progress(
        path=file,
        digest=Digest.of(data),
        roots=roots,
        own=_count(envelope, roots),
        old=None if old is None else _count(envelope, old),
    )


def demand_holders(signers: Iterable[SecretKey], old: TrustRoots | None, new: TrustRoots) -> None:
    """Raise `Refused` for a signer who holds no root key of `new`, or of `old` before it."""
    counted = {key.raw for roots in (old, new) if roots is not None for key in roots.keys("root")}
    if new.version == 1:
        which, hint = "this document", "name its public half with --root, or sign with a key that is named there"
    else:
        which = "this version or of the version before"
        hint = "if the version before is in another folder: stellar trust sign FILE --previous OLD.toml"
    for signer in signers:
        if signer.public.raw not in counted:
            raise Refused(
                f"key {signer.public.name}",
                f"is not a root key of {which}: its signature would not count",
                hint=hint,
            )


def before(file: Path, version: int) -> Path:
    """Return the file of the version before `version`, if one folder holds all versions."""
    return file.with_name(step_file(version - 1))


def found_key(roots: TrustRoots, text: str) -> PublicKey:
    """Return the key that `roots` lists under the name or the id `text`; raises `NoSolution`."""
    found = [key for _, key in roots.all_keys() if text in (key.id, str(key.name))]
    if len(found) != 1:
        listed = ", ".join(sorted(str(key.name) for _, key in roots.all_keys()))
        raise NoSolution(text, f"{len(found) or 'no'} keys have this name or id; there are: {listed}")
    return found[0]


def floor_of(kind: str, name: str, text: str) -> int | str:
    """Return a floor's value in the type of its kind, or raise `ValueError`."""
    if kind == "star":
        return star_floor(text)
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:20]) < 1 << 63):
        raise ValueError(f"want a number from 1 on for {name}, got {text[:80]!r}")
    return int(text)


def _revoked(old: Iterable[Revoked], new: Iterable[Revoked]) -> tuple[Revoked, ...]:
    rows = {row.key: row for row in old}
    for row in new:
        rows[row.key] = row
    return tuple(rows.values())


def _count(envelope: Envelope | None, roots: TrustRoots) -> tuple[int, int]:
    signers = () if envelope is None else signers_of(envelope, roots.keys("root"))
    return len(signers), roots.threshold("root")
