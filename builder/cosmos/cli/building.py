"""The commands that build: `new`, `freeze`, `build`, `verify`, `ls`, `cat`, `boot`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click

import cosmos
from cosmos.canon import Json
from cosmos.cli import device
from cosmos.cli.attesting import asked_quorum, badges_option, quorum_option
from cosmos.cli.differences import differences_in_json
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.releasing import accept_revoked_option, trust_row, trust_text
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.cli.trust_words import shown_public_key
from cosmos.image.definition import read_definition
from cosmos.image.flow import Built, build_image
from cosmos.image.freeze import check, freeze
from cosmos.image.home import Home, program_identity
from cosmos.image.new import new_image
from cosmos.image.preflight import BuildOptions, demand_sound
from cosmos.image.signed_lock import sign_lock
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import StarName
from cosmos.model.reporter import counted
from cosmos.release.boot import DEFAULT_MEMORY_MIB, DEFAULT_TIMEOUT_SECONDS, BootRequest, boot, is_bootable
from cosmos.release.inspect import file_bytes, find_image, listed
from cosmos.release.verdicts import judge_release
from cosmos.release.verify import ReleaseVerdict, verify_release_folder
from cosmos.trust.signing_request import REQUEST_FILE

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_SECONDS = click.FloatRange(min=0, min_open=True)
_json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_home_option = click.option(
    "--home", type=_FOLDER, envvar="COSMOS_HOME", help="The builder's home [default: the nearest .cosmos/]."
)
_EVERYTHING = "*"


@click.command()
@click.argument("folder", metavar="NAME", type=_PATH)
@click.option("--arch", default=os.uname().machine, show_default=True, help="The machine that it is for.")
@click.option("--galaxy", nargs=2, default=("core", "../galaxy"), metavar="NAME URL", help="Where its stars come from.")
@click.option("--epoch", type=int, help="source-date-epoch [default: $SOURCE_DATE_EPOCH, else the start of today].")
@_json_option
def new(folder: Path, arch: str, galaxy: tuple[str, str], epoch: int | None, as_json: bool) -> None:
    """Make a small image definition to begin from."""
    around = surroundings()
    today = int(around.environ.get("SOURCE_DATE_EPOCH") or int(around.now()) // 86400 * 86400)
    files = new_image(folder, arch=arch, galaxy=galaxy[0], url=galaxy[1], epoch=today if epoch is None else epoch)
    if as_json:
        emit({"files": [str(file) for file in files]})
        return
    for file in files:
        say(str(file))
    say(f"next: name stars in {files[0]}, then cosmos freeze {folder}")


@click.command("freeze")
@click.argument("image", type=_PATH, required=False)
@click.option("--check", "only_check", is_flag=True, help="Say offline if the lock fits: exit 7 if stale, 3 if wrong.")
@click.option(
    "--upgrade",
    "upgraded",
    multiple=True,
    is_flag=False,
    flag_value=_EVERYTHING,
    metavar="[STAR]",
    help="Move this star (without a name: every star) to the newest version that fits. May be repeated.",
)
@click.option(
    "--allow-downgrade", "lowered", multiple=True, metavar="STAR", help="Let this star go to a lower version."
)
@click.option("--offline", is_flag=True, help="Use what the store holds; open no galaxy.")
@click.option("--root", type=_FOLDER, help="Without IMAGE: lock what is installed on the system at this root.")
@click.option("--sign", "key_file", type=_FILE, help="Sign the lock with this secret key of the role release.")
@passphrase_fd_option
@_home_option
@_json_option
@differences_in_json({"fresh": False}, of="image")
def freeze_command(
    image: Path | None,
    only_check: bool,
    upgraded: tuple[str, ...],
    lowered: tuple[str, ...],
    offline: bool,
    root: Path | None,
    key_file: Path | None,
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Resolve IMAGE's stars and pin each in universe.lock.toml.

    Without IMAGE, pin what is installed on this system (or on the one at --root).
    """
    if image is None:
        if only_check or upgraded or key_file is not None:
            raise click.UsageError("--check, --upgrade and --sign belong to an IMAGE")
        return device.freeze(root or Path("/"), offline, as_json)
    if root is not None:
        raise click.UsageError("name an IMAGE or a --root, not both")
    if only_check and upgraded:
        raise click.UsageError("--check changes nothing, and --upgrade would: give one of them")
    definition = read_definition(image)
    demand_sound(definition)
    if only_check:
        check(definition)
        row: dict[str, Json] = {"lock": str(definition.lock_file), "fresh": True}
        return _answer(row, as_json, f"{definition.lock_file}: fits its image")
    world = _world(home, image, offline=offline, quiet=as_json)
    keys = load_secret_keys((key_file,), passphrase_fd) if key_file is not None else ()
    frozen = freeze(definition, world, upgrade=_wanted_upgrades(upgraded), allow_downgrade=_star_names(lowered))
    signed = sign_lock(definition, frozen.data, keys[0] if keys else None)
    stars = len(frozen.lock.stars)
    word = ("written" if frozen.changed else "unchanged") + (", signed" if signed else "")
    row = {
        "lock": str(definition.lock_file),
        "stars": stars,
        "changed": frozen.changed,
        "signed": signed,
    }
    following = f"next: cosmos build {definition.folder}"
    return _answer(row, as_json, f"{definition.lock_file}: {word}, {counted(stars, 'star')}\n{following}")


