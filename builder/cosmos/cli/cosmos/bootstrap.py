"""`cosmos bootstrap`: make a whole system in an empty folder from a lock and a vendored folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.cli.cosmos.options import accept_revoked_option, home_option
from cosmos.cli.cosmos.program import own_description, own_identity
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.options import EXISTING_FILE, EXISTING_FOLDER, FOLDER, PUBLIC_KEY, json_option
from cosmos.cli.passphrase import passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.secret_options import secret_option
from cosmos.cli.secret_values import read_secrets
from cosmos.cli.terminal import emit, say
from cosmos.cli.trust_words import shown_public_key
from cosmos.digest import Digest
from cosmos.durable import temporary_folder
from cosmos.errors import Malformed, quoted
from cosmos.image.bootstrapping import Bootstrapped, bootstrap
from cosmos.image.definition import Definition, kept_folders, read_definition
from cosmos.image.home import Home
from cosmos.image.of_system import write_image_of
from cosmos.image.preflight import BuildOptions
from cosmos.image.template_folder import IMAGE_FILE
from cosmos.image.vendored_definition import read_definition_from
from cosmos.limits import MAX_LOCK_BYTES
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.powers import Powers
from cosmos.model.reporter import counted
from cosmos.reading import read_bounded
from cosmos.release.verify import verify_release_folder
from cosmos.trust.releases import ReleaseKeys

_PREFIX = "cosmos-bootstrap-"


@click.command("bootstrap")
@click.option("--root", type=FOLDER, required=True, help="The new folder that becomes the system.")
@click.option("--lock", "lock_file", type=EXISTING_FILE, required=True, help="The lock, beside its image.toml if any.")
@click.option(
    "--galaxy", "origin", type=EXISTING_FOLDER, help="Take the galaxies from this vendored folder, such as a stick."
)
@click.option("--release", type=EXISTING_FOLDER, help="Demand the contents that this release names.")
@click.option("--key", "key_files", type=PUBLIC_KEY, multiple=True, help="A public key of the release's signer.")
@click.option("--offline", is_flag=True, help="Make no socket; use what the store holds.")
@click.option("--safe", is_flag=True, help="Refuse run() in scripts, even if the image's policy allows it.")
@accept_revoked_option
@secret_option
@passphrase_fd_option
@home_option
@reporting_options
@json_option
def bootstrap_command(
    root: Path,
    lock_file: Path,
    origin: Path | None,
    release: Path | None,
    key_files: tuple[Path, ...],
    offline: bool,
    safe: bool,
    accept_revoked: tuple[str, ...],
    secret_words: tuple[str, ...],
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Make a whole system in an empty folder: the stars of a lock, with the image's template and finish script.

    Killed at any moment, the same command goes on. Until it is done, the folder is no system and nobody else may enter.
    """
    world = world_at(home, lock_file, offline=offline, quiet=as_json, origin=origin)
    wanted = None if release is None else _content_root(release, key_files, world)
    with _definition(lock_file, origin, world) as definition:
        options = BuildOptions(
            out=root / "out",
            jobs=len(os.sched_getaffinity(0)),
            identity=own_identity(),
            builder=own_description(),
            accept_revoked=frozenset(accept_revoked),
            safe=safe,
            secrets=read_secrets(secret_words, passphrase_fd, kept_in=kept_folders(definition)),
        )
        done = bootstrap(definition, world, options, root, wanted)
    _answer(done, world, compared=wanted is not None, as_json=as_json)


def _content_root(release: Path, key_files: tuple[Path, ...], world: Home) -> Digest:
    """Return the content root that a signed release names. Raises `Refused` if it is not as it was signed."""
    keys = tuple(shown_public_key(file) for file in key_files)
    signers = ReleaseKeys(keys=keys) if keys else ReleaseKeys.pinned(world.pinned)
    return verify_release_folder(release, signers, reporter=world.reporter).content_root


@contextlib.contextmanager
def _definition(lock_file: Path, origin: Path | None, world: Home) -> Iterator[Definition]:
    """Give the image definition beside the lock, or one of the lock's stars alone. Raises `Malformed`."""
    if (lock_file.parent / IMAGE_FILE).is_file():
        if lock_file.name != LOCK_FILE:
            hint = f"name {quoted(lock_file.parent / LOCK_FILE)}, or move this lock into a folder of its own"
            raise Malformed(str(lock_file), f"lies beside an {IMAGE_FILE}, whose lock is {LOCK_FILE}", hint=hint)
        yield read_definition_from(lock_file.parent, origin, world.reporter)
        return
    data = read_bounded(lock_file, MAX_LOCK_BYTES)
    lock = Lock.parse(data, str(lock_file))
    world.reporter.note(f"no {IMAGE_FILE} lies beside {lock_file}: the system will have the lock's stars alone")
    with temporary_folder(_PREFIX) as folder:
        image = folder / "image"
        write_image_of(image, lock, data, version="0.1.0", powers=Powers(), merged=False)
        yield read_definition(image)


def _answer(done: Bootstrapped, world: Home, *, compared: bool, as_json: bool) -> None:
    if done.unset or done.devices:
        world.reporter.warn(
            f"{done.unset} owners and capabilities were not set, and {counted(done.devices, 'device')} left out: "
            "only root can make them"
        )
    if as_json:
        emit(
            {
                "root": str(done.root),
                "content-root": str(done.content_root),
                "as-released": compared or None,
                "stars": done.stars,
                "entries": done.entries,
                "continued": done.came == "continued",
                "kept": done.kept,
                "owners-not-set": done.unset,
                "devices-left-out": done.devices,
            }
        )
        return
    went_on = f", {done.kept} of them from the run before" if done.came == "continued" else ""
    entries = counted(done.entries, "entry", "entries")
    say(f"bootstrapped {done.root}: {counted(done.stars, 'star')}, {entries}{went_on}")
    say(f"content root  {done.content_root}{', as the release names it' if compared else ''}")
    say(f"next: cosmos verify --root {quoted(done.root)}")
