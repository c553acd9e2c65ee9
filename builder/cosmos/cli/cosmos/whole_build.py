"""The whole of `cosmos build`, for an image of which something changed, and the answer of both kinds of builds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cosmos.canon import Json, digest_of
from cosmos.cli.cosmos.build_wishes import Wishes
from cosmos.cli.cosmos.built_words import UNSIGNED, Answer
from cosmos.cli.cosmos.counting import Counting
from cosmos.cli.cosmos.kept_build import Question, known_files
from cosmos.cli.cosmos.lint import builder_folders, warn_of_findings
from cosmos.cli.cosmos.own_program import own_terms
from cosmos.cli.cosmos.program import own_description, own_identity
from cosmos.cli.cosmos.store.place import collect_after
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.secret_values import read_secrets
from cosmos.cli.terminal import surroundings
from cosmos.errors import quoted
from cosmos.image.definition import Definition, kept_folders
from cosmos.image.flow import Built, build_image
from cosmos.image.home import Home
from cosmos.image.known_signatures import known_signatures
from cosmos.image.preflight import BuildOptions, demand_no_input
from cosmos.image.remembering import before_build, remember
from cosmos.image.vendored_definition import read_definition_from
from cosmos.image.workshop.sampling import Audit
from cosmos.model.reporter import Reporter
from cosmos.release.boot import is_bootable
from cosmos.release.lint.linting import BuiltImage, LintMemory, LookAhead, lint_built, lint_release
from cosmos.trust.signing_request import REQUEST_FILE

if TYPE_CHECKING:
    from cosmos.nova.job import Stopped
    from cosmos.sandbox.bubble import Bubble


def build_whole(wishes: Wishes, asked: Question | None) -> Answer:
    """Build the image, and return the answer. What was built is remembered if `asked` says under which terms."""
    quiet = wishes.quiet
    definition = read_definition_from(wishes.image, wishes.origin, surroundings().reporter(quiet=quiet), wishes.given)
    if wishes.report is not None:
        demand_no_input(definition, wishes.report, "choose another place: --report FILE")
    look = LookAhead(program=str(digest_of(own_terms())), builder_folders=_folders(definition))
    options = _options(wishes, definition, look)
    reporter = Counting(surroundings().reporter(quiet=quiet))
    click.get_current_context().call_on_close(lambda: collect_after(world))  # after the store is no longer held
    known = {} if asked is None else known_files(asked)
    world = world_at(
        wishes.home,
        wishes.image,
        offline=wishes.offline,
        quiet=quiet,
        origin=wishes.origin,
        reporter=reporter,
        known=known if asked is not None and asked.trusts_stat else {},
    )
    before = None if asked is None else before_build(definition, world, asked.home, options.out, asked.settled, known)
    with known_signatures(world.made, reporter.warn) if _believes_memory(wishes, asked) else nullcontext():
        built = build_image(definition, world, options)
    is_clean = not reporter.warnings
    if wishes.explain:
        _explain(built, world)
    said = Counting(reporter)
    _tell_of_signature(built, said)
    lint = _linted(built, look, said, world)
    bootable = is_bootable(built.release)
    if asked is not None and before is not None and is_clean:
        remarks: dict[str, Json] = {"lint": lint, "warnings": said.warnings, "notes": said.notes, "bootable": bootable}
        remember(before, definition, built, world, asked.terms(), remarks)
    warnings = sum(text != UNSIGNED for text in reporter.warnings)
    return replace(_answer(built, wishes.key_file, lint, warnings, bootable=bootable), steps=tuple(reporter.steps))


def _answer(built: Built, key_file: Path | None, lint: Json, warnings: int, *, bootable: bool) -> Answer:
    return Answer(
        folder=built.folder,
        release=built.release,
        content_root=built.content_root,
        made={str(name): why for name, why in built.made.items()},
        lint=lint,
        signed=built.signed,
        changed=built.changed,
        bootable=bootable,
        key_file=key_file,
        warnings=warnings,
    )


def _believes_memory(wishes: Wishes, asked: Question | None) -> bool:
    """Whether a signature counts that was found good before: for a signed release only if the operator says so."""
    return wishes.key is None or (asked is not None and asked.settings.signed_from_memory)


def _options(wishes: Wishes, definition: Definition, look: LookAhead) -> BuildOptions:
    return BuildOptions(
        out=wishes.out or definition.folder / "out",
        jobs=wishes.jobs,
        identity=own_identity(),
        builder=own_description(),
        level=wishes.level,
        key=wishes.key,
        accept_revoked=wishes.accept_revoked,
        keep_root=wishes.keep_root,
        safe=wishes.safe,
        at_failure=_shell() if wishes.shell else None,
        audit=_audit(wishes),
        look=look,
        secrets=read_secrets(wishes.secret_words, wishes.passphrase_fd, kept_in=kept_folders(definition)),
    )


def _shell() -> Callable[[Stopped, Bubble], None]:
    from cosmos.cli.cosmos.failed_step import open_shell  # for a person who asks for it

    return open_shell


def _folders(definition: Definition) -> tuple[bytes, ...]:
    around = surroundings()
    return builder_folders(around, around.at(str(definition.folder)))


def _audit(wishes: Wishes) -> Audit | None:
    if wishes.audit is None:
        return None
    return Audit(share=wishes.audit, seed=wishes.audit_seed or f"{int(surroundings().now() * 1000):x}")


def _tell_of_signature(built: Built, reporter: Reporter) -> None:
    if (built.folder / REQUEST_FILE).is_file():
        reporter.note(f"sign it elsewhere: cosmos key sign-request {quoted(built.folder / REQUEST_FILE)} --key KEY")
    elif not built.signed:
        reporter.warn(UNSIGNED)


def _linted(built: Built, look: LookAhead, reporter: Reporter, world: Home) -> dict[str, Json]:
    """Warn of what the release should not be shipped with; return how often each rule is broken."""
    folders = look.builder_folders
    image_of_build = _built_image(built)
    if image_of_build is None:
        return warn_of_findings(built.folder, lambda: lint_release(built.folder, folders), reporter)
    memory = LintMemory(world.made, look.program, reporter.warn)
    return warn_of_findings(built.folder, lambda: lint_built(image_of_build, built.release, folders, memory), reporter)


def _built_image(built: Built) -> BuiltImage | None:
    """Return the image for lint; None for one that lint does not remember, and for a release with none or several."""
    if built.ready.template.secrets or sum(output.holds_all for output in built.ready.definition.outputs) != 1:
        return None
    ids = {star.name: star.id for star in built.ready.lock.stars}
    tree = built.tree.overlaid
    layers = {str(name): star for name, star in ids.items()}
    return BuiltImage(
        lines=tree.lines,
        owners={
            path: layers.get(tree.owners[path], tree.owners[path])
            for path, line in tree.lines.items()
            if line.kind != "dir"
        },
        layers=built.tree.opened,
        stars={star: name for name, star in ids.items()},
    )


def _explain(built: Built, world: Home) -> None:
    for name, why in built.made.items():
        world.reporter.note(f"{name}: its layer was made: {why}")
        if name in built.twice:
            world.reporter.note(f"{name}: its programs ran twice, to see that they give the same: see docs/nova.md")
    if not built.made:
        world.reporter.note("every layer is from the store")
