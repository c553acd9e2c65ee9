"""`cosmos delta`: make a file that turns one release into the next."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import FILE, RELEASE, SECRET_KEY, json_option
from cosmos.cli.own_files import demand_own_or_nothing
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed, quoted
from cosmos.links import real
from cosmos.model.delta import DELTA_MAGIC
from cosmos.model.release import RELEASE_FILE
from cosmos.release.delta.making import MadeDelta, Side, Wanted, make_delta
from cosmos.release.delta.simulating import Simulated, simulate


@click.command()
@click.argument("releases", type=RELEASE, nargs=-1, required=True, metavar="OLD… NEW")
@click.option("-o", "--out", "file", type=FILE, metavar="FILE", help="The delta to write.")
@click.option("--key", "key_file", type=SECRET_KEY, help="Sign the delta with this release key.")
@click.option("--whole", "whole", multiple=True, metavar="STAR", help="Carry this star whole, whatever the base has.")
@click.option("--installed", is_flag=True, help="Let it be applied to a system's files, too (apply --from-root).")
@click.option("--simulate", "simulates", is_flag=True, help="Write nothing; show how large each way of updating is.")
@passphrase_fd_option
@reporting_options
@json_option
def delta(
    releases: tuple[Path, ...],
    file: Path | None,
    key_file: Path | None,
    whole: tuple[str, ...],
    installed: bool,
    simulates: bool,
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Make the delta from the release OLD to the release NEW: a signed file for `cosmos apply`.

    It has a patch for each star that changed, or the whole star where that is smaller. Nothing that the old image has,
    or that the new image gives, is in it. With --simulate, several OLD releases are compared. Neither way verifies a
    signature of OLD or NEW: `cosmos verify` does.
    """
    if len(releases) < 2:
        raise click.UsageError("name two releases: OLD and NEW")
    *olds, new = releases
    reporter = surroundings().reporter(quiet=as_json)
    if simulates:
        if file is not None or key_file is not None:
            raise click.UsageError("--simulate writes nothing: leave -o and --key out")
        if whole or installed:
            raise click.UsageError("--simulate is of a plain delta: leave --whole and --installed out")
        _say_simulated([simulate(Side(old), Side(new), reporter) for old in olds], as_json)
        return
    if len(olds) > 1:
        raise click.UsageError("a delta has one OLD: make one for each, or compare them with --simulate")
    if file is None:
        raise click.UsageError("name the file to write: -o FILE")
    if inside := [one for one in releases if (one / RELEASE_FILE).exists() and real(file).is_relative_to(real(one))]:
        raise Malformed(str(file), f"lies in the release {inside[0]}, which a file more would spoil", hint="-o OTHER")
    demand_own_or_nothing(file, DELTA_MAGIC, "delta")
    if key_file is None:
        raise click.UsageError("a delta is signed like a release: --key RELEASE.key")
    (key,) = load_secret_keys((key_file,), passphrase_fd)
    wanted = Wanted(whole=frozenset(whole), installed=installed)
    made = make_delta(Side(olds[0]), Side(new), key, file, wanted, reporter)
    if as_json:
        emit(_row(made))
    else:
        _say(made, key_file)


def _row(made: MadeDelta) -> dict[str, Json]:
    layers: list[Json] = [
        {"name": layer.name, "bytes": layer.data_bytes, "as": "frame" if layer.reference is None else "patch"}
        for layer in made.head.new_layers
    ]
    return {
        "file": str(made.file),
        "bytes": made.size_bytes,
        "image-bytes": made.image_bytes,
        "layers": layers,
        "documents-bytes": made.head.documents.data_bytes,
    }


def _say(made: MadeDelta, key_file: Path) -> None:
    for layer in made.head.new_layers:
        say(f"  {layer.data_bytes:>11,}  {layer.name}{' (whole)' if layer.reference is None else ''}")
    say(f"  {made.head.documents.data_bytes:>11,}  documents")
    say(f"{made.file}: {made.size_bytes:,} bytes, {_share(made.size_bytes, made.image_bytes)} of the image")
    base = "--from OLD" if made.head.installed is None else "--from-root ROOT"
    say(
        f"next, there: cosmos apply {quoted(made.file)} {base} -o NEW --key {quoted(key_file.with_suffix('.pub').name)}"
    )


def _say_simulated(rows: list[Simulated], as_json: bool) -> None:
    if as_json:
        emit({"image-bytes": rows[0].whole_bytes, "updates": [_simulated_row(row) for row in rows]})
        return
    say(f"{'layers':>6} {'frames':>15} {'':>9} {'patches':>15} {'':>9} {'whole image':>15}  from")
    for row in rows:
        frames, patches = (
            f"{size:>15,} {_share(size, row.whole_bytes):>9}" for size in (row.frames_bytes, row.patches_bytes)
        )
        say(f"{row.changed:>6} {frames} {patches} {row.whole_bytes:>15,}  {row.old}")


def _simulated_row(row: Simulated) -> dict[str, Json]:
    return {
        "old": str(row.old),
        "changed": row.changed,
        "frames-bytes": row.frames_bytes,
        "patches-bytes": row.patches_bytes,
        "frames-share": _share(row.frames_bytes, row.whole_bytes),
        "patches-share": _share(row.patches_bytes, row.whole_bytes),
    }


def _share(size: int, whole: int) -> str:
    return f"{100 * size / whole:.2f} %"
