"""`cosmos build`: build an image and its release from the lock."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.lint import builder_folders, warn_of_findings
from cosmos.cli.cosmos.options import accept_revoked_option, home_option, origin_option
from cosmos.cli.cosmos.program import own_description, own_identity
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.options import FOLDER, IMAGE, SECRET_KEY, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.secret_values import read_secrets, secret_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.image.definition import kept_folders
from cosmos.image.flow import Built, build_image
from cosmos.image.home import Home
from cosmos.image.preflight import BuildOptions
from cosmos.image.vendored_definition import read_definition_from
from cosmos.pack.image_file import IMAGE_SUFFIX
from cosmos.release.boot import is_bootable
from cosmos.release.sign import Signing
from cosmos.trust.signing_request import REQUEST_FILE


@click.command()
@click.argument("image", type=IMAGE)
@click.option("--offline", is_flag=True, help="Make no socket and open no galaxy; use what the store holds.")
@origin_option
@click.option("--out", type=FOLDER, help="Where the release goes [default: out/ in the image's folder].")
@click.option("--jobs", type=click.IntRange(min=1), help="Stars to stage at once [default: one for each processor].")
@click.option("--level", type=click.IntRange(1, 22), help="zstd level of the layers [default: the lock's].")
@click.option("--key", "key_file", type=SECRET_KEY, help="Sign the release with this secret key.")
@click.option(
    "--unsigned-release",
    is_flag=True,
    help="Write RELEASE.request, to be signed on another machine (key sign-request).",
)
@accept_revoked_option
@click.option("--explain", is_flag=True, help="For each layer that is not from the store, say why it was made.")
@click.option("--keep-root", type=FOLDER, help="Also write the finished tree to this folder, as files.")
@click.option("--safe", is_flag=True, help="Refuse run() in scripts, even if the image's policy allows it.")
@secret_option
@passphrase_fd_option
@home_option
@json_option
def build(
    image: Path,
    offline: bool,
    origin: Path | None,
    out: Path | None,
    jobs: int | None,
    level: int | None,
    key_file: Path | None,
    unsigned_release: bool,
    accept_revoked: tuple[str, ...],
    explain: bool,
    keep_root: Path | None,
    safe: bool,
    secret_words: tuple[str, ...],
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Build IMAGE from its lock: fetch, verify, run Nova, pack, describe, sign."""
    definition = read_definition_from(image, origin, surroundings().reporter(quiet=as_json))
    options = BuildOptions(
        out=out or definition.folder / "out",
        jobs=jobs or len(os.sched_getaffinity(0)),
        identity=own_identity(),
        builder=own_description(),
        level=level,
        key=_signing(key_file, passphrase_fd, elsewhere=unsigned_release),
        accept_revoked=frozenset(accept_revoked),
        keep_root=keep_root,
        safe=safe,
        secrets=read_secrets(secret_words, passphrase_fd, kept_in=kept_folders(definition)),
    )
    world = world_at(home, image, offline=offline, quiet=as_json, origin=origin)
    built = build_image(definition, world, options)
    if explain:
        _explain(built, world)
    _tell_of_signature(built, world)
    linted = _linted(built, definition.folder, world)
    if as_json:
        return emit({**_built_row(built), "lint": linted})
    return _say_built(built, key_file)


def _signing(key_file: Path | None, passphrase_fd: int | None, *, elsewhere: bool) -> Signing:
    """Return what signs the release. Raises `Refused` before the build if the key has another role."""
    if key_file is None:
        return "elsewhere" if elsewhere else None
    if elsewhere:
        raise click.UsageError("--unsigned-release and --key exclude each other")
    (key,) = load_secret_keys((key_file,), passphrase_fd)
    key.demand_role("release")
    return key


def _built_row(built: Built) -> dict[str, Json]:
    return {
        "folder": str(built.folder),
        "content-root": str(built.content_root),
        "signed": built.signed,
        "changed": built.changed,
        "made": {str(name): why for name, why in built.made.items()},
        "files": [
            {"name": subject.name, "size-bytes": subject.size_bytes, "digest": str(subject.digest)}
            for subject in built.release.subjects
        ],
    }


def _tell_of_signature(built: Built, world: Home) -> None:
    if (built.folder / REQUEST_FILE).is_file():
        world.reporter.note(f"sign it elsewhere: cosmos key sign-request {built.folder / REQUEST_FILE} --key KEY")
    elif not built.signed:
        world.reporter.warn("the release is not signed, so `cosmos verify` cannot check it: sign it with --key KEY")


def _linted(built: Built, image: Path, world: Home) -> dict[str, Json]:
    """Warn of what the release should not be shipped with; return how often each rule is broken."""
    around = surroundings()
    folders = builder_folders(around, around.at(str(image)))
    return warn_of_findings(built.folder, folders, world.reporter)


def _explain(built: Built, world: Home) -> None:
    for name, why in built.made.items():
        world.reporter.note(f"{name}: its layer was made: {why}")
        if name in built.twice:
            world.reporter.note(f"{name}: its programs ran twice, to see that they give the same: see docs/nova.md")
    if not built.made:
        world.reporter.note("every layer is from the store")


def _say_built(built: Built, key_file: Path | None) -> None:
    image = next((subject for subject in built.release.subjects if subject.name.endswith(IMAGE_SUFFIX)), None)
    say(f"{'built' if built.changed else 'unchanged'} {built.folder}")
    for subject in built.release.subjects:
        say(f"  {subject.size_bytes:>11,}  {subject.name}")
    say(f"content root  {built.content_root}")
    if image is not None:
        say(f"pack digest   {image.digest}")
    public = f" --key {key_file.with_suffix('.pub')}" if key_file is not None else ""
    following = [f"cosmos verify {built.folder}{public}"] if built.signed else []
    if is_bootable(built.release):
        following.append(f"cosmos boot {built.folder}")
    if following:
        say(f"next: {', or '.join(following)}")
