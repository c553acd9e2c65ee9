"""Add a signature from another machine to a release: `cosmos attach-signature OUT SIGNATURE`."""

from __future__ import annotations

from pathlib import Path

from cosmos.durable import sync_folder, write_durably
from cosmos.limits import MAX_RELEASE_BYTES, MAX_SIGNED_BYTES
from cosmos.links import real
from cosmos.model.release import RELEASE_ENVELOPE, RELEASE_FILE, Release
from cosmos.reading import is_there, read_bounded, read_if_there
from cosmos.records import dataclass
from cosmos.release.missing import no_release
from cosmos.trust.dsse import Envelope, Signature, assemble
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.signing_request import REQUEST_FILE, OfferedSignature


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """A release with one more signature. `signatures` is their number now."""

    folder: Path
    key: PublicKey
    signatures: int


def attach_signature(folder: Path, signature_file: Path) -> Attached:
    """Add the signature in `signature_file` to the release in `folder`. The result is the same as signing in place.

    Raises `Refused` if the signature is over another release, or not by the key that it names.
    """
    document, beside = folder / RELEASE_FILE, folder / RELEASE_ENVELOPE
    if not is_there(document):
        raise no_release(folder)
    payload = read_bounded(document, MAX_RELEASE_BYTES)
    Release.parse(payload, str(document))
    offered = OfferedSignature.parse(read_bounded(signature_file), str(signature_file))
    added = offered.verified(payload, str(signature_file))
    signatures = [one for one in _signatures(beside, payload) if one.keyid != added.keyid] + [added]
    write_durably(beside, assemble(IN_TOTO_TYPE, payload, signatures))
    (folder / REQUEST_FILE).unlink(missing_ok=True)
    if real(signature_file).parent == real(folder):
        signature_file.unlink()  # the envelope has it now, and the file is not a part of the release
    sync_folder(folder)
    return Attached(folder=folder, key=offered.key, signatures=len(signatures))


def _signatures(beside: Path, payload: bytes) -> list[Signature]:
    """Return the signatures over this release that the envelope has already."""
    data = read_if_there(beside, MAX_SIGNED_BYTES)
    if data is None:
        return []
    envelope = Envelope.parse(data, str(beside), max_bytes=MAX_SIGNED_BYTES)
    return list(envelope.signatures) if envelope.payload == payload else []