@click.command()
@click.argument("image", type=_PATH)
@click.option("--offline", is_flag=True, help="Make no socket and open no galaxy; use what the store holds.")
@click.option("--out", type=_FOLDER, help="Where the release goes [default: out/ in the image's folder].")
@click.option("--jobs", type=click.IntRange(min=1), help="Stars to work on at once [default: one a processor].")
@click.option("--level", type=click.IntRange(1, 22), help="zstd level of the layers [default: the lock's].")
@click.option("--key", "key_file", type=_FILE, help="Sign the release with this secret key.")
@click.option(
    "--unsigned-release",
    is_flag=True,
    help="Write RELEASE.request, to be signed on another machine (key sign-request).",
)
@accept_revoked_option
@click.option("--explain", is_flag=True, help="Say why each layer was made that the store did not have.")
@click.option("--keep-root", type=_FOLDER, help="Write the finished tree out as files, to look at.")
@click.option("--safe", is_flag=True, help="Refuse run() in scripts, whatever the image's policy says.")
@passphrase_fd_option
@_home_option
@_json_option
def build(
    image: Path,
    offline: bool,
    out: Path | None,
    jobs: int | None,
    level: int | None,
    key_file: Path | None,
    unsigned_release: bool,
    accept_revoked: tuple[str, ...],
    explain: bool,
    keep_root: Path | None,
    safe: bool,
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Build IMAGE from its lock: fetch, verify, run Nova, pack, describe, sign."""
    if unsigned_release and key_file is not None:
        raise click.UsageError("--unsigned-release and --key exclude each other")
    definition = read_definition(image)
    keys = _release_keys(key_file, passphrase_fd)
    options = BuildOptions(
        out=out or definition.folder / "out",
        jobs=jobs or len(os.sched_getaffinity(0)),
        identity=_identity(),
        level=level,
        key=keys[0] if keys else "elsewhere" if unsigned_release else None,
        accept_revoked=frozenset(accept_revoked),
        keep_root=keep_root,
        safe=safe,
    )
    world = _world(home, image, offline=offline, quiet=as_json)
    built = build_image(definition, world, options)
    if explain:
        _explain(built, world)
    _tell_of_signature(built, world)
    if as_json:
        return emit(_built_row(built))
    return _say_built(built, key_file)


@click.command()
@click.argument("path", type=_PATH, required=False)
@click.option("--key", "key_files", type=_FILE, multiple=True, help="A public key of the release's signer.")
@click.option("--root", type=_FOLDER, help="Check the system at this root instead [default: /].")
@quorum_option
@badges_option
@accept_revoked_option
@_home_option
@_json_option
@differences_in_json({"verified": False}, of="path")
def verify(
    path: Path | None,
    key_files: tuple[Path, ...],
    root: Path | None,
    quorum: int | None,
    badges_file: Path | None,
    accept_revoked: tuple[str, ...],
    home: Path | None,
    as_json: bool,
) -> None:
    """Check the release in PATH against a pinned key; without PATH, the running system against its universe.

    Without --key, or with --home, the trust anchors of the home have their say too: was it valid when it was locked,
    and is it trusted now? Exit 0 when every byte is as it was signed or recorded; 4 for a bad signature, a revoked key
    or a release older than one seen before, 7 naming what differs.
    """
    if path is None:
        if key_files or quorum:
            raise click.UsageError("--key and --quorum belong to a release: name its folder")
        device.verify(root or Path("/"), as_json)
        return
    if root is not None:
        raise click.UsageError("name a release or a --root, not both")
    keys = [shown_public_key(file) for file in key_files]
    world = _world(home, path, offline=True, quiet=as_json) if home is not None or not keys else None
    threshold = 1
    if world is not None and not keys:
        keys, threshold = list(world.pinned.keys("release")), world.pinned.threshold("release")
    verdict = verify_release_folder(path, keys, threshold=threshold, reporter=surroundings().reporter(quiet=as_json))
    judged = None if world is None else judge_release(verdict, world, frozenset(accept_revoked))
    row, text = {**_verdict_row(verdict), **trust_row(judged)}, _verdict_text(verdict) + trust_text(judged)
    if quorum is not None:
        rebuilders = asked_quorum(path, quorum, badges_file, home).signers
        row, text = {**row, "rebuilt-by": list(rebuilders)}, f"{text}\nrebuilt by    {', '.join(rebuilders)}"
    _answer(row, as_json, text)


@click.command()
@click.argument("image", type=_PATH)
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@_json_option
def ls(image: Path, globs: tuple[str, ...], as_json: bool) -> None:
    """List what an image holds, as its manifest states it. Only its index is read."""
    lines = listed(find_image(image), globs)
    if as_json:
        emit({"entries": [str(line) for line in lines]})
        return
    for line in lines:
        say(str(line))


@click.command()
@click.argument("image", type=_PATH)
@click.argument("path")
def cat(image: Path, path: str) -> None:
    """Write one file of an image to stdout. Only its layer is read, and it is verified first."""
    sys.stdout.buffer.write(file_bytes(find_image(image), path))
    sys.stdout.buffer.flush()


@click.command("boot")
@click.argument("release", type=_FOLDER)
@click.option("--marker", help="The line to wait for [default: the one that the release names].")
@click.option("--timeout", "timeout_seconds", type=_SECONDS, default=DEFAULT_TIMEOUT_SECONDS, show_default=True)
@click.option(
    "--memory", "memory_mib", type=click.IntRange(64), default=DEFAULT_MEMORY_MIB, show_default=True, metavar="MIB"
)
@_json_option
def boot_command(release: Path, marker: str | None, timeout_seconds: float, memory_mib: int, as_json: bool) -> None:
    """Start a release in QEMU, show its console, and wait until the system says that it is well."""
    around = surroundings()
    request = BootRequest(release=release, marker=marker, timeout_seconds=timeout_seconds, memory_mib=memory_mib)
    result = boot(request, console=around.reporter(quiet=as_json).note)
    row: dict[str, Json] = {"marker": result.marker, "powered-off": result.powered_off, "lines": len(result.console)}
    _answer(row, as_json, f"{release}: booted, and said {result.marker}")


COMMANDS: tuple[click.Command, ...] = (new, freeze_command, build, verify, ls, cat, boot_command)


def _identity() -> str:
    return program_identity(None if getattr(sys, "frozen", False) else Path(cosmos.__file__).parent)


def _world(home: Path | None, near: Path, *, offline: bool, quiet: bool) -> Home:
    around = surroundings()
    return Home(home=around.home(home, near=near), offline=offline, reporter=around.reporter(quiet=quiet))


def _release_keys(key_file: Path | None, passphrase_fd: int | None) -> tuple[SecretKey, ...]:
    """The key that signs, told early if it is of another role."""
    keys = load_secret_keys((key_file,), passphrase_fd) if key_file is not None else ()
    for key in keys:
        key.demand_role("release")
    return keys


def _wanted_upgrades(names: tuple[str, ...]) -> frozenset[StarName] | Literal["all"]:
    if _EVERYTHING in names:
        return "all"
    return _star_names(names)


def _star_names(names: tuple[str, ...]) -> frozenset[StarName]:
    try:
        return frozenset(StarName.parse(name) for name in names)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _answer(row: Mapping[str, Json], as_json: bool, text: str) -> None:
    if as_json:
        emit(dict(row))
    else:
        say(text)


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
        world.reporter.warn("the release is not signed: give --key, or `cosmos verify` has nothing to check it by")


def _explain(built: Built, world: Home) -> None:
    for name, why in built.made.items():
        world.reporter.note(f"{name}: its layer was made: {why}")
    if not built.made:
        world.reporter.note("every layer is from the store")


def _say_built(built: Built, key_file: Path | None) -> None:
    image = next((subject for subject in built.release.subjects if subject.name.endswith(".tar.zst")), None)
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


def _verdict_row(verdict: ReleaseVerdict) -> dict[str, Json]:
    return {
        "folder": str(verdict.folder),
        "content-root": str(verdict.content_root),
        "signers": list(verdict.signers),
        "files": len(verdict.release.subjects),
        "entries": verdict.entries,
    }


def _verdict_text(verdict: ReleaseVerdict) -> str:
    return (
        f"{verdict.folder}: verified, {len(verdict.release.subjects)} files, {verdict.entries:,} entries in the image\n"
        f"content root  {verdict.content_root}\n"
        f"signed by     {', '.join(verdict.signers)}"
    )
