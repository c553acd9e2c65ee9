"""The preflight: check the definition, its template, its lock and the place of the release before any work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from cosmos.canon import Json
from cosmos.durable import demand_writable
from cosmos.errors import Malformed, NoSolution, WorldFailed, quoted
from cosmos.image.definition import Definition, parsed_lock
from cosmos.image.keep_root import demand_empty
from cosmos.image.outputs.formats import level_of
from cosmos.image.policy import (
    demand_good_key,
    demand_known_rules,
    demand_signable,
    demand_signed_lock,
    report_strangers,
)
from cosmos.image.soundness import demand_sound
from cosmos.image.template import RenderedTemplate
from cosmos.image.workshop.sampling import Audit
from cosmos.image.world import World
from cosmos.keyring.secret_key import SecretKey
from cosmos.links import real
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.release import Builder
from cosmos.model.reporter import Reporter
from cosmos.model.universe import demand_reader
from cosmos.nova.job import Stopped
from cosmos.nova.templating.secret import Secret
from cosmos.pack.image_file import LAYER_FORMAT
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.records import dataclass
from cosmos.release.draft import demand_replaceable
from cosmos.release.lint.linting import LookAhead
from cosmos.release.sign import Signing
from cosmos.resolve.locked import Judged, demand_right
from cosmos.resolve.stale import differences
from cosmos.sandbox.bubble import Bubble

_ANOTHER_ROOT: Final = "choose another folder for --keep-root"
_GUESSED_BYTES: Final = 16  # a shorter secret is found by trying: 16 random letters are not


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """How to build. Only `level` may change bytes (None: the lock's level). `safe`: no script runs programs.

    `builder` is how RELEASE.json names this program, `identity` what its layers are kept under. `secrets` are the
    values of the template's secret variables, by name. With an `audit`, some layers from the store are made again.
    With `look`, each layer is linted as soon as it is made. `at_failure` is called where a star's script stopped; then
    `jobs` is 1, because it needs the builder's own process.
    """

    out: Path
    jobs: int
    identity: str
    builder: Builder
    level: int | None = None
    key: Signing = None
    accept_revoked: frozenset[str] = frozenset()
    keep_root: Path | None = None
    safe: bool = False
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    audit: Audit | None = None
    look: LookAhead | None = None
    at_failure: Callable[[Stopped, Bubble], None] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A definition that passed the preflight: its judged lock, the lock's files by name, and its rendered template.

    `judged` is what was judged of the lock; None for a lock that cannot be judged without the signed statements.
    `sandbox` is the result of the probe of Nova's sandbox. Without a sandbox, no script runs.
    """

    definition: Definition
    lock: Lock
    judged: Judged | None
    lock_files: Mapping[str, bytes]
    template: RenderedTemplate
    sandbox: Mapping[str, Json]


def preflight(definition: Definition, world: World, options: BuildOptions) -> Ready:
    """Return everything that a build needs. Raises the errors of `cosmos.errors`, before anything is fetched."""
    demand_no_input(definition, options.out, "choose another folder: --out FOLDER")
    if options.keep_root is not None:
        demand_no_input(definition, options.keep_root, _ANOTHER_ROOT)
    template = demand_sound(definition, options.secrets)
    warn_of_short(options.secrets, world.reporter)
    demand_known_rules(definition)
    demand_room(options)
    data, envelope = world.lock_files(definition)
    demand_signed_lock(definition, world, data, envelope)
    lock, judged = fresh_lock(definition, data, world)
    if isinstance(options.key, SecretKey):
        demand_good_key(options.key.public, world.pinned)
    if options.key is not None:
        demand_signable(definition, {star.name: star.signers for star in lock.stars})
    report_strangers(definition, lock, world.reporter)
    beside = {} if envelope is None else {definition.lock_envelope.name: envelope}
    return Ready(
        definition=definition,
        lock=lock,
        judged=judged,
        lock_files={LOCK_FILE: data, **beside},
        template=template,
        sandbox=world.sandbox(),
    )


def warn_of_short(secrets: Mapping[str, Secret], reporter: Reporter) -> None:
    """Warn of secrets that somebody can find by trying, who has the release's manifest and not its image."""
    for name, secret in secrets.items():
        if len(secret.revealed().encode()) < _GUESSED_BYTES:
            reporter.warn(
                f"the secret {name} has fewer than {_GUESSED_BYTES} bytes: the manifest names the digest of the file "
                "that holds it, so whoever has the manifest can try all values; see docs/security/threat-model.md"
            )


def demand_room(options: BuildOptions) -> None:
    """Raise `Malformed` or `WorldFailed` if the release, or the tree of --keep-root, cannot be written to its place."""
    demand_replaceable(options.out)
    demand_writable(options.out)
    if options.keep_root is None:
        return
    demand_empty(options.keep_root)
    demand_writable(options.keep_root)
    kept, out = real(options.keep_root), real(options.out)
    if kept.is_relative_to(out) or out.is_relative_to(kept):
        raise Malformed(
            str(options.keep_root),
            "is the release folder, inside it, or around it",
            hint=_ANOTHER_ROOT,
        )


def demand_no_input(definition: Definition, place: Path, hint: str) -> None:
    """Raise `WorldFailed` if what is written to `place` would be an input of the next build: a file of the template."""
    root = definition.template.root
    if root is None:
        return
    if any(real(one).is_relative_to(real(root)) for one in (place, place.parent)):  # a link may be replaced
        problem = f"lies in {root}, and the next build would lay it into the image as a part of the template"
        raise WorldFailed(str(place), problem, hint=hint)


def fresh_lock(definition: Definition, data: bytes, world: World) -> tuple[Lock, Judged | None]:
    """Return the lock with the bytes `data`, and what was judged of it.

    Raises `NoSolution` if it no longer fits the image definition, does not answer its own wishes, or has a star
    `cosmos` that could not read the image's universe.
    """
    lock = parsed_lock(definition, data)
    stale = differences(lock, definition.image, definition.constellations, level_of(definition.outputs))
    if stale:
        raise NoSolution(
            str(definition.lock_file),
            f"is stale: {'; '.join(stale)}",
            hint=f"cosmos freeze {quoted(definition.folder)}",
        )
    judged = demand_right(lock, definition.lock_file)
    for star in lock.stars:
        if star.facts is not None:  # a lock of version 1 does not say it
            hint = f"cosmos freeze {quoted(definition.folder)} --upgrade {star.name}"
            demand_reader(star.name, star.version, star.facts, hint)
    if lock.build.layer_format != LAYER_FORMAT:
        raise NoSolution(
            str(definition.lock_file),
            f"pins layer format {lock.build.layer_format}, but this cosmos writes {LAYER_FORMAT}",
            hint=f"build with cosmos {lock.build.cosmos}, or cosmos freeze {quoted(definition.folder)}",
        )
    if lock.build.zstd != ZSTD_VERSION:
        world.reporter.warn(
            f"the lock pins zstd {lock.build.zstd}, but this is {ZSTD_VERSION}: "
            "the contents will be the same, the packed bytes may not"
        )
    return lock, judged
