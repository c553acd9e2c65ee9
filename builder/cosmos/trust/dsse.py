"""`NAME.dsse`: a signed envelope (DSSE 1.0.2, github.com/secure-systems-lab/dsse) over the exact bytes of `NAME`.

    {
      "payload": "<base64 of the file's bytes>",
      "payloadType": "application/vnd.cosmos.star.v1+toml",
      "signatures": [
        {"keyid": "ed25519:…", "sig": "<base64 of 64 bytes>"}
      ]
    }

A signature is over PAE(type, payload) = `"DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload`, LEN in ASCII
decimal. Cosmos verifies the bytes first, and then parses those same bytes. It never makes bytes canonical before it
judges them.

The reader is stricter than DSSE: it limits the size and the number of signatures, and refuses a doubled or unknown
field, NaN and Infinity, and base64 that is not canonical. A long payload is cut out before the rest is read as JSON: an
envelope is read before any signature of it is judged, so it must not take more than a few times its size in memory.
`keyid` may be absent; it is a hint. Signatures by keys that the caller does not name are ignored. The threshold counts
**distinct keys**, never signatures or key ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, NoReturn, Self

from cosmos.canon import readable_json
from cosmos.errors import Refused
from cosmos.limits import MAX_ENVELOPE_BYTES, MAX_ENVELOPE_SIGNATURES, demand_within
from cosmos.records import dataclass
from cosmos.trust import canonical_base64
from cosmos.trust.ed25519 import SIGNATURE_BYTES, BadSignature, verify_signature
from cosmos.trust.good_signatures import verify_statement_signature
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import ENVELOPE_LIMITS, STAR_TYPE

_MAX_KEYID: Final = 256  # characters; ours have 72, and the longest of others is a SHA-512 in hex
_MAX_REST_BYTES: Final = 64 << 10  # of an envelope without its payload; 16 signatures have 5 KiB
# A text of base64 that is longer than any but a payload. JSON may write a slash as \/, and any character as \u002b.
_LONG_TEXT: Final = re.compile(rb'"(?=[^"]{4096})((?:[A-Za-z0-9+/=]++|\\/|\\u00[0-9A-Fa-f]{2})*+)"')
_HOLE: Final = b'"\\u0000 the payload"'  # what stands for it in the rest


class BadEnvelope(Refused):
    """An envelope is malformed, or it is of another type than the caller demands."""


class NotSigned(Refused):
    """Fewer distinct keys than the threshold have signed. The payload was not parsed."""


class RevokedSigner(NotSigned):
    """Enough keys have signed, but one of the keys that are needed was revoked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """One signature: 64 bytes, and a hint to the key that made it."""

    keyid: str
    raw: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A parsed envelope; nothing in it is verified."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes, source: str, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> Self:
        """Return the envelope in `data`; raises `BadEnvelope`."""
        if len(data) > max_bytes:
            raise BadEnvelope(source, f"has {len(data)} bytes, the limit of an envelope is {max_bytes}")
        rest, payload = _cut(data, source)
        fields = _fields(_document(rest, source), ("payload", "payloadType", "signatures"), source, "")
        rows = fields["signatures"]
        if not isinstance(rows, list) or not rows:
            raise BadEnvelope(source, "signatures: want an array that is not empty")
        if len(rows) > MAX_ENVELOPE_SIGNATURES:
            raise BadEnvelope(source, f"has {len(rows)} signatures, the limit is {MAX_ENVELOPE_SIGNATURES}")
        return cls(
            payload_type=_text(fields["payloadType"], source, "payloadType"),
            payload=_payload(fields["payload"], payload, source),
            signatures=tuple(_signature(row, source, f"signatures[{place}]") for place, row in enumerate(rows)),
        )

    def to_bytes(self) -> bytes:
        """Return the envelope as Cosmos writes it: sorted fields, two spaces, signatures sorted by key id."""
        rows = sorted(self.signatures, key=lambda row: (row.keyid, row.raw))
        return readable_json(
            {
                "payload": canonical_base64.encoded(self.payload),
                "payloadType": self.payload_type,
                "signatures": [{"keyid": row.keyid, "sig": canonical_base64.encoded(row.raw)} for row in rows],
            }
        )

    def with_strangers(self, source: str, keys: Iterable[PublicKey]) -> str:
        """Return `source`, and the key ids in its signatures that are not of `keys`. These ids prove nothing."""
        known = {key.id for key in keys}
        strangers = sorted({row.keyid or "a key without an id" for row in self.signatures} - known)
        return f"{source} (signed by {', '.join(strangers)})" if strangers else source


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedPayload:
    """Bytes that a threshold of distinct keys has signed, and the ids of those keys, sorted."""

    payload: bytes
    signers: tuple[str, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a signature is over: DSSE's pre-authentication encoding.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def assemble(payload_type: str, payload: bytes, signatures: Iterable[Signature]) -> bytes:
    """Return an envelope's bytes. They do not depend on the order in which people signed.

    Raises `Refused` for an envelope that its readers would not accept.
    """
    envelope = Envelope(payload_type=payload_type, payload=payload, signatures=tuple(signatures))
    demand_within(len(envelope.signatures), MAX_ENVELOPE_SIGNATURES, f"an envelope for {payload_type}")
    data = envelope.to_bytes()
    demand_within(len(data), ENVELOPE_LIMITS.get(payload_type, MAX_ENVELOPE_BYTES), f"an envelope for {payload_type}")
    return data


def is_envelope_of(payload_type: str, payload: bytes, data: bytes) -> bool:
    """Return whether `data` is an envelope over exactly these bytes. No signature in it is verified."""
    try:
        found = Envelope.parse(data, "", max_bytes=ENVELOPE_LIMITS.get(payload_type, MAX_ENVELOPE_BYTES))
    except BadEnvelope:
        return False
    return (found.payload_type, found.payload) == (payload_type, payload)


def verify_envelope(
    data: bytes,
    *,
    payload_type: str,
    keys: Iterable[PublicKey],
    threshold: int,
    source: str,
    max_bytes: int = MAX_ENVELOPE_BYTES,
) -> VerifiedPayload:
    """Return the payload of `data` if it is of `payload_type` and `threshold` distinct `keys` signed it, or raise.

    Raises `BadEnvelope` for another form or type, `NotSigned` for too few keys.
    """
    envelope = Envelope.parse(data, source, max_bytes=max_bytes)
    if envelope.payload_type != payload_type:
        raise BadEnvelope(source, f"want a signature for {payload_type}, got one for {envelope.payload_type[:120]!r}")
    signers = signers_of(envelope, keys)
    demand_threshold(signers, threshold, source)
    return VerifiedPayload(payload=envelope.payload, signers=signers)


def signers_of(envelope: Envelope, keys: Iterable[PublicKey]) -> tuple[str, ...]:
    """Return the sorted ids of those `keys` that have signed `envelope`, each id once."""
    waiting = {key.raw: key for key in keys}
    message = pae(envelope.payload_type, envelope.payload)
    found: list[str] = []
    for signature in envelope.signatures:
        hinted_first = sorted(waiting.values(), key=lambda key: key.id != signature.keyid)
        signer = next((key for key in hinted_first if _fits(key, envelope.payload_type, message, signature)), None)
        if signer is not None:
            del waiting[signer.raw]
            found.append(signer.id)
    return tuple(sorted(found))


def demand_threshold(signers: tuple[str, ...], threshold: int, source: str, hint: str | None = None) -> None:
    """Raise `NotSigned` unless at least `threshold` keys signed; a threshold below 1 is an error as well."""
    if threshold < 1:
        raise NotSigned(source, f"a threshold of {threshold} would let anything pass")
    if len(set(signers)) < threshold:
        keys = "a pinned key" if threshold == 1 else f"{threshold} distinct pinned keys"
        got = len(set(signers)) or "none"
        raise NotSigned(source, f"want a signature by {keys}, got {got}", hint=hint)


def _fits(key: PublicKey, payload_type: str, message: bytes, signature: Signature) -> bool:
    verify = verify_statement_signature if payload_type == STAR_TYPE else verify_signature
    try:
        verify(key.raw, message, signature.raw)
    except BadSignature:
        return False
    return True


def _cut(data: bytes, source: str) -> tuple[bytes, bytes | None]:
    """Return an envelope whose first long text is replaced by `_HOLE`, and that text; None if no text in it is long."""
    found = _LONG_TEXT.search(data)
    rest = data if found is None else b"".join((data[: found.start()], _HOLE, data[found.end() :]))
    if len(rest) > _MAX_REST_BYTES:
        problem = f"has {len(rest)} bytes beside its payload in base64, the limit is {_MAX_REST_BYTES}"
        raise BadEnvelope(source, problem)
    if found is None:
        return rest, None
    if _HOLE in data:
        raise BadEnvelope(source, "has a text that an envelope never has")
    return rest, found[1]


def _payload(value: object, cut: bytes | None, source: str) -> bytes:
    """Return the payload: the field's `value`, or the text that was `cut` out in its place."""
    if value != json.loads(_HOLE):
        if cut is not None:
            raise BadEnvelope(source, "a text other than the payload is too long")
        return _base64(value, source, "payload")
    if cut is None:
        raise BadEnvelope(source, "payload: want canonical base64 (RFC 4648 section 4)")
    text = json.loads(b'"%b"' % cut) if b"\\" in cut else cut.decode("ascii")
    return _base64(text, source, "payload")


def _document(data: bytes, source: str) -> object:
    try:
        document: object = _DECODER.decode(data.decode("utf-8"))
    except _NotStrict as error:
        raise BadEnvelope(source, str(error)) from error
    except UnicodeDecodeError as error:
        raise BadEnvelope(source, f"is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise BadEnvelope(source, f"is not JSON at line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise BadEnvelope(source, "is not JSON that an envelope can be") from error
    return document


class _NotStrict(ValueError):
    """JSON that other readers take for something else than this one."""


def _refuse_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _NotStrict("names one field twice")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise _NotStrict(f"holds {name}, which is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_refuse_doubles, parse_constant=_refuse_constant)


def _fields(value: object, wanted: tuple[str, ...], source: str, path: str) -> Mapping[str, object]:
    at = f"{path}: " if path else ""
    if not isinstance(value, dict):
        raise BadEnvelope(source, f"{at}want an object")
    for name in wanted:
        if name not in value:
            raise BadEnvelope(source, f"{at}{name} is missing")
    for name in value:
        if name not in wanted:
            raise BadEnvelope(source, f"{at}unknown field {str(name)[:80]!r}")
    return value


def _signature(row: object, source: str, path: str) -> Signature:
    has_hint = isinstance(row, dict) and "keyid" in row
    fields = _fields(row, ("keyid", "sig") if has_hint else ("sig",), source, path)
    keyid = _text(fields["keyid"], source, f"{path}.keyid") if has_hint else ""
    if len(keyid) > _MAX_KEYID:
        raise BadEnvelope(source, f"{path}.keyid has {len(keyid)} characters, the limit is {_MAX_KEYID}")
    raw = _base64(fields["sig"], source, f"{path}.sig")
    if len(raw) != SIGNATURE_BYTES:
        raise BadEnvelope(source, f"{path}.sig: want {SIGNATURE_BYTES} bytes, got {len(raw)}")
    return Signature(keyid=keyid, raw=raw)


def _text(value: object, source: str, path: str) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise BadEnvelope(source, f"{path}: want printable text")
    return value


def _base64(value: object, source: str, path: str) -> bytes:
    try:
        return canonical_base64.decoded(_text(value, source, path))
    except ValueError as error:
        raise BadEnvelope(source, f"{path}: {error}") from error
