"""Keep a galaxy's transparency log (`trust.log`, `trust.tiles`): append to it, check it, cosign its head.

`append` adds every version of the galaxy's index that the log does not have yet, signs the new head, and writes a proof
beside each statement. The log never loses an entry.

A person who watches the log keeps its head in a file of their own, with the version of trust.toml of that time:

    cosmos-seen-v1 trust-version 5     then the head, a signed note; an older cosmos wrote the note alone

If a later trust.toml recovers the log (`trust.floors`), the log begins again, and that head counts no more.

`append` writes the tiles, then the head, then the proofs. A run that was cut short leaves the old head, or the new head
with some older proofs, which are still valid. The next run finishes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cosmos.durable import write_durably
from cosmos.errors import Differs, Malformed, Refused, quoted
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import demand_within
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.reading import holds, is_there, read_bounded
from cosmos.records import dataclass
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.trust.log import (
    PROOF_SUFFIX,
    LogProof,
    VerifiedHead,
    demand_continued,
    log_origin,
    star_entry,
    verify_head,
    verify_logged,
)
from cosmos.trust.merkle import Tree, leaf_hash, root_of
from cosmos.trust.notes import (
    MAX_NOTE_BYTES,
    MAX_NOTE_SIGNATURES,
    Head,
    Note,
    NoteSignature,
    cosigned,
    log_key_id,
    witness_key_id,
)
from cosmos.trust.roots import TrustRoots
from cosmos.trust.tiles import CHECKPOINT, LOG_FOLDER, MAX_LOG_ENTRIES, log_files, read_entries

_SEEN: Final = re.compile(rb"cosmos-seen-v1 trust-version ([1-9][0-9]{0,18})\n")
_MAX_SEEN_LINE: Final = 64  # bytes of such a line, at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Appended:
    """The log after an append: the number of new entries, its head, and the number of written proofs."""

    added: int
    head: Head
    proofs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A log that passed the check. `continued` is the remembered size, or None without a memory."""

    head: VerifiedHead
    stars: int
    continued: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Log:
    """A log on disk: its signed head and its entries. A log without a head is empty."""

    folder: Path
    note: Note | None
    entries: tuple[bytes, ...]

    @property
    def leaves(self) -> tuple[bytes, ...]:
        return tuple(leaf_hash(entry) for entry in self.entries)


def append_to_log(galaxy: GalaxyFolder, keys: Sequence[SecretKey], reporter: Reporter) -> Appended:
    """Add the stars of the index to the log, and sign the head with `keys`; raises `Refused` for a changed log.

    If nothing is new, the log keeps its head, with the signatures of witnesses.
    """
    with galaxy.publishing(reporter):
        return _appended(galaxy, keys)


def _appended(galaxy: GalaxyFolder, keys: Sequence[SecretKey]) -> Appended:
    log, index = _read(galaxy), galaxy.index()
    if not keys:
        raise Malformed(
            str(log.folder),
            "want a key of the role log to sign with, got none",
            hint=f"stellar log append {quoted(galaxy.root)} --key LOG.key",
        )
    published = set(log.entries)
    new = [entry for entry in (_entry(index, row) for row in index.snapshot) if entry not in published]
    entries = (*log.entries, *new)
    demand_within(len(entries), MAX_LOG_ENTRIES, str(log.folder))
    origin = log_origin(index.name)
    head = Head(origin=origin, size=len(entries), root=root_of([leaf_hash(entry) for entry in entries]))
    signatures = [
        NoteSignature(name=origin, key_id=log_key_id(origin, key.public), raw=key.head_signature(head.to_text()))
        for key in keys
    ]
    old = log.note.signatures if log.note is not None and log.note.text == head.to_text() else ()
    note = _merged(Note(text=head.to_text(), signatures=()), (*old, *signatures))
    demand_within(len(note.to_bytes()), MAX_NOTE_BYTES, str(log.folder / CHECKPOINT))
    for path, data in log_files(entries).items():
        _write(log.folder / path, data)
    _write(log.folder / CHECKPOINT, note.to_bytes())
    proofs = _write_proofs(galaxy, index, entries, note)
    return Appended(added=len(new), head=head, proofs=proofs)


def cosign_log(
    galaxy: GalaxyFolder, key: SecretKey, roots: TrustRoots, seen: Path, seconds: int, reporter: Reporter
) -> VerifiedHead:
    """Add a witness's signature, made at `seconds`, to the head, if the log continues the head in the file `seen`.

    Then the new head is written to `seen`. Without this file, the witness has no memory, and the file is made now.
    Raises `Refused`.
    """
    with galaxy.publishing(reporter):
        return _cosigned(galaxy, key, roots, seen, seconds)


def _cosigned(galaxy: GalaxyFolder, key: SecretKey, roots: TrustRoots, seen: Path, seconds: int) -> VerifiedHead:
    log, index = _read(galaxy), galaxy.index()
    without = replace(roots, roles={role: keys for role, keys in roots.roles.items() if role != "witness"})
    head = _verified(log, index, without)
    _demand_continued(log, head, seen, index.name, roots)
    assert log.note is not None
    raw = seconds.to_bytes(8, "big") + key.head_signature(cosigned(log.note.text, seconds))
    mine = NoteSignature(name=str(key.public.name), key_id=witness_key_id(key.public), raw=raw)
    note = _merged(log.note, (mine,))
    demand_within(len(note.signatures), MAX_NOTE_SIGNATURES, str(log.folder / CHECKPOINT))
    demand_within(len(note.to_bytes()), MAX_NOTE_BYTES, str(log.folder / CHECKPOINT))
    write_durably(seen, _seen(note.to_bytes(), roots))
    _write(log.folder / CHECKPOINT, note.to_bytes())
    _write_proofs(galaxy, index, log.entries, note)
    return head


