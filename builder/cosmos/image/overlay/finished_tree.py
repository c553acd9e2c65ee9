"""Make the whole tree: the template, the stars' layers over it, the changes of the finish script, and the universe.

Each step changes the result of the step before, and lays nothing twice. No step reads the bytes of the stars' files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cosmos.canon import Json
from cosmos.errors import ScriptFailed
from cosmos.image.definition import Definition
from cosmos.image.overlay.finish import finish
from cosmos.image.overlay.record import trust_entry, universe_entry
from cosmos.image.template import RenderedTemplate, is_private
from cosmos.image.workshop.layers import Layers, Workshop
from cosmos.image.workshop.unread import Unread, entry_without_bytes
from cosmos.model.lock import Lock
from cosmos.model.names import StarName
from cosmos.model.receipts import Receipts
from cosmos.nova.virtual_root import in_lua
from cosmos.records import dataclass
from cosmos.resolve.replacing import Vouched, replaced_by
from cosmos.staging.acquire import Acquired
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
from cosmos.tree.overlay import TEMPLATE, Layer, Overlaid, amended, overlay
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedTree:
    """The tree of an image. `own` are the entries of its own layer: from the template, the finish script, the universe.

    `taken` names the star of each file that the finish script changed without writing its bytes; the bytes are in the
    star's layer. `receipts` are the receipts of all scripts. `secret_files` are the files with secret variables.
    """

    overlaid: Overlaid
    own: Mapping[TreePath, Entry]
    taken: Mapping[TreePath, StarName]
    receipts: Receipts
    secret_files: frozenset[TreePath] = frozenset()


def lay_tree(
    definition: Definition, lock: Lock, layers: Layers, template: RenderedTemplate, workshop: Workshop
) -> FinishedTree:
    """Return the tree of the image. Raises `NoSolution` if layers contradict each other, and `ScriptFailed`."""
    image, epoch = definition.image, lock.build.source_date_epoch
    winners: dict[TreePath, str] = {path: str(name) for path, name in image.policy.owners.items()}
    own = {entry.path: entry for entry in template.entries}
    if definition.trust is not None:
        entry = trust_entry(definition.trust, epoch)
        own[entry.path] = entry
    replaces = replaced_by(map(_vouched, workshop.acquired.values()))
    stars = [Layer(owner=name, lines=layer.lines, replaces=replaces[name]) for name, layer in layers.items()]
    mine = Layer(owner=TEMPLATE, lines=[ManifestLine.of(entry) for entry in own.values()])
    laid = overlay([*stars, mine], winners)
    own = {path: entry for path, entry in own.items() if laid.owners[path] == TEMPLATE or entry.kind == "dir"}
    taken: dict[TreePath, StarName] = {}
    receipt: Json = None
    finished_paths: frozenset[TreePath] = frozenset()
    if definition.finish is not None:
        tree = {path: own.get(path) or entry_without_bytes(line) for path, line in laid.lines.items()}
        finished = finish(definition.finish, image.finish, tree, workshop.paths, epoch)
        own |= finished.changed
        finished_paths = frozenset(finished.changed)
        receipt = finished.receipt
        taken = {path: StarName(laid.owners[path]) for path, entry in finished.changed.items() if _is_unread(entry)}
        laid = amended(laid, _lines(finished.changed.values(), laid), winners)
        winners |= dict.fromkeys(finished.changed, TEMPLATE)
    said = {name: acquired.statement.statement.star for name, acquired in workshop.acquired.items()}
    record = universe_entry(image, lock, layers, said, laid, own, finished_paths)
    own[record.path] = record
    laid = amended(laid, [ManifestLine.of(record)], winners)
    receipts = Receipts(stars={str(name): layer.receipt for name, layer in layers.items()}, finish=receipt)
    return FinishedTree(
        overlaid=laid, own=own, taken=taken, receipts=receipts, secret_files=_secret_files(template, own, image.finish)
    )


def _secret_files(template: RenderedTemplate, own: Mapping[TreePath, Entry], script: str) -> frozenset[TreePath]:
    """Return the files of the tree that hold secrets: no star has replaced them, nor the finish script.

    Raises `ScriptFailed` if the finish script gave others than the owner rights on one.
    """
    if not template.secret_files:
        return frozenset()
    rendered = {entry.path: entry.content for entry in template.entries}
    kept = {path for path in template.secret_files if path in own and own[path].content == rendered[path]}
    for path in sorted(kept):
        if not is_private(own[path]):
            names = ", ".join(template.secret_files[path])
            raise ScriptFailed(
                script,
                f"gives others than its owner rights on /{path.text} ({own[path].mode:04o}), which holds a secret: "
                f"{names}",
                hint=f'chmod({in_lua(path)}, "0600")',
            )
    return frozenset(kept)


def _lines(changed: Iterable[Entry], laid: Overlaid) -> list[ManifestLine]:
    """Return the lines of the entries that the finish script changed. Bytes that it did not write stay the same."""
    lines = []
    for entry in changed:
        line = ManifestLine.of(entry)
        if _is_unread(entry):
            was = laid.lines[entry.path]
            line = replace(line, size=was.size, digest=was.digest)
        lines.append(line)
    return lines


def _is_unread(entry: Entry) -> bool:
    return entry.kind == "file" and isinstance(entry.content, Unread)


def _vouched(acquired: Acquired) -> Vouched:
    signed = acquired.statement
    return Vouched(star=signed.statement.star, galaxy=acquired.star.galaxy, signers=frozenset(signed.signers))
