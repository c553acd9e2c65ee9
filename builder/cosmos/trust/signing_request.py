"""`RELEASE.request` and `RELEASE.signature`: to sign a release on another machine than the builder.

    # bring this to the machine that has the key: cosmos key sign-request RELEASE.request --key KEY
    request-version = 1
    payload-type = "application/vnd.in-toto+json"
    digest = "sha256:…"                # of the payload, to compare with the builder's by eye
    payload = "<base64>"               # the very bytes to sign; Ed25519 signs all of them, not their digest

    # bring this back: cosmos attach-signature OUT RELEASE.signature
    signature-version = 1
    payload-type = "application/vnd.in-toto+json"
    digest = "sha256:…"
    key = "cosmos-key-v1 ed25519 ship …"
    signature = "<base64 of 64 bytes>"

The request holds the whole document (some kilobytes, without the image), so that the signer can read what they sign.
The envelope becomes, byte for byte, the same as if the builder had signed. Neither file holds a secret.
"""

from __future__ import annotations

from typing import Self

import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.limits import MAX_SIGNED_BYTES
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.trust import canonical_base64
from cosmos.trust.dsse import Signature, pae
from cosmos.trust.ed25519 import SIGNATURE_BYTES, BadSignature, verify_signature
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import IN_TOTO_TYPE

REQUEST_FILE = "RELEASE.request"
SIGNATURE_FILE = "RELEASE.signature"
_VERSION = 1
_REQUEST_TITLE = f"# bring this to the machine that has the key: cosmos key sign-request {REQUEST_FILE} --key KEY\n"
SIGNATURE_TITLE = f"# bring this back: cosmos attach-signature OUT {SIGNATURE_FILE}\n".encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningRequest:
    """Bytes that somebody is asked to sign, of one kind: a release's document."""

    payload: bytes

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the request in `data`; raises `Malformed`, or `Refused` if its digest is not its payload's."""
        table = Table.parse(data, source, max_bytes=MAX_SIGNED_BYTES)
        _demand_version(table, "request-version")
        payload = table.read("payload", canonical_base64.decoded)
        digest = table.read("digest", Digest.parse)
        table.end()
        if Digest.of(payload) != digest:
            raise Refused(source, f"names {digest}, but its payload is {Digest.of(payload)}")
        return cls(payload=payload)

    def to_bytes(self) -> bytes:
        """Return the file."""
        rows: dict[str, object] = {
            "request-version": _VERSION,
            "payload-type": IN_TOTO_TYPE,
            "digest": str(Digest.of(self.payload)),
            "payload": canonical_base64.encoded(self.payload),
        }
        return (_REQUEST_TITLE + tomli_w.dumps(rows)).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedSignature:
    """A signature file that came back. `verified` proves its signature."""

    digest: Digest
    key: PublicKey
    raw: bytes

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the signature file in `data`; raises `Malformed`."""
        table = Table.parse(data, source, max_bytes=MAX_SIGNED_BYTES)
        _demand_version(table, "signature-version")
        raw = table.read("signature", canonical_base64.decoded)
        if len(raw) != SIGNATURE_BYTES:
            table.fail("signature", f"want {SIGNATURE_BYTES} bytes, got {len(raw)}")
        offered = cls(digest=table.read("digest", Digest.parse), key=table.read("key", PublicKey.from_line), raw=raw)
        table.end()
        return offered

    def to_bytes(self) -> bytes:
        """Return the file."""
        rows: dict[str, object] = {
            "signature-version": _VERSION,
            "payload-type": IN_TOTO_TYPE,
            "digest": str(self.digest),
            "key": self.key.line,
            "signature": canonical_base64.encoded(self.raw),
        }
        return SIGNATURE_TITLE + tomli_w.dumps(rows).encode()

    def verified(self, payload: bytes, source: str) -> Signature:
        """Return the signature if this key made it over `payload`, or raise `Refused`."""
        if Digest.of(payload) != self.digest:
            raise Refused(
                source,
                f"signs {self.digest}, but the release is {Digest.of(payload)}",
                hint=f"sign the {REQUEST_FILE} that lies in the release now",
            )
        try:
            verify_signature(self.key.raw, pae(IN_TOTO_TYPE, payload), self.raw)
        except BadSignature as error:
            raise Refused(source, f"is not a signature by {self.key}: {error.problem}") from None
        return Signature(keyid=self.key.id, raw=self.raw)


def _demand_version(table: Table, key: str) -> None:
    if table.count(key) != _VERSION:
        table.fail(key, f"want {_VERSION}: this file is for another cosmos")
    table.choice("payload-type", (IN_TOTO_TYPE,))
