"""Every kind of document that Cosmos reads, with honest examples and the reader that the commands use.

To try a further kind, such as archives or answers of a server, add a line to `KINDS`: its examples, and a function that
reads bytes as the program does. Keys are the same in every process, so that a mutation can be made again by its number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import tomli_w

from cosmos.debian.apt import AptRecord
from cosmos.debian.apt_sources import host_sources
from cosmos.debian.copyright import licence_of
from cosmos.debian.deb822 import paragraph, paragraphs
from cosmos.debian.star import manifest_of
from cosmos.digest import Digest
from cosmos.image.outputs.formats import read_outputs
from cosmos.keyring.key_file import Head, opened, plain_document, stated_head
from cosmos.model.catalogue import Catalogue
from cosmos.model.changes import Attributes, Identity, Place, Remove
from cosmos.model.constellation import Constellation
from cosmos.model.delta import DeltaHead
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.history import History, HistoryHead, HistoryLine, StarChange, with_change
from cosmos.model.image import Image
from cosmos.model.journal import (
    JournalDocument,
    changes_line,
    committed_line,
    head_line,
    history_line,
    prepared_line,
)
from cosmos.model.lock import Lock
from cosmos.model.names import GalaxyName, ImageName, StarName
from cosmos.model.receipts import Receipts
from cosmos.model.release import Release, Subject
from cosmos.model.settings import Settings
from cosmos.model.star import Recipe, Star
from cosmos.model.statement import Statement
from cosmos.model.template import Declarations
from cosmos.model.universe import Universe
from cosmos.model.vendored import Vendored, VendoredFile
from cosmos.model.version import Version
from cosmos.stellar.ecosystems import RULES
from cosmos.tree.manifest import manifest, parse_manifest
from cosmos.treepath import TreePath
from cosmos.trust.badges import Claim, judge_badges
from cosmos.trust.chain import verify_step
from cosmos.trust.dsse import Envelope, signers_of
from cosmos.trust.galaxies import read_catalogue, verify_index
from cosmos.trust.keys import PublicKey
from cosmos.trust.log import LogProof, verify_logged
from cosmos.trust.memory import Memory, Seen, SeenHead
from cosmos.trust.merkle import Tree, leaf_hash, root_of
from cosmos.trust.notes import Head as LogHead
from cosmos.trust.notes import Note, NoteSignature, log_key_id
from cosmos.trust.releases import ReleaseKeys, verify_release
from cosmos.trust.roles import GALAXY_TYPE, IN_TOTO_TYPE, STAR_TYPE
from cosmos.trust.roots import verify_roots
from cosmos.trust.signing_request import OfferedSignature, SigningRequest
from cosmos.trust.stars import verify_statement
from cosmos.trust.tiles import log_files, read_entries, read_leaves
from fakes.builders import BUILDER
from fakes.chains import document, first, secret, signed
from fakes.delta_heads import make_head
from fakes.galaxies import Signers, StarSpec, galaxy_files

REPO = Path(__file__).resolve().parent.parent.parent
ONE = Digest.of(b"one")
CORE, ZLIB = GalaxyName("core"), StarName("zlib")
HELD = Signers(
    {
        "root": secret("alice"),
        "galaxy": secret("mirror", "galaxy"),
        "author": secret("carol", "author"),
        "release": secret("ship", "release"),
        "log": secret("book", "log"),
        "attester": secret("eve", "attester"),
    }
)
ROOTS = replace(
    HELD.roots(),
    roles={
        **HELD.roots().roles,
        **{role: replace(first().roles["root"], keys=(HELD[role].public,)) for role in ("log", "attester")},
    },
)


@dataclass(frozen=True)
class Kind:
    """One kind: honest examples, and the reader, which may raise only errors of `cosmos.errors`."""

    seeds: Callable[[], list[bytes]]
    read: Callable[[bytes], object]


def _written(value: object) -> bytes:
    """Write what was read, as the commands do."""
    return tomli_w.dumps(value.to_toml()).encode()  # type: ignore[attr-defined]  # every written document has it


def _page(name: str) -> bytes:
    """Return the example of a page about a format."""
    match = re.search(r"^```toml\n(.*?)^```$", (REPO / f"docs/formats/{name}.md").read_text(), re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1].encode()


def _files(pattern: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted(REPO.glob(pattern))]


@cache
def _galaxy() -> Mapping[str, bytes]:
    stars = [
        StarSpec("zlib", "1.3.1", files={"usr/lib/libz.so.1": b"z"}, provides={"libz": "1.3.1"}),
        StarSpec("nano", files={"usr/bin/nano": b"n"}, dependencies={"zlib": "^1.3"}, script="function install() end"),
    ]
    return galaxy_files("core", stars, HELD)


def _image(data: bytes) -> object:
    image = Image.parse(data, "image.toml")
    return image, read_outputs(image.outputs, "image.toml")


def _statement(data: bytes) -> object:
    return _written(Statement.parse(data, "zlib.toml"))


def _universe(data: bytes) -> bytes:
    """Read every line, also those that most commands do not need, and write the document."""
    universe = Universe.parse(data, "universe.toml")
    for star in universe.installed.values():
        tuple(star.files)
        tuple(star.entries)
    for entries in universe.layers.values():
        tuple(entries)
    return universe.rendered()


def _judged_statement(data: bytes) -> object:
    return verify_statement(
        data,
        HELD["author"].sign(STAR_TYPE, data),
        galaxy=CORE,
        name=ZLIB,
        version=Version.parse("1.3.1"),
        roots=ROOTS,
        allow_unsigned=False,
        source="zlib",
    )


def _judged_index(data: bytes) -> object:
    envelope = HELD["galaxy"].sign(GALAXY_TYPE, data)
    return verify_index(data, envelope, galaxy=CORE, roots=ROOTS, allow_unsigned=False, source="meta.toml").rows


def _catalogue() -> bytes:
    files = _galaxy().items()
    stars = [Statement.parse(data, name) for name, data in files if name.startswith("stars/") and name[-5:] == ".toml"]
    return tomli_w.dumps(Catalogue.of(CORE, stars).to_toml()).encode()


def _judged_catalogue(data: bytes) -> object:
    index = _galaxy()["meta.toml"]
    envelope = HELD["galaxy"].sign(GALAXY_TYPE, index)
    verified = verify_index(index, envelope, galaxy=CORE, roots=ROOTS, allow_unsigned=False, source="meta.toml")
    return read_catalogue(data, verified, "catalogue")


def _envelope(data: bytes) -> object:
    parsed = Envelope.parse(data, "x.dsse")
    return parsed.to_bytes(), signers_of(parsed, [key for _, key in ROOTS.all_keys()]), parsed.with_strangers("x", ())


def _index_envelope(data: bytes) -> object:
    index = _galaxy()["meta.toml"]
    return verify_index(index, data, galaxy=CORE, roots=ROOTS, allow_unsigned=False, source="meta.toml")


def _release() -> Release:
    return Release(
        subjects=(
            Subject(name="a.tar.zst", digest=ONE, size_bytes=7, content_root=ONE),
            Subject(name="lock", digest=ONE, size_bytes=1),
        ),
        external={"image": "rescue", "counter": 3, "acceptedRevoked": {"zlib": "why"}},
        internal={"contentRoot": str(ONE), "sandbox": {"probe": ["none", 1, None, True]}},
        resolved=({"name": "zlib-1.3.1", "digest": {"sha256": ONE.hex}, "annotations": {"signers": ["a", "b"]}},),
        builder=BUILDER,
    )


def _judged_release(data: bytes) -> object:
    return verify_release(
        _release().to_bytes(), data, ReleaseKeys(keys=(HELD["release"].public,)), source="RELEASE.json"
    )


def _badges() -> list[bytes]:
    claims = [
        Claim(kind="test", name="zlib", digest=ONE, result="PASSED"),
        Claim(kind="rebuild", name="x", digest=ONE, result="FAILED", lock=ONE),
    ]
    rows = [HELD["attester"].sign(IN_TOTO_TYPE, claim.to_bytes()).replace(b"\n", b" ") for claim in claims]
    return [b"\n".join(rows) + b"\n"]


def _memory() -> Memory:
    return Memory(
        trust=(4, ONE),
        galaxies={CORE: Seen(number=9, digest=ONE, trust_version=4)},
        releases={ImageName("rescue"): Seen(number=3, digest=ONE, trust_version=2)},
        logs={"core.example/log": SeenHead(size=812, root=ONE, trust_version=4)},
    )


def _journal() -> list[bytes]:
    plain = Attributes(mode=0o644, uid=0, gid=0, xattrs=((b"user.a", b"\x01"),))
    new, path = Identity(kind="file", digest=ONE, attributes=plain), TreePath(b"usr/caf\xe9 \\x")
    changes = (Place(path=path, new=new), Remove(path=path, old=new))
    end = history_line(_CHANGE.line) + committed_line(ONE)
    whole = head_line("3f9c", "install") + changes_line("s", changes) + prepared_line() + end
    lines = (
        f'{{"cosmos-journal":1,"before":"{ONE}"}}',
        f'{{"star":"nano","folders":["/usr/share/nano"],"entries":[{_OLD_ENTRY}]}}',
    )
    return [whole, "".join(f"{line}\n" for line in lines).encode()]


def _history() -> list[bytes]:
    whole = with_change(None, _CHANGE.line)
    assert whole is not None
    dropped = HistoryHead(changes=8, last=ONE, dropped=7, dropped_digest=ONE).line + b"\n"
    return [whole, dropped + _CHANGE.line + b"\n"]


_CHANGE = HistoryLine(
    number=1,
    previous=None,
    command="install",
    paths=2,
    before=ONE,
    after=Digest.of(b"two"),
    stars=(StarChange(name=StarName("nano"), old="", new="8.2.0"),),
)
_OLD_ENTRY = f'{{"path":"/b","temporary":".cosmos-7","kind":"file","identity":"{ONE}"}}'
_ENTRIES = [b"cosmos-log-v1 star core zlib 1.3.%d" % number for number in range(5)]


def _note() -> bytes:
    root = root_of([leaf_hash(entry) for entry in _ENTRIES])
    text = LogHead(origin="core/log", size=len(_ENTRIES), root=root).to_text()
    key = HELD["log"]
    one = NoteSignature(name="core/log", key_id=log_key_id("core/log", key.public), raw=key.head_signature(text))
    return Note(text=text, signatures=(one,)).to_bytes()


def _proof() -> list[bytes]:
    hashes = Tree([leaf_hash(entry) for entry in _ENTRIES]).inclusion(2)
    return [LogProof(index=2, hashes=tuple(hashes), note=_note()).to_bytes()]


def _read_note(data: bytes) -> object:
    note = Note.parse(data, "checkpoint")
    return note.log_signers("core/log", (HELD["log"].public,), "checkpoint"), LogHead.parse(note.text, "checkpoint")


def _tiles(folder: str) -> list[bytes]:
    return [data for path, data in sorted(log_files(_ENTRIES).items()) if path.startswith(folder)]


def _packages(data: bytes) -> object:
    records = [AptRecord.of(fields) for fields in paragraphs(data.decode("utf-8", "replace"), "Packages")]
    return [manifest_of(record, "amd64", "MIT") for record in records]


_CONTROL = f"""Package: libc6
Version: 2.36-9+deb12u9
Architecture: amd64
Maintainer: "GNU Libc Maintainers" <debian-glibc@lists.debian.org>
Depends: libgcc-s1, libcrypt1 (>= 1:4.4.10-10~) | libx [amd64] <!nocheck>
Provides: libc (= 2.36), virtual
Breaks: busybox (<< 1.30.1-6), nscd:any (< 2.36)
Replaces: libc6-amd64
Size: 2758188
SHA256: {ONE.hex}
Description: GNU C Library
 Contains the standard libraries.
 .
 More.
