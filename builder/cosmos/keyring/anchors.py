"""The trust anchors that a home or a system has accepted: where their files are, how to accept them, how to read them.

    HOME/trust/trust.toml              of a builder
    ROOT/etc/cosmos/trust.toml         of a running system
    trust.toml.dsse beside it          if the document came signed
    chain/N.toml, chain/N.toml.dsse    beside it: every version that was ever accepted

The operator accepts the first document by the SHA-256 of its exact bytes. They got this digest by another way than the
file. There is no trust on first use. Each later document must follow from the one before: `keyring.catching_up`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.folders import FileIn, Folder, folder_at
from cosmos.limits import MAX_ENVELOPE_BYTES
from cosmos.reading import ENVELOPE_SUFFIX, read_envelope, read_up_to
from cosmos.records import dataclass
from cosmos.trust.chain import step_file
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TRUST_FILE, TrustRoots, demand_digest, verify_roots

CHAIN: Final = "chain"


class OtherTrust(Refused):
    """A lock names a version of trust.toml that was accepted here, but another document under that number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """Accepted trust anchors, read from `path`. `is_new` says whether this very call accepted them."""

    path: Path
    digest: Digest
    roots: TrustRoots
    is_signed: bool
    is_new: bool = False


def home_anchor(home: Path) -> FileIn:
    """Return where a builder's home keeps its trust anchors."""
    return folder_at(home / "trust").file(TRUST_FILE)


def accept_trust(file: Path, wanted: Digest, anchor: FileIn) -> Anchor:
    """Accept `file` as the trust anchors at `anchor`, or raise and write nothing.

    In this order: the file's SHA-256 is `wanted`; if it has an envelope, the document's own root keys have signed it;
    no other document was accepted before. To accept the same bytes again changes nothing.
    """
    data, envelope = document_and_envelope(file)
    demand_digest(data, wanted, str(file))
    roots = verify_roots(data, envelope, str(file))
    if anchor.folder.mode(anchor.name) is not None:
        accepted = load_trust(anchor)
        if accepted.digest == wanted:
            return accepted
        raise Refused(
            str(file),
            f"another document was accepted before: {anchor} is {accepted.digest}",
            hint=f"if that document was a mistake, remove {anchor} and run the same command again",
        )
    envelope_beside(anchor).remove()  # left by an attempt that was cut off
    if envelope is not None:
        envelope_beside(anchor).write(envelope)
    keep_version(anchor, roots.version, data, envelope)
    anchor.write(data)  # last: without it nothing was accepted
    return Anchor(path=anchor.path, digest=wanted, roots=roots, is_signed=envelope is not None, is_new=True)


def accepted_versions(anchor: FileIn) -> tuple[int, ...]:
    """Return the versions that were ever accepted and are kept, oldest first."""
    names = [name.removesuffix(".toml") for name in _chain(anchor).names() if name.endswith(".toml")]
    return tuple(sorted(int(name) for name in names if name.isascii() and name.isdecimal()))


def earlier_roots(anchor: FileIn, version: int, digest: Digest) -> TrustRoots | None:
    """Return the accepted document of `version`, or None if it was never accepted here, or is not kept.

    Raises `OtherTrust` if another document than the one with the SHA-256 `digest` was accepted under that version.
    """
    if anchor.exists() and (now := load_trust(anchor)).roots.version == version:
        _demand_this(now.digest, digest, version, str(anchor))
        return now.roots
    file = _chain(anchor).file(step_file(version))
    kept = accepted_document(file)
    if kept is None:
        return None
    data, envelope = kept
    _demand_this(Digest.of(data), digest, version, str(file))
    return verify_roots(data, envelope, str(file))


def _demand_this(accepted: Digest, named: Digest, version: int, file: str) -> None:
    if accepted != named:
        raise OtherTrust(
            file,
            f"is {accepted}, but the lock was made under another version {version}: {named}",
            hint="the lock is another operator's, or it was changed; to lock with your keys: cosmos freeze IMAGE",
        )


def load_trust(anchor: FileIn, memory: Memory | None = None) -> Anchor:
    """Return the accepted trust anchors at `anchor`; raises `Refused` if this machine has accepted none yet.

    Raises `Malformed` if something else than a file is there. With a `memory`, it refuses anchors that are older than
    those seen before, other anchors of the same version, and later anchors that were never accepted.
    """
    found = accepted_document(anchor)
    if found is None:
        anchor.demand_plain()
        raise Refused(
            str(anchor),
            "no trust anchors were accepted, so no signature can be judged",
            hint="ask the maker of trust.toml for its digest, then: cosmos trust init trust.toml --sha256 DIGEST",
        )
    data, envelope = found
    version = TrustRoots.parse(data, str(anchor)).version
    kept = accepted_document(_chain(anchor).file(step_file(version)))
    if kept is not None and kept[0] == data:  # a step that was cut off left the envelope of the version before
        envelope = kept[1]
    roots = verify_roots(data, envelope, str(anchor))
    digest = Digest.of(data)
    if memory is not None:
        memory.with_trust(version, digest, str(anchor))
        _demand_accepted(anchor, memory, version, is_kept=kept is not None and kept[0] == data)
    return Anchor(path=anchor.path, digest=digest, roots=roots, is_signed=envelope is not None)


def _demand_accepted(anchor: FileIn, memory: Memory, version: int, *, is_kept: bool) -> None:
    """Refuse anchors of a later version than the remembered one that are not in the chain of what was accepted.

    Anchors that an image has laid have no chain, and pass.
    """
    seen = 0 if memory.trust is None else memory.trust[0]
    if is_kept or version <= seen or seen not in accepted_versions(anchor):
        return
    raise Refused(
        str(anchor),
        f"is version {version}, but the last version that was accepted here is {seen}",
        hint="put the accepted one back, and take later versions with: cosmos trust update FROM",
    )


def document_and_envelope(file: Path) -> tuple[bytes, bytes | None]:
    """Return the bytes of `file`, and of the `.dsse` file beside it or None; raises `WorldFailed`."""
    return read_up_to(file, MAX_ENVELOPE_BYTES), read_envelope(file, MAX_ENVELOPE_BYTES)


def accepted_document(file: FileIn) -> tuple[bytes, bytes | None] | None:
    """Return the bytes of an accepted document, and of its envelope or None; None if there is no such document.

    Raises `WorldFailed`.
    """
    data = file.read(MAX_ENVELOPE_BYTES)
    return None if data is None else (data, envelope_beside(file).read(MAX_ENVELOPE_BYTES))


def envelope_beside(file: FileIn) -> FileIn:
    """Return the file of the envelope of an accepted document."""
    return file.beside(file.name + ENVELOPE_SUFFIX)


def complete_envelope(anchor: FileIn) -> None:
    """Write the accepted document's envelope beside it, where a step was cut off before that."""
    held = accepted_document(anchor)
    if held is None:
        return
    kept = accepted_document(_chain(anchor).file(step_file(TrustRoots.parse(held[0], str(anchor)).version)))
    if kept is not None and kept[0] == held[0] and kept[1] not in (None, held[1]):
        envelope_beside(anchor).write(kept[1])


def keep_version(anchor: FileIn, version: int, data: bytes, envelope: bytes | None) -> None:
    """Keep an accepted version beside the anchors, its envelope first."""
    file = _chain(anchor).file(step_file(version))
    if envelope is not None:
        envelope_beside(file).write(envelope)
    file.write(data)


def _chain(anchor: FileIn) -> Folder:
    return anchor.folder.folder(CHAIN)