def check_log(galaxy: GalaxyFolder, roots: TrustRoots, seen: Path | None) -> Checked:
    """Check the whole log, and that it continues the head in the file `seen`. Then write the new head to `seen`.

    Raises `Refused` for an invalid log, `Differs` if stars of the index are not in it.
    """
    log, index = _read(galaxy), galaxy.index()
    head = _verified(log, index, roots)
    for path, data in log_files(log.entries).items():
        if not holds(log.folder / path, data):
            raise Refused(
                str(log.folder / path),
                "does not match the log's entries",
                hint=f"to write it again: stellar log append {quoted(galaxy.root)} --key LOG.key",
            )
    missing = tuple(row.stem for row in index.snapshot if _entry(index, row) not in log.entries)
    if missing:
        raise Differs(
            str(log.folder),
            f"{len(missing)} stars of the index are not in the log: {missing[0]}",
            differences=missing,
            hint=f"stellar log append {quoted(galaxy.root)} --key LOG.key",
        )
    for row in index.snapshot:
        file = proof_file(galaxy, row)
        verify_logged(_entry(index, row), _bytes(file, 1 << 20), galaxy=index.name, roots=roots, source=str(file))
    continued = _demand_continued(log, head, seen, index.name, roots) if seen is not None else None
    if seen is not None:
        write_durably(seen, _seen(_bytes(log.folder / CHECKPOINT, MAX_NOTE_BYTES), roots))
    return Checked(head=head, stars=len(index.snapshot), continued=continued)


def proof_file(galaxy: GalaxyFolder, row: Listed) -> Path:
    """Return the file of the proof for one version of a star."""
    return galaxy.statement_file(row.stem).with_name(f"{row.stem}{PROOF_SUFFIX}")


def _entry(index: GalaxyIndex, row: Listed) -> bytes:
    return star_entry(index.name, row.name, row.version, row.statement, row.archive)


def _read(galaxy: GalaxyFolder) -> _Log:
    """Return the log on disk; raises `Refused` if its entries do not match its head."""
    folder = galaxy.root / LOG_FOLDER
    if not is_there(folder / CHECKPOINT):
        return _Log(folder=folder, note=None, entries=())
    note = Note.parse(_bytes(folder / CHECKPOINT, MAX_NOTE_BYTES), str(folder / CHECKPOINT))
    head = Head.parse(note.text, str(folder / CHECKPOINT))
    entries = read_entries(head.size, lambda path, most: _bytes(folder / path, most), str(folder))
    if root_of([leaf_hash(entry) for entry in entries]) != head.root:
        raise Refused(
            str(folder),
            "its entries do not match its signed head: the log was changed by hand",
            hint="restore the published copy; a log may only grow",
        )
    return _Log(folder=folder, note=note, entries=entries)


def _verified(log: _Log, index: GalaxyIndex, roots: TrustRoots) -> VerifiedHead:
    file = log.folder / CHECKPOINT
    if log.note is None:
        raise Malformed(
            str(file), "is not there: the galaxy has no log", hint="stellar log append GALAXY --key LOG.key"
        )
    return verify_head(log.note.to_bytes(), galaxy=index.name, roots=roots, source=str(file))


def _demand_continued(log: _Log, head: VerifiedHead, seen: Path, galaxy: GalaxyName, roots: TrustRoots) -> int | None:
    """Return the size of the head in `seen`, after a check that the log continues it.

    Return None if there is no such file, and if the log began again since (`recovered` in trust.toml).
    """
    if not is_there(seen):
        return None
    data = _bytes(seen, MAX_NOTE_BYTES + _MAX_SEEN_LINE)
    line = _SEEN.match(data)
    trust_version = 0 if line is None else int(line[1])
    note = data if line is None else data[line.end() :]
    before = Head.parse(Note.parse(note, str(seen)).text, str(seen))
    if before.origin != head.head.origin:
        raise Malformed(str(seen), f"is the head of {before.origin}, but this log is {head.head.origin}")
    if trust_version < roots.recovered.log_since(galaxy):
        return None
    demand_continued(before, head, log.leaves, str(log.folder))
    return before.size


def _seen(note: bytes, roots: TrustRoots) -> bytes:
    """Return the bytes of a file that remembers the head `note`, which was verified under `roots`."""
    return b"cosmos-seen-v1 trust-version %d\n" % roots.version + note


def _merged(note: Note, more: Sequence[NoteSignature]) -> Note:
    """Return the note with more signatures: the last of each key, the log's own first."""
    rows = {(one.name, one.key_id): one for one in (*note.signatures, *more)}
    origin = note.text.split(b"\n", 1)[0].decode()
    ordered = sorted(rows.values(), key=lambda one: (one.name != origin, one.name, one.key_id))
    return Note(text=note.text, signatures=tuple(ordered))


def _write_proofs(galaxy: GalaxyFolder, index: GalaxyIndex, entries: Sequence[bytes], note: Note) -> int:
    places = {entry: place for place, entry in enumerate(entries)}
    tree = Tree([leaf_hash(entry) for entry in entries])
    for row in index.snapshot:
        at = places[_entry(index, row)]
        proof = LogProof(index=at, hashes=tree.inclusion(at), note=note.to_bytes())
        _write(proof_file(galaxy, row), proof.to_bytes())
    return len(index.snapshot)


def _bytes(file: Path, max_bytes: int) -> bytes:
    """Return the bytes of a file of the log, which must be there."""
    if not is_there(file):
        raise Refused(
            str(file), "is missing", hint="restore the published file, or: stellar log append GALAXY --key LOG.key"
        )
    return read_bounded(file, max_bytes)


def _write(file: Path, data: bytes) -> None:
    if holds(file, data):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_durably(file, data)
