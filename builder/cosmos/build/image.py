"""The main flow: from a lock to a release. `build_image` is the whole of it, in the order of the README."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmos.build.acquiring import acquire_lock
from cosmos.build.definition import IMAGE_FILE, Definition, read_lock
from cosmos.build.drafts import draft_beside, sweep_beside
from cosmos.build.finish import finish, own_layer, relaid, trust_entry, universe_entry
from cosmos.build.keep_root import write_root
from cosmos.build.layers import Layers, Workshop, entry_without_bytes, stage_layers
from cosmos.build.outputs import PackedTree, opened_once, unique_names, write_binary, write_output
from cosmos.build.policy import demand_policy
from cosmos.build.publish import Signing, describe, publish, sign
from cosmos.build.receipts import RECEIPTS_FILE, receipts
from cosmos.build.signed_lock import demand_signed_lock, lock_envelope
from cosmos.build.template import RenderedTemplate, render_template
from cosmos.build.world import World
from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import Malformed, NoSolution
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.names import StarName
from cosmos.model.release import MANIFEST_FILE, RELEASE_ENVELOPE, Release
from cosmos.pack.image_file import DIRECTORIES, LAYER_FORMAT, PackedLayer, pack_layer
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.resolve.locked import demand_right
from cosmos.resolve.replacing import Vouched, replaced_by
from cosmos.resolve.stale import differences
from cosmos.staging.acquire import Acquired
from cosmos.staging.powers import Consent, OpenFolders, demand_none, overreaches
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import bounded_manifest, content_root
from cosmos.tree.overlay import TEMPLATE, Layer, Overlaid, PathMap
from cosmos.treepath import ROOT, TreePath

TEMPLATES_FOLDER = "rootfs-templates"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """How to build, none of which may change a byte but `level` (None: the lock's). `safe`: no script runs programs."""

    out: Path
    jobs: int
    identity: str
    level: int | None = None
    key: Signing = None
    accept_revoked: frozenset[str] = frozenset()
    keep_root: Path | None = None
    safe: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A finished release. `changed` is false where the same release stood there already.

    `made` says why the layers were made that the store did not have.
    """

    folder: Path
    release: Release
    content_root: Digest
    signed: bool
    changed: bool
    made: Mapping[StarName, str]


def build_image(definition: Definition, world: World, options: BuildOptions) -> Built:
    """Build the release of `definition` from its lock into `options.out`; raises what `cosmos.errors` lists."""
    sweep_beside(options.out)
    world.store.sweep()
    lock, lock_files = fresh_lock(definition, world)
    # fetch and verify everything, before anything is unpacked
    acquired = acquire_lock(lock, definition, world, options.accept_revoked)
    demand_policy(definition.image.policy, acquired.stars, world)
    template = rendered(definition)
    workshop = workshop_of(definition, world, options, lock, acquired.stars, template)
    staged = stage_layers(workshop, jobs=options.jobs, reporter=world.reporter)  # Nova
    layers = staged.layers
    consent = workshop.consent
    demand_none(
        consent, [row for star, one in layers.items() for row in overreaches(consent, star, one.lines, one.receipt)]
    )
    own, overlaid, finish_receipt = overlay_all(definition, lock, layers, template, workshop)
    world.reporter.step("pack")
    tree = pack_tree(definition, overlaid, own, layers, workshop)
    with draft_beside(options.out) as temporary:
        folder = temporary / options.out.name
        folder.mkdir()
        root = content_root(overlaid.lines.values())
        for output in definition.image.outputs:
            write_output(output, definition.image, tree, folder, {"content-root": str(root)})
        write_binary(tree, folder)
        texts = {
            MANIFEST_FILE: bounded_manifest(overlaid.lines.values(), MANIFEST_FILE),
            RECEIPTS_FILE: receipts(layers, finish_receipt),
        }
        for name, data in {**texts, **lock_files}.items():
            write_durably(folder / name, data)
        release = describe(definition, lock, folder, root, workshop.level, acquired.accepted)
        sign(folder, release, options.key, definition, lock)
        if options.keep_root is not None:
            write_root(tree.entries(), options.keep_root, world.reporter)
        changed = publish(folder, options.out, world.reporter)  # last: a build that fails leaves what stood there
    signed = (options.out / RELEASE_ENVELOPE).is_file()
    return Built(
        folder=options.out, release=release, content_root=root, signed=signed, changed=changed, made=staged.made
    )


def workshop_of(
    definition: Definition,
    world: World,
    options: BuildOptions,
    lock: Lock,
    acquired: Mapping[StarName, Acquired],
    template: RenderedTemplate,
) -> Workshop:
    """Return all that the image's stars are staged with."""
    paths = PathMap(links={bytes(top): folder for top, folder in template.path_map.items()})
    return Workshop(
        store=world.store,
        acquired=acquired,
        epoch=lock.build.source_date_epoch,
        paths=paths,
        level=options.level or lock.build.level,
        identity=options.identity,
        consent=Consent(
            powers=definition.image.policy.powers,
            file=IMAGE_FILE,
            folders=OpenFolders.below(ROOT, paths.mapped),
            safe=options.safe,
        ),
    )


def fresh_lock(definition: Definition, world: World) -> tuple[Lock, Mapping[str, bytes]]:
    """Return the lock, and its files by name: its bytes, and the signature beside it.

    Raises `Refused` for a lock that the image wants signed and that is not, `NoSolution` where it no longer answers the
    image definition, or not even its own wishes.
    """
    unique_names(definition.image)
    lock, data = read_lock(definition)
    envelope = demand_signed_lock(definition, world, data)
    stale = differences(lock, definition.image, definition.constellations)
    if stale:
        raise NoSolution(
            str(definition.lock_file),
            f"is stale: {'; '.join(stale)}",
            hint=f"cosmos freeze {definition.folder}",
        )
    demand_right(lock, definition.lock_file)
    if lock.build.layer_format != LAYER_FORMAT:
        raise NoSolution(
            str(definition.lock_file),
            f"pins layer format {lock.build.layer_format}, but this cosmos writes {LAYER_FORMAT}",
            hint=f"build with cosmos {lock.build.cosmos}, or cosmos freeze {definition.folder}",
        )
    if lock.build.zstd != ZSTD_VERSION:
        world.reporter.warn(
            f"the lock pins zstd {lock.build.zstd}, but this is {ZSTD_VERSION}: "
            "the contents will be the same, the packed bytes may not"
        )
    beside = {} if envelope is None else {lock_envelope(definition).name: envelope}
    return lock, {LOCK_FILE: data, **beside}


def rendered(definition: Definition) -> RenderedTemplate:
    """Return the image's template: a path beside image.toml, or a folder of the nearest `rootfs-templates/`."""
    named, source = definition.image.template, str(definition.folder / "image.toml")
    if named.startswith(("./", "../")):
        return render_template(definition.folder / named, definition.image, source=source)
    start = definition.folder.resolve()
    for folder in (start, *start.parents):
        if (folder / TEMPLATES_FOLDER / named).is_dir():
            return render_template(folder / TEMPLATES_FOLDER / named, definition.image, source=source)
    raise Malformed(
        source,
        f"template: no {TEMPLATES_FOLDER}/{named} in this folder or above it",
        hint="a template beside image.toml is named with ./ before it",
    )


def overlay_all(
    definition: Definition,
    lock: Lock,
    layers: Layers,
    template: RenderedTemplate,
    workshop: Workshop,
) -> tuple[list[Entry], Overlaid, Json]:
    """Return the image's own entries, the whole tree (stars, template, finish script, the universe), and the finish
    script's receipt.
    """
    image, epoch = definition.image, lock.build.source_date_epoch
    replaces = replaced_by(map(_vouched, workshop.acquired.values()))
    stars = [Layer(owner=name, lines=layer.lines, replaces=replaces[name]) for name, layer in layers.items()]
    own = {entry.path: entry for entry in template.entries}
    if image.trust:
        entry = trust_entry(definition.folder / image.trust, epoch)
        own[entry.path] = entry
    winners: dict[TreePath, str] = {path: str(name) for path, name in image.policy.owners.items()}
    overlaid = relaid(stars, own.values(), winners, ())
    own = {path: entry for path, entry in own.items() if overlaid.owners[path] == TEMPLATE or entry.kind == "dir"}
    receipt: Json = None
    if image.finish:
        tree = {path: own.get(path) or entry_without_bytes(line) for path, line in overlaid.lines.items()}
        packed = _star_layers(layers, overlaid, workshop)
        found = PackedTree(overlaid=overlaid, layers=opened_once(packed), store=workshop.store)
        finished = finish(definition.folder / image.finish, tree, workshop.paths, epoch, found.bytes_of)
        own |= finished.changed
        receipt = finished.receipt
        winners |= dict.fromkeys(finished.changed, TEMPLATE)
        overlaid = relaid(stars, own.values(), winners, ())
    record = universe_entry(image, lock, layers, overlaid)
    own[record.path] = record
    return list(own.values()), relaid(stars, own.values(), winners, (record.path,)), receipt


def _vouched(acquired: Acquired) -> Vouched:
    signed = acquired.statement
    return Vouched(star=signed.statement.star, galaxy=acquired.star.galaxy, signers=frozenset(signed.signers))


def pack_tree(
    definition: Definition,
    overlaid: Overlaid,
    own: Sequence[Entry],
    layers: Layers,
    workshop: Workshop,
) -> PackedTree:
    """Return the finished tree with its layers; raises `NoSolution` where it is over the image's budget."""
    folders = [
        Entry(
            path=path, kind="dir", mode=line.mode, uid=line.uid, gid=line.gid, mtime=workshop.epoch, xattrs=line.xattrs
        )
        for path, line in overlaid.lines.items()
        if line.kind == "dir"
    ]
    first = pack_layer(DIRECTORIES, folders, workshop.level)
    last = pack_layer(TEMPLATE, own_layer(own, workshop.epoch), workshop.level)
    stars = _star_layers(layers, overlaid, workshop)
    budget, size = definition.image.policy.size_budget_bytes, sum(line.size for line in overlaid.lines.values())
    if budget is not None and size > budget:
        biggest = sorted(layers, key=lambda name: -sum(line.size for line in layers[name].lines))[:3]
        raise NoSolution(
            str(definition.folder / "image.toml"),
            f"the image's files have {size} bytes, policy.size-budget-bytes is {budget}",
            hint=f"the biggest stars are {', '.join(biggest)}",
        )
    return PackedTree(
        overlaid=overlaid, layers=opened_once([lambda: first, *stars, lambda: last]), store=workshop.store
    )


def _star_layers(layers: Layers, overlaid: Overlaid, workshop: Workshop) -> list[Callable[[], PackedLayer]]:
    """Return one opener a star that holds any files, in lock order."""
    openers: list[Callable[[], PackedLayer]] = []
    for name, layer in layers.items():
        dropped = overlaid.dropped(Layer(owner=name, lines=layer.lines))
        if any(line.kind != "dir" and line.path not in dropped for line in layer.lines):
            openers.append(_opener(workshop, name, layers, dropped))
    return openers


def _opener(
    workshop: Workshop, name: StarName, layers: Layers, dropped: frozenset[TreePath]
) -> Callable[[], PackedLayer]:
    return lambda: workshop.packed(name, layers, dropped)
