"""Unpack one verified star and run its Nova script: its layer, as data.

In this order:

  1. unpack strictly, and demand that the archive holds the signed star: name, version, script, contents, checksums
  2. run `install()` on a virtual root; without a script, `files/*` is the layer
  3. move every path to where the template's links lead, sort hard links, and limit times to the epoch

No path of the star is written to the disk. Bytes are slices of the archive, or of a file without a name (cosmos.spool).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.errors import Refused, ScriptFailed
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.lock import LockedStar
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.pack.star_archive import StarContents, read_star
from cosmos.pack.treenames import demand_readable
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.tree.entry import Entry, normalised
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.tree.overlay import PathMap, hard_links_ordered, remapped
from cosmos.treepath import TreePath
from cosmos.trust.archives import VerifiedArchive
from cosmos.trust.stars import VerifiedStatement

if TYPE_CHECKING:
    from cosmos.nova.job import ProgramRunner, Stopped
    from cosmos.nova.receipt import Receipt


@dataclass(frozen=True, kw_only=True, slots=True)
class StagingInputs:
    """Everything besides a star's own bytes that can shape its layer."""

    epoch: int
    paths: PathMap
    dependencies: Mapping[TreePath, Entry]  # the layers of its dependencies: a script may read them
    programs: ProgramRunner | None  # runs programs for the script; None if the operator does not allow it
    run_hint: str  # says how the operator allows it
    on_failure: Callable[[Stopped], None] | None = None  # is called where the script stopped, before the error


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedStar:
    """A star's layer: its entries by path, in byte order, and the receipt of its script, if it has one."""

    star: LockedStar
    entries: Mapping[TreePath, Entry]
    receipt: Receipt | None

    @property
    def receipt_in_json(self) -> Json:
        """The receipt as a JSON value; null without a script."""
        return None if self.receipt is None else self.receipt.to_json()


def stage_star(
    archive: VerifiedArchive, statement: VerifiedStatement, inputs: StagingInputs, spool: Spool | None = None
) -> StagedStar:
    """Return the layer of a verified star, its large files in `spool`; raises `Refused` or `ScriptFailed`."""
    star, signed = archive.star, statement.statement
    contents = opened(archive, signed, spool)
    if not contents.script:
        laid: Mapping[TreePath, Entry] = contents.files
        receipt: Receipt | None = None
    else:
        from cosmos.nova.job import NovaJob  # most stars have no script, and the runtime is a tenth of an import
        from cosmos.nova.run import run_install

        result = run_install(
            NovaJob(
                star=str(star.name),
                script_name=signed.star.install_script,
                script=contents.script,
                files=contents.files,
                beside=contents.beside,
                root=inputs.dependencies,
                own={},
                epoch=inputs.epoch,
                path_map=inputs.paths.mapped,
                programs=inputs.programs,
                run_hint=inputs.run_hint,
                on_failure=inputs.on_failure,
                free="own",
                max_copied_bytes=contents.copied_bytes,
            )
        )
        _demand_readable(star, result.entries)
        laid, receipt = result.entries, result.receipt
    tree = remapped(laid.values(), star.id, inputs.paths)
    ordered = hard_links_ordered(tree, star.id).values()
    return StagedStar(
        star=star, entries={entry.path: entry for entry in normalised(ordered, inputs.epoch)}, receipt=receipt
    )


def _demand_readable(star: LockedStar, made: Mapping[TreePath, Entry]) -> None:
    """Refuse entries that an image's readers refuse: a script can make names that no archive holds."""
    try:
        demand_readable(made.values(), star.id)
    except Refused as refusal:
        problem = f"its script makes an entry that no image may hold: {refusal.problem}"
        raise ScriptFailed(str(star.name), problem) from refusal


def _unpacked(archive: VerifiedArchive, signed: Statement, spool: Spool | None) -> StarContents:
    star = archive.star
    name = signed.star.install_script
    return read_star(archive.data, star.file, star.unpacked_bytes, script_name=name, spool=spool)


def _manifest_alone(archive: VerifiedArchive) -> StarContents:
    """Return the contents of a nebula without an archive: its manifest. A script that the manifest names is no part."""
    star = archive.star
    if star.unpacked_bytes or len(archive.data) > MAX_DOCUMENT_BYTES:
        found = f"has {len(archive.data)} bytes and unpacks to {star.unpacked_bytes}"
        raise Refused(star.id, f"{star.file} {found}; expected a manifest, which unpacks to nothing")
    return StarContents(manifest=bytes(archive.data), script=None, files={}, beside={})


def opened(archive: VerifiedArchive, signed: Statement, spool: Spool | None = None) -> StarContents:
    """Return the archive's contents, after checking that they are what the statement describes; raises `Refused`."""
    star = archive.star
    contents = _manifest_alone(archive) if star.is_manifest_alone else _unpacked(archive, signed, spool)
    if contents.manifest:
        inside = Star.parse(contents.manifest[:MAX_DOCUMENT_BYTES], f"{star.id}: star.toml")
        if (inside.name, inside.version) != (star.name, star.version):
            raise Refused(star.id, f"its archive holds {inside.name} {inside.version}")
    script = Digest.of(contents.script) if contents.script else None
    if script != signed.script:
        raise Refused(
            star.id,
            f"its statement signs the script {signed.script or 'none'}, but the archive holds {script or 'none'}",
        )
    content = content_root(ManifestLine.of(entry) for entry in contents.files.values())
    if content != signed.content:
        raise Refused(star.id, f"its statement signs the contents {signed.content}, but the archive holds {content}")
    for path, wanted in signed.star.checksums.items():
        entry = contents.files.get(TreePath.rooted(path))
        if entry is None or entry.digest != wanted:
            raise Refused(star.id, f"files/{path} does not have the SHA-256 that star.toml names")
    return contents
