"""The main flow: from a lock to a release. `build_image` shows all of it, in the order of docs/concepts.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cosmos.about import VERSION
from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.image.acquiring import AcquiredLock, acquire_lock
from cosmos.image.definition import Definition
from cosmos.image.keep_root import write_root
from cosmos.image.outputs.packed_tree import PackedTree
from cosmos.image.outputs.packing import packed_tree, write_release
from cosmos.image.overlay.finished_tree import FinishedTree, lay_tree
from cosmos.image.packed_definition import definition_inputs, packed_definition
from cosmos.image.policy import (
    StagingBudget,
    consent_of,
    demand_budget,
    demand_powers,
    demand_signable,
    demand_vouched,
    report_unmatched,
    report_unsteady,
)
from cosmos.image.preflight import BuildOptions, Ready, preflight
from cosmos.image.workshop.layers import Look, Workshop
from cosmos.image.workshop.remaking import audit_layers
from cosmos.image.workshop.staging import StagedLayers, stage_layers
from cosmos.image.world import World
from cosmos.model.names import StarName
from cosmos.model.release import DEFINITION_FILE, REPORT_FILE, Release
from cosmos.records import dataclass
from cosmos.release.describe import BuildFacts, describe
from cosmos.release.draft import Draft, Written
from cosmos.release.lint.linting import Terms
from cosmos.release.report.from_build import facts_of_build
from cosmos.release.report.page import page
from cosmos.release.sign import sign
from cosmos.sandbox.bubble_probe import WANTED
from cosmos.sbom.bill import Bill, component_of
from cosmos.sbom.cyclonedx import CYCLONEDX_FILE, cyclonedx
from cosmos.sbom.spdx import SPDX_FILE, spdx
from cosmos.tree.overlay import PathMap


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A finished release. `changed` is false if the same release was there before.

    `made` names each layer that the store did not have, and says why the build made it. `twice` are those of them that
    were made twice, because their scripts ran programs. `layers` are the keys of all layers. `ready` and `acquired` are
    what it was made from, `written` its files, `tree` its tree with the layers.
    """

    folder: Path
    release: Release
    content_root: Digest
    signed: bool
    changed: bool
    made: Mapping[StarName, str]
    twice: frozenset[StarName]
    layers: Mapping[StarName, Digest]
    ready: Ready
    acquired: AcquiredLock
    written: Mapping[str, Written]
    tree: PackedTree


def build_image(definition: Definition, world: World, options: BuildOptions) -> Built:
    """Build the release of `definition` from its lock into `options.out`; raises what `cosmos.errors` lists."""
    ready = preflight(definition, world, options)  # 1 find every mistake that shows before any work
    stars = fetched(ready, world, options)  # 2 fetch and verify every star
    staged = _staged(ready, stars, world, options)  # 3 run their Nova scripts: one layer a star
    tree = _laid(ready, staged, world)  # 4 make one tree of layers and template, run the finish script
    with world.draft(options.out) as draft:
        packed = _packed(ready, staged, tree, draft, world, options)  # 5 pack every output
        release = _signed(ready, stars, tree, packed, draft, options)  # 6 describe and sign
        published = draft.publish(world.reporter)  # 7 replace the old release, last: a failed build keeps it
    return Built(
        folder=options.out,
        release=release,
        content_root=packed.root,
        signed=published.signed,
        changed=published.changed,
        made=staged.made,
        twice=staged.twice,
        layers={name: layer.key for name, layer in staged.layers.items()},
        ready=ready,
        acquired=stars,
        written=dict(draft.files),
        tree=packed,
    )


def finished_tree(ready: Ready, world: World, options: BuildOptions) -> PackedTree:
    """Return the tree of an image alone, without its release: steps 2 to 4. Raises what `build_image` raises."""
    staged = _staged(ready, fetched(ready, world, options), world, options)
    return packed_tree(ready.definition.image, _laid(ready, staged, world), staged.layers, staged.workshop)


def fetched(ready: Ready, world: World, options: BuildOptions) -> AcquiredLock:
    """Return every star of the lock, verified, before anything is unpacked. Raises the errors of `cosmos.errors`."""
    world.sweep(options.out)
    stars = acquire_lock(ready.lock, ready.definition, world, options.accept_revoked, ready.judged)
    if options.key is not None:
        demand_signable(ready.definition, stars.signers)
    demand_vouched(ready.definition.image.policy, stars.stars, world)
    return stars


