"""`NAME.key`: a secret Ed25519 key, sealed under a passphrase.

    # the secret author key alice: never send this file to anyone
    secret-key-version = 1
    name = "alice"
    role = "author"                    # the one role that it signs for (trust.roles)
    public = "<base64>"
    protection = "passphrase"          # or "none"

    [kdf]                              # only under a passphrase
    algorithm = "argon2id13"
    operations = 3
    memory-bytes = 268435456
    salt = "<base64 of 16 bytes>"

    [box]
    nonce = "<base64 of 24 bytes>"
    sealed = "<base64 of 48 bytes>"    # crypto_secretbox (XSalsa20-Poly1305) over the 32 bytes of the seed

    [plain]                            # only with protection = "none"
    seed = "<base64 of 32 bytes>"

The box's key is BLAKE2b-256 of everything stated above the box, keyed with Argon2id(passphrase, salt). So the box
opens only with the same name, role, public key and parameters. Parameters below libsodium's "moderate" or above its
"sensitive" are refused before Argon2id runs.

A passphrase has a floor: 12 bytes, of which 5 differ. No error repeats a value that may be secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self

from nacl import utils
from nacl.bindings import (
    crypto_generichash_blake2b_salt_personal,
    crypto_secretbox,
    crypto_secretbox_NONCEBYTES,
    crypto_secretbox_open,
)
from nacl.exceptions import CryptoError
from nacl.exceptions import RuntimeError as SodiumRuntimeError

from cosmos.canon import canonical_json
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.limits import MAX_KEY_FILE_BYTES
from cosmos.model.names import KeyName
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.trust import canonical_base64
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import Role, role

SECRET_KEY_VERSION: Final = 1
SEED_BYTES: Final = 32
MIN_PASSPHRASE_BYTES: Final = 12  # a guess costs 256 MiB and most of a second; the rest is the passphrase's
MIN_PASSPHRASE_DISTINCT: Final = 5  # different bytes: "aaaaaaaaaaaa" is long, but easy to guess
MAX_PASSPHRASE_BYTES: Final = 1024  # a longer text is a file that was given by mistake
_SEALED_BYTES: Final = SEED_BYTES + 16  # with Poly1305's tag
_ALGORITHM: Final = "argon2id13"
_PERSON: Final = b"cosmos-key-v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What a key file states in clear."""

    public: PublicKey
    role: Role

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the head of a key file."""
        name, raw = table.read("name", KeyName.parse), table.read("public", canonical_base64.decoded)
        try:
            return cls(public=PublicKey(name=name, raw=raw), role=table.read("role", role))
        except ValueError as error:
            table.fail("public", str(error))

    def to_toml(self) -> dict[str, str | int]:
        """Return the head as `tomli_w` takes it."""
        return {
            "secret-key-version": SECRET_KEY_VERSION,
            "name": str(self.public.name),
            "role": self.role,
            "public": canonical_base64.encoded(self.public.raw),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Kdf:
    """Argon2id's parameters."""

    operations: int
    memory_bytes: int
    salt: bytes

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `[kdf]` table; parameters out of bounds are refused before anything is run."""
        from nacl.pwhash import argon2id  # five modules, for a passphrase alone

        table.choice("algorithm", (_ALGORITHM,))
        kdf = cls(
            operations=table.count("operations", least=argon2id.OPSLIMIT_MODERATE, most=argon2id.OPSLIMIT_SENSITIVE),
            memory_bytes=table.count(
                "memory-bytes", least=argon2id.MEMLIMIT_MODERATE, most=argon2id.MEMLIMIT_SENSITIVE
            ),
            salt=_sized(table, "salt", argon2id.SALTBYTES),
        )
        table.end()
        return kdf

    def to_toml(self) -> dict[str, str | int]:
        """Return the table as `tomli_w` takes it."""
        return {
            "algorithm": _ALGORITHM,
            "operations": self.operations,
            "memory-bytes": self.memory_bytes,
            "salt": canonical_base64.encoded(self.salt),
        }

    def box_key(self, passphrase: bytes, head: Head, source: str) -> bytes:
        """Return the 32 bytes that open the box of a key with this head, and of no other.

        Raises `WorldFailed` if the machine has less memory than the passphrase takes.
        """
        from nacl.pwhash import argon2id  # as above

        try:
            stretched = argon2id.kdf(32, passphrase, self.salt, self.operations, self.memory_bytes)
        except (SodiumRuntimeError, MemoryError):
            raise WorldFailed(source, f"its passphrase takes {self.memory_bytes >> 20} MiB of memory") from None
        bound = canonical_json({**head.to_toml(), "kdf": {**self.to_toml()}})
        return crypto_generichash_blake2b_salt_personal(bound, digest_size=32, key=stretched, person=_PERSON)


def sealed_document(head: Head, seed: bytes, passphrase: bytes) -> bytes:
    """Return the key file of `seed` under `passphrase`; raises `Malformed` for a passphrase below the floor."""
    import tomli_w  # as above
    from nacl.pwhash import argon2id

    demand_strong(passphrase)
    kdf = Kdf(
        operations=argon2id.OPSLIMIT_MODERATE,
        memory_bytes=argon2id.MEMLIMIT_MODERATE,
        salt=utils.random(argon2id.SALTBYTES),
    )
    nonce = utils.random(crypto_secretbox_NONCEBYTES)
    sealed = crypto_secretbox(seed, nonce, kdf.box_key(passphrase, head, f"key {head.public.name}"))
    box = {"nonce": canonical_base64.encoded(nonce), "sealed": canonical_base64.encoded(sealed)}
    rows = {**head.to_toml(), "protection": "passphrase", "kdf": kdf.to_toml(), "box": box}
    return (_title(head) + tomli_w.dumps(rows)).encode()


def plain_document(head: Head, seed: bytes) -> bytes:
    """Return the key file of `seed` without a passphrase; it says so."""
    import tomli_w  # as above

    warning = "# NOT ENCRYPTED (--no-passphrase): whoever reads this file can sign with this key\n"
    rows = {**head.to_toml(), "protection": "none", "plain": {"seed": canonical_base64.encoded(seed)}}
    return (_title(head) + warning + tomli_w.dumps(rows)).encode()


def opened(data: bytes, passphrase: Callable[[], bytes], source: str) -> tuple[Head, bytes]:
    """Return the head and the seed of a key file; calls `passphrase` only if the seed is sealed.

    Raises `Refused` for a passphrase that does not fit (or a head that was changed), `Malformed`, `WorldFailed`.
    """
    table = Table.parse(data, source, max_bytes=MAX_KEY_FILE_BYTES)
    if table.count("secret-key-version") != SECRET_KEY_VERSION:
        table.fail("secret-key-version", f"want {SECRET_KEY_VERSION}: this key is for another cosmos")
    head = Head.read(table)
    if table.choice("protection", ("passphrase", "none")) == "none":
        plain = table.table("plain")
        seed = _sized(plain, "seed", SEED_BYTES)
        plain.end()
        table.end()
        return head, seed
    kdf, box = Kdf.read(table.table("kdf")), table.table("box")
    nonce, sealed = _sized(box, "nonce", crypto_secretbox_NONCEBYTES), _sized(box, "sealed", _SEALED_BYTES)
    box.end()
    table.end()
    try:
        return head, crypto_secretbox_open(sealed, nonce, kdf.box_key(passphrase(), head, source))
    except CryptoError:
        raise Refused(source, "the passphrase does not open it, or the file was changed") from None


def stated_head(data: bytes, source: str) -> tuple[Head, str]:
    """Return the plain text part of a key file, and its protection. Nothing of it is proved."""
    table = Table.parse(data, source, max_bytes=MAX_KEY_FILE_BYTES)
    return Head.read(table), table.choice("protection", ("passphrase", "none"))


def demand_strong(passphrase: bytes) -> None:
    """Raise `Malformed` for a passphrase below the floor."""
    if not MIN_PASSPHRASE_BYTES <= len(passphrase) <= MAX_PASSPHRASE_BYTES:
        problem = f"want {MIN_PASSPHRASE_BYTES} to {MAX_PASSPHRASE_BYTES} bytes, got {len(passphrase)}"
    elif len(set(passphrase)) < MIN_PASSPHRASE_DISTINCT:
        problem = f"want at least {MIN_PASSPHRASE_DISTINCT} different characters, got {len(set(passphrase))}"
    else:
        return
    raise Malformed("the passphrase", problem, hint="use four or more unrelated words")


def _title(head: Head) -> str:
    return f"# the secret {head.role} key {head.public.name}: never send this file to anyone\n"


def _sized(table: Table, key: str, size_bytes: int) -> bytes:
    data = table.read(key, canonical_base64.decoded)
    if len(data) != size_bytes:
        table.fail(key, f"want {size_bytes} bytes, got {len(data)}")
    return data
