"""`trust.toml`: the keys that the operator pinned, by role. Unknown fields are errors.

    trust-version = 1                  # of this format; 2 if the document has [recovered.logs]
    version = 1                        # of this document: rises by one with every change
    description = "who may sign for our machines"

    [roles.root]                       # required; signs trust.toml itself
    threshold = 2                      # distinct keys that must have signed
    keys = ["cosmos-key-v1 ed25519 alice …", "cosmos-key-v1 ed25519 bob …"]

    [roles.galaxy]                     # signs galaxies' indexes
    threshold = 1
    keys = ["cosmos-key-v1 ed25519 mirror …"]

    [roles.release]                    # signs locks and releases
    threshold = 1
    keys = ["cosmos-key-v1 ed25519 ship …"]

    [roles.author]                     # signs stars; its keys are scoped, in [[author]]
    threshold = 1

    [[author]]
    key = "cosmos-key-v1 ed25519 carol …"
    galaxies = ["core"]                # globs on galaxies' names: * and ?
    stars = ["lib*", "zlib"]           # globs on stars' names

    [floor.galaxies]                   # optional, and so is [recovered]: see trust.floors
    core = 7

    [[revoked]]                        # optional, beats every other table: see trust.revocation
    key = "ed25519:…"                  # a key id
    reason = "stolen laptop"
    effective-seq = 0                  # everything that it ever signed is refused

A key stands in one role only, and once in it. A threshold is at least 1 and at most the number of its role's keys.
The roles attester, log and witness (badges, a log's heads, and their cosignatures) are written as release is.

If `trust.toml.dsse` lies beside it, a threshold of the document's own root keys must have signed it. That alone proves
nothing to a person who has never seen the keys. So the operator accepts the first document by its SHA-256, which comes
by another way (`cosmos trust init FILE --sha256 …`). For later versions see `trust.chain`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Self

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.globs import name_matches
from cosmos.limits import MAX_ENVELOPE_BYTES
from cosmos.model.names import GalaxyName, StarName
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.trust.dsse import BadEnvelope, verify_envelope
from cosmos.trust.floors import Floors, Recovered
from cosmos.trust.keys import PublicKey
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import TRUST_TYPE, Role

TRUST_VERSION = 2
TRUST_FILE = "trust.toml"
KEYED_ROLES: tuple[Role, ...] = ("root", "galaxy", "release", "attester", "log", "witness")
_GLOB = re.compile(r"[A-Za-z0-9+._*?-]{1,128}")
_MAX_TRUST_BYTES = MAX_ENVELOPE_BYTES // 2  # so that it fits into an envelope, in base64


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthorKey:
    """A key that may sign stars: those whose galaxy and name its globs match."""

    key: PublicKey
    galaxies: tuple[str, ...]
    stars: tuple[str, ...]

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an `[[author]]` table."""
        for name in ("galaxies", "stars"):
            if not table.need(name, list):
                table.fail(name, "is empty: this key could sign nothing")
        author = cls(
            key=table.read("key", PublicKey.from_line),
            galaxies=table.parsed_strings("galaxies", glob),
            stars=table.parsed_strings("stars", glob),
        )
        table.end()
        return author

    def covers(self, galaxy: GalaxyName, star: StarName) -> bool:
        """Return whether this key may sign `star` in `galaxy`."""
        return _matches(galaxy, self.galaxies) and _matches(star, self.stars)

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {"key": self.key.line, "galaxies": list(self.galaxies), "stars": list(self.stars)}


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleKeys:
    """The keys of one role, and how many distinct ones must have signed."""

    threshold: int
    keys: tuple[PublicKey, ...]

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `[roles.NAME]` table."""
        keys = table.parsed_strings("keys", PublicKey.from_line)
        role = cls(threshold=_threshold(table, len(keys)), keys=keys)
        table.end()
        return role

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {"threshold": self.threshold, "keys": [key.line for key in self.keys]}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustRoots:
    """The pinned keys. `keys` and `author_keys` leave out every revoked key.

    A signature by a retired key is judged in two steps: first it must be by one of `keys_or_retired`; then
    `payloads.demand_still_good` compares the seq in the signed bytes.
    """

    version: int
    description: str = ""
    roles: Mapping[Role, RoleKeys]
    author_threshold: int = 1
    authors: tuple[AuthorKey, ...] = ()
    floors: Floors = field(default_factory=Floors)
    recovered: Recovered = field(default_factory=Recovered)
    revoked: tuple[Revoked, ...] = ()

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the document in `data`; raises `Malformed`."""
        return cls.read(Table.parse(data, source, max_bytes=_MAX_TRUST_BYTES))

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the document in `table`; raises `Malformed`."""
        trust_version = table.count("trust-version", least=1)
        if trust_version > TRUST_VERSION:
            table.fail("trust-version", f"want at most {TRUST_VERSION}: this document is for another cosmos")
        authors = tuple(AuthorKey.read(row) for row in table.tables("author"))
        roles, author_threshold = _roles(table.table("roles"), len(authors))
        version = table.count("version", least=1)
        roots = cls(
            version=version,
            description=table.take("description", str, ""),
            roles=roles,
            author_threshold=author_threshold,
            authors=authors,
            floors=Floors.read(table.take_table("floor")),
            recovered=Recovered.read(table.take_table("recovered"), version, trust_version),
            revoked=tuple(Revoked.read(row) for row in table.tables("revoked")),
        )
        if trust_version != roots.trust_version:
            table.fail("trust-version", f"want {roots.trust_version}: only [recovered.logs] needs {TRUST_VERSION}")
        table.end()
        _refuse_shared_keys(roots, table)
        if len({row.key for row in roots.revoked}) != len(roots.revoked):
            table.fail("revoked", "names one key twice")
        return roots

    @property
    def trust_version(self) -> int:
        """The number of the format that the document needs: the least that has all its tables."""
        return TRUST_VERSION if self.recovered.logs else 1

    def keys(self, role: Role) -> tuple[PublicKey, ...]:
        """Return the keys of `role` that are not revoked; for `author`, the keys of every scope."""
        keys = tuple(author.key for author in self.authors) if role == "author" else self._listed(role)
        return tuple(key for key in keys if not self.is_revoked(key))

    def author_keys(self, galaxy: GalaxyName, star: StarName) -> tuple[PublicKey, ...]:
        """Return the keys that may sign `star` in `galaxy` and are not revoked."""
        covering = (author.key for author in self.authors if author.covers(galaxy, star))
        return tuple(key for key in covering if not self.is_revoked(key))

    def keys_or_retired(self, role: Role) -> tuple[PublicKey, ...]:
        """Return the keys of `role` except those revoked with `effective-seq = 0`."""
        listed = [author.key for author in self.authors] if role == "author" else self._listed(role)
        return tuple(key for key in listed if not self.is_revoked(key, at_seq=1))

    def author_keys_or_retired(self, galaxy: GalaxyName, star: StarName) -> tuple[PublicKey, ...]:
        """Return the keys that may sign `star` in `galaxy`, except those revoked with `effective-seq = 0`."""
        covering = (author.key for author in self.authors if author.covers(galaxy, star))
        return tuple(key for key in covering if not self.is_revoked(key, at_seq=1))

    def author_keys_ever(self, galaxy: GalaxyName, star: StarName) -> tuple[PublicKey, ...]:
        """Return every key listed for `star` in `galaxy`, revoked ones too: to see who signed, not who counts."""
        return tuple(author.key for author in self.authors if author.covers(galaxy, star))

    def still_good(self, signers: tuple[str, ...], seq: int) -> tuple[str, ...]:
        """Return those `signers` (ids of pinned keys) whose signature on a document with this `seq` counts."""
        if not self.revoked:
            return signers
        extents = {row.key: row.effective_seq for row in self.revoked}
        return tuple(signer for signer in signers if signer not in extents or 1 <= seq <= extents[signer])

    def threshold(self, role: Role) -> int:
        """Return how many distinct keys of `role` must have signed: at least 1, also for a role without keys."""
        if role == "author":
            return self.author_threshold
        return self.roles[role].threshold if role in self.roles else 1

    def is_revoked(self, key: PublicKey, *, at_seq: int | None = None) -> bool:
        """Return whether `key` is revoked, for every document or for one with the seq `at_seq`."""
        return not self.still_good((key.id,), at_seq or 0)

    def revoked_keys(self, role: Role) -> tuple[tuple[PublicKey, Revoked], ...]:
        """Return the revoked and retired keys that `role` lists, for messages that name them."""
        if not self.revoked:
            return ()
        rows = {row.key: row for row in self.revoked}
        return tuple((key, rows[key.id]) for held, key in self.all_keys() if held == role and key.id in rows)

    def name_of(self, signer: str) -> str:
        """Return the name of the pinned key with the id `signer`, or the id if no pinned key has it."""
        return next((str(key.name) for _, key in self.all_keys() if key.id == signer), signer)

    def all_keys(self) -> tuple[tuple[Role, PublicKey], ...]:
        """Return every key that the document lists, revoked ones too, with its role."""
        authors: tuple[tuple[Role, PublicKey], ...] = tuple(("author", author.key) for author in self.authors)
        return tuple((role, key) for role in KEYED_ROLES for key in self._listed(role)) + authors

    def to_toml(self) -> dict[str, object]:
        """Return the document as `tomli_w` takes it."""
        roles: dict[str, object] = {role: keys.to_toml() for role, keys in self.roles.items()}
        rows: dict[str, object] = {
            "trust-version": self.trust_version,
            "version": self.version,
            "description": self.description,
            "roles": {**roles, "author": {"threshold": self.author_threshold}} if self.authors else roles,
            "author": [author.to_toml() for author in self.authors],
            "floor": self.floors.to_toml(),
            "recovered": self.recovered.to_toml(),
            "revoked": [row.to_toml() for row in self.revoked],
        }
        return {key: value for key, value in rows.items() if value}

    def _listed(self, role: Role) -> tuple[PublicKey, ...]:
        return self.roles[role].keys if role in self.roles else ()


def verify_roots(data: bytes, envelope: bytes | None, source: str) -> TrustRoots:
    """Return the document in `data`; if it has an envelope, its own root keys must have signed it.

    Raises `BadEnvelope` where the envelope is of another document.
    """
    roots = TrustRoots.parse(data, source)
    if envelope is not None:
        signed = verify_envelope(
            envelope,
            payload_type=TRUST_TYPE,
            keys=roots.keys("root"),
            threshold=roots.threshold("root"),
            source=f"{source}.dsse",
        )
        if signed.payload != data:
            raise BadEnvelope(f"{source}.dsse", f"is the signature of another document than {source}")
    return roots


def demand_digest(data: bytes, wanted: Digest, source: str) -> None:
    """Raise `Refused` unless the exact bytes `data` have the SHA-256 that the operator got another way."""
    got = Digest.of(data)
    if got != wanted:
        raise Refused(
            source,
            f"want {wanted}, but the file is {got}",
            hint="do not go on: ask the person who gave you the digest, by another way than the file came",
        )


def glob(text: str) -> str:
    """Return `text` if it is a glob on names (`*` any run of characters, `?` one), or raise `ValueError`."""
    if not _GLOB.fullmatch(text):
        raise ValueError(f"want a name, in which * and ? stand for others, got {text[:80]!r}")
    return text


def _matches(name: str, globs: tuple[str, ...]) -> bool:
    return any(name_matches(name, pattern) for pattern in globs)


def _threshold(table: Table, keys: int) -> int:
    threshold = table.count("threshold")
    if not 1 <= threshold <= keys:
        table.fail("threshold", f"want 1 to {keys}, the number of keys, got {threshold}")
    return threshold


def _roles(table: Table, authors: int) -> tuple[dict[Role, RoleKeys], int]:
    roles = {role: RoleKeys.read(table.table(role)) for role in KEYED_ROLES if role == "root" or role in table}
    author_threshold = 1
    if authors:
        author = table.table("author")
        author_threshold = _threshold(author, authors)
        author.end()
    table.end()
    return roles, author_threshold


def _refuse_shared_keys(roots: TrustRoots, table: Table) -> None:
    roles: dict[bytes, Role] = {}
    for role, key in roots.all_keys():
        held = roles.get(key.raw)
        if held == role:
            table.fail("", f"key {key.name} is listed twice in the role {role}")
        if held is not None:
            table.fail("", f"key {key.name} is listed in two roles, {held} and {role}", hint="make a key for each role")
        roles[key.raw] = role
