"""`stellar new-star`, `build-star`, `validate` and `import-deb`."""

from __future__ import annotations

import platform
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.stellar_galaxies import keys_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed
from cosmos.model.names import Arch
from cosmos.model.reporter import Reporter
from cosmos.stellar.build_star import DEFAULT_LEVEL, Workshop, build_star
from cosmos.stellar.galaxy_folder import GalaxyFolder, add_star
from cosmos.stellar.programs import HostPrograms
from cosmos.transport.apt import Apt

_FOLDER = click.Path(file_okay=False, path_type=Path)
_json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_home_option = click.option("--home", type=_FOLDER, envvar="COSMOS_HOME", help="Where fetched packages are kept.")
_offline_option = click.option("--offline", is_flag=True, help="Use what was fetched before; make no connection.")
_arch_option = click.option(
    "--arch", metavar="ARCH", default=platform.machine(), show_default=True, help="Fetch packages for this machine."
)
_level_option = click.option(
    "--level", type=click.IntRange(1, 19), default=DEFAULT_LEVEL, show_default=True, help="zstd level of archives."
)


@click.command("build-star")
@click.argument("folder", type=_FOLDER)
@click.option("--galaxy", type=_FOLDER, help="Put it into this galaxy: archive, statement and signatures.")
@click.option("--out", type=_FOLDER, help="Without a galaxy: write the archive here [default: .].")
@keys_option
@passphrase_fd_option
@_arch_option
@_level_option
@click.option(
    "--source-date-epoch", "epoch", type=click.IntRange(min=0), help="Time of files that have none of their own."
)
@_offline_option
@_home_option
@_json_option
def build(
    folder: Path,
    galaxy: Path | None,
    out: Path | None,
    keys: tuple[Path, ...],
    passphrase_fd: int | None,
    arch: str,
    level: int,
    epoch: int | None,
    offline: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Build the archive of the star whose source is FOLDER: the same input gives the same bytes.

    Packages that its star.toml names (source = "deb:NAME") are fetched through apt, which verifies them; no root is
    needed. Its script's build() may start programs: build only sources that you would run.
    """
    if galaxy is None and keys:
        raise Malformed("--key", "signs the star's statement, which belongs to a galaxy", hint="add --galaxy FOLDER")
    secrets = load_secret_keys(keys, passphrase_fd)
    reporter = surroundings().reporter(quiet=as_json)
    built = build_star(folder, _workshop(folder, home, arch, level, epoch, offline, reporter))
    row: dict[str, Json] = {
        "name": str(built.manifest.name),
        "version": str(built.manifest.version),
        "digest": str(built.digest),
        "size-bytes": len(built.packed.data),
        "files": sum(entry.kind != "dir" for entry in built.entries),
        "maintainer-scripts": list(built.unrun),
    }
    if galaxy is None:
        row["archive"] = str(built.write(out or Path()))
    else:
        added = add_star(GalaxyFolder(root=galaxy), built, secrets)
        row |= {"archive": str(added.archive), "statement": str(added.statement_file)}
        if added.replaced:
            reporter.warn(
                f"{built.manifest.id}: replaces an archive of the same version, {added.replaced}: locks of it fail"
            )
    if as_json:
        emit(row)
        return
    if built.unrun:
        reporter.note(f"{built.manifest.name}: maintainer scripts that are not run: {', '.join(built.unrun)}")
    say(f"{row['archive']} {row['digest']}")


COMMANDS: tuple[click.Command, ...] = (build,)


def _workshop(
    near: Path, home: Path | None, arch: str, level: int, epoch: int | None, offline: bool, reporter: Reporter
) -> Workshop:
    around = surroundings()
    state = around.home(home, near=near) / "apt"
    try:
        machine = Arch.parse(arch)
    except ValueError as error:
        raise Malformed("--arch", str(error)) from error

    def open_apt(wanted: Arch) -> Apt:
        return Apt.at(state, wanted, environ=around.environ, now=around.now(), offline=offline, reporter=reporter)

    def programs(time: int) -> HostPrograms:
        return HostPrograms(path=around.environ.get("PATH", ""), epoch=time, reporter=reporter)

    return Workshop(open_apt=open_apt, machine=machine, programs=programs, level=level, epoch=epoch, reporter=reporter)