""".encode()
_COPYRIGHT = b"""Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
# a comment

Files: *
License: GPL-2+ with OpenSSL exception or Expat, and BSD-3-clause
 text

Files: debian/*
License: GPL-3
"""
_PROSE = b"You may copy it under /usr/share/common-licenses/GPL-2, or (at your option) any later version.\n"
_SOURCES = b"""deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://archive.example/debian bookworm main contrib

Types: deb
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/a.gpg
"""
_CONFIG = b"""install_dir = "/"
cache_dir = "/var/cache/cosmos"
[galaxies]
core = "https://core.example/galaxy"
[galaxies.mine]
url = "/srv/mine"
allow-unsigned = true
[policy]
setuid = ["sudo"]
"""
_EVENTS = b'[{"do":"run","words":["a"]},{"do":"read","path":"/usr","saw":null}]'
_RECEIPTS = b'{"finish":null,"receipts-version":1,"stars":{"nano":null,"zlib":{"events":%b,"log":"x"}}}' % _EVENTS
_MANIFEST = f"""dir 0755 0 0 0 - - - usr -
file 0644 0 0 3 {ONE} - - usr/a -
symlink 0777 0 0 0 - - - usr/l a
""".encode()
_SHIP = HELD["release"]
_HEAD = Head(public=_SHIP.public, role="release")
_STEP = document(replace(first(), version=2))
_VENDORED = Vendored(
    lock="image/universe.lock.toml",
    image="image",
    definition=ONE,
    files={"galaxies/core/meta.toml": VendoredFile(size_bytes=7, digest=ONE)},
    not_carried=("the program cosmos: no star of the lock is called so",),
).to_bytes()

KINDS: Mapping[str, Kind] = {
    "lock": Kind(lambda: [_page("lock")], lambda data: _written(Lock.parse(data, "universe.lock.toml"))),
    "image": Kind(lambda: [_page("image"), *_files("images/*/image.toml")], _image),
    "constellation": Kind(lambda: [_page("constellation")], lambda data: Constellation.parse(data, "c.toml")),
    "template": Kind(
        lambda: _files("rootfs-templates/*/template.toml"), lambda data: Declarations.parse(data, "template.toml")
    ),
    "star": Kind(lambda: [_page("star")], lambda data: _written(Star.parse(data, "star.toml"))),
    "recipe": Kind(lambda: _files("stars/*/star.toml"), lambda data: Recipe.parse(data, "star.toml", RULES)),
    "statement": Kind(lambda: [data for name, data in _galaxy().items() if name.endswith("0.toml")], _statement),
    "signed-statement": Kind(lambda: [_galaxy()["stars/zlib-1.3.1.toml"]], _judged_statement),
    "index": Kind(
        lambda: [_page("galaxy"), _galaxy()["meta.toml"]], lambda data: _written(GalaxyIndex.parse(data, "meta.toml"))
    ),
    "catalogue": Kind(
        lambda: [_page("catalogue"), _catalogue()], lambda data: _written(Catalogue.parse(data, "catalogue.toml"))
    ),
    "judged-catalogue": Kind(lambda: [_catalogue()], _judged_catalogue),
    "signed-index": Kind(lambda: [_galaxy()["meta.toml"]], _judged_index),
    "envelope": Kind(lambda: [data for name, data in _galaxy().items() if name.endswith(".dsse")], _envelope),
    "index-envelope": Kind(lambda: [_galaxy()["meta.toml.dsse"]], _index_envelope),
    "release": Kind(lambda: [_release().to_bytes()], lambda data: Release.parse(data, "RELEASE.json").to_bytes()),
    "release-envelope": Kind(lambda: [_SHIP.sign(IN_TOTO_TYPE, _release().to_bytes())], _judged_release),
    "receipts": Kind(lambda: [_RECEIPTS], lambda data: Receipts.parse(data, "receipts.json").to_bytes()),
    "manifest": Kind(lambda: [_MANIFEST], lambda data: manifest(parse_manifest(data, "manifest.txt"))),
    "trust": Kind(
        lambda: [_page("trust"), document(ROOTS)], lambda data: _written(verify_roots(data, None, "trust.toml"))
    ),
    "trust-step": Kind(lambda: [_STEP], lambda data: verify_step(first(), data, signed(data, ["alice"]), "2.toml")),
    "trust-envelope": Kind(
        lambda: [signed(_STEP, ["alice"])], lambda data: verify_step(first(), _STEP, data, "2.toml")
    ),
    "request": Kind(
        lambda: [SigningRequest(payload=_release().to_bytes()).to_bytes()],
        lambda data: SigningRequest.parse(data, "RELEASE.request").to_bytes(),
    ),
    "signature": Kind(
        lambda: [
            OfferedSignature(digest=ONE, key=_SHIP.public, raw=_SHIP.signature(IN_TOTO_TYPE, b"one").raw).to_bytes()
        ],
        lambda data: OfferedSignature.parse(data, "RELEASE.signature").verified(b"one", "RELEASE.signature"),
    ),
    "vendored": Kind(lambda: [_VENDORED], lambda data: Vendored.parse(data, "vendored.json").to_bytes()),
    "delta": Kind(lambda: [make_head().to_bytes()], lambda data: DeltaHead.parse(data, "a delta").to_bytes()),
    "universe": Kind(lambda: [_page("universe"), *_files("tests/fakes/universe-*.toml")], _universe),
    "config": Kind(lambda: [_CONFIG], lambda data: _written(Settings.parse(data, "config.toml"))),
    "history": Kind(_history, lambda data: History.parse(data, "history.jsonl")),
    "journal": Kind(_journal, lambda data: JournalDocument.parse(data, "journal")),
    "memory": Kind(lambda: [_written(_memory())], lambda data: _written(Memory.parse(data, "state.toml"))),
    "head": Kind(lambda: [_note()], _read_note),
    "log-proof": Kind(
        _proof, lambda data: verify_logged(_ENTRIES[2], data, galaxy=CORE, roots=ROOTS, source="zlib.tlog-proof")
    ),
    "tile": Kind(lambda: _tiles("tile/0"), lambda data: read_leaves(len(_ENTRIES), lambda path, most: data, "log")),
    "bundle": Kind(
        lambda: _tiles("tile/entries"), lambda data: read_entries(len(_ENTRIES), lambda path, most: data, "log")
    ),
    "badges": Kind(_badges, lambda data: judge_badges(data, digest=ONE, roots=ROOTS, source="badges")),
    "public-key": Kind(lambda: [_SHIP.public.to_text().encode()], lambda data: PublicKey.parse(data, "ship.pub").line),
    "secret-key": Kind(
        lambda: [plain_document(_HEAD, bytes(32))],
        lambda data: (stated_head(data, "ship.key"), opened(data, lambda: b"x" * 20, "ship.key")),
    ),
    "control": Kind(lambda: [_CONTROL], lambda data: paragraph(data.decode("utf-8", "replace"), "control")),
    "packages": Kind(lambda: [_CONTROL + b"\n" + _CONTROL], _packages),
    "copyright": Kind(lambda: [_COPYRIGHT, _PROSE], lambda data: licence_of(data, "x")),
    "apt-sources": Kind(
        lambda: [_SOURCES],
        lambda data: [host_sources(data.decode("utf-8", "replace"), name) for name in ("a.list", "a.sources")],
    ),
}  # fmt: skip