def _staged(ready: Ready, stars: AcquiredLock, world: World, options: BuildOptions) -> StagedLayers:
    """Return each star's layer, from the store or made now."""
    paths = PathMap(links={bytes(top): folder for top, folder in ready.template.path_map.items()})
    workshop = Workshop(
        store=world.made,
        warn=world.reporter.warn,
        acquired=stars.stars,
        epoch=ready.lock.build.source_date_epoch,
        paths=paths,
        level=options.level or ready.lock.build.level,
        identity=options.identity,
        consent=consent_of(ready.definition.image.policy, paths, safe=options.safe),
        unsteady=frozenset(ready.definition.image.policy.unsteady),
        look=_look(ready, options),
        at_failure=options.at_failure,
    )
    staged = stage_layers(
        workshop, jobs=options.jobs, reporter=world.reporter, judge=StagingBudget(ready.definition).judge
    )
    if options.audit is not None:
        audit_layers(staged, options.audit, world.reporter)
    demand_powers(workshop.consent, staged.layers)
    report_unsteady(staged.layers, workshop.unsteady, world.reporter)
    return staged


def _look(ready: Ready, options: BuildOptions) -> Look | None:
    """Return how the workers lint a layer. The lint of an image with secrets keeps nothing, so nothing looks ahead."""
    if options.look is None or ready.template.secrets:
        return None
    powers, epoch = ready.definition.image.policy.powers, ready.lock.build.source_date_epoch
    return options.look.of(Terms(epoch=epoch, powers=powers, stars={star.id: star.name for star in ready.lock.stars}))


def _laid(ready: Ready, staged: StagedLayers, world: World) -> FinishedTree:
    """Return the whole tree. Each entry is laid once."""
    world.reporter.step("lay the tree")
    tree = lay_tree(ready.definition, ready.lock, staged.layers, ready.template, staged.workshop)
    demand_budget(ready.definition, tree.overlaid, staged.layers)
    report_unmatched(ready.definition, tree.overlaid, world.reporter)
    return tree


def _packed(
    ready: Ready, staged: StagedLayers, tree: FinishedTree, draft: Draft, world: World, options: BuildOptions
) -> PackedTree:
    """Write every file of the release except RELEASE.json; for --keep-root, also write the tree as files."""
    world.reporter.step("pack")
    packed = packed_tree(ready.definition.image, tree, staged.layers, staged.workshop)
    write_release(ready.definition.outputs, packed, tree.receipts, draft, world.reporter)
    for name, data in ready.lock_files.items():
        draft.write(name, [data])
    draft.write(DEFINITION_FILE, packed_definition(ready.definition))
    if options.keep_root is not None:
        write_root(packed.entries(), options.keep_root, world.reporter)
    return packed


def _signed(
    ready: Ready, stars: AcquiredLock, tree: FinishedTree, packed: PackedTree, draft: Draft, options: BuildOptions
) -> Release:
    """Write the bills of materials, the page, RELEASE.json and its signature."""
    definition = ready.definition
    bill = _bill(ready, stars, packed)
    draft.write(SPDX_FILE, [spdx(bill)])
    draft.write(CYCLONEDX_FILE, [cyclonedx(bill)])
    facts = BuildFacts(
        image=definition.image,
        definition=Digest.of(definition.data),
        inputs=definition_inputs(definition),
        lock=ready.lock,
        root=packed.root,
        level=options.level or ready.lock.build.level,
        accepted=stars.accepted,
        signers=stars.signers,
        unsteady=tree.receipts.unsteady,
        sandbox={**ready.sandbox, **_programs(tree)},
        secrets=ready.template.secrets,
        holding_all=frozenset(output.file_name(definition.image) for output in definition.outputs if output.holds_all),
        builder=options.builder,
    )
    so_far = facts_of_build(
        describe(draft.files, facts),
        image=definition.image,
        lock=ready.lock,
        bill=bill,
        receipts=tree.receipts,
        tree=packed.overlaid,
        layers=packed.sizes,
    )
    draft.write(REPORT_FILE, [page(so_far, changes=None, beside="")])
    release = describe(draft.files, facts)
    sign(release, options.key, draft)
    return release


def _bill(ready: Ready, stars: AcquiredLock, packed: PackedTree) -> Bill:
    """Return the bill of materials: every star of the lock with its signed manifest."""
    image = ready.definition.image
    return Bill(
        name=str(image.name),
        version=str(image.version),
        root=packed.root,
        epoch=ready.lock.build.source_date_epoch,
        cosmos=VERSION,
        components=tuple(component_of(one.star, one.statement.statement.star) for one in stars.stars.values()),
    )


def _programs(tree: FinishedTree) -> dict[str, Json]:
    """Return what the inspection of bubblewrap found, if a script ran a program. Without inspection no program runs."""
    return {"programs": dict(WANTED)} if tree.receipts.ran_programs else {}
