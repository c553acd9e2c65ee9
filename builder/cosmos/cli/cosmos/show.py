"""`cosmos show`: show everything that is known about one star, or the whole definition of an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.completing import holds_image, known_stars
from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.look_words import badge_row
from cosmos.cli.cosmos.options import offline_option, root_option
from cosmos.cli.entry_words import entry_line, entry_row
from cosmos.cli.network import network
from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, in_one_line, say, say_document, surroundings
from cosmos.device.inside import Files, Script, files_of, script_of
from cosmos.device.root import LiveRoot, shown
from cosmos.device.show import Offered, Shown
from cosmos.device.show import show as show_star
from cosmos.device.system import NoSystem
from cosmos.errors import Malformed, quoted
from cosmos.model.names import StarName
from cosmos.model.universe import Installed
from cosmos.release.receipts import read_receipt


@click.command()
@click.argument("star", shell_complete=known_stars)
@click.option("--receipt", is_flag=True, help="Show what its script read and did in a release, as JSON.")
@click.option("--script", "what", flag_value="script", help="Print its install script, from the verified archive.")
@click.option("--files", "what", flag_value="files", help="List the paths that it has laid, or would lay.")
@click.option(
    "--effective",
    is_flag=True,
    help="Show the definition of an image, whose folder stands in place of STAR, joined with what it extends.",
)
@click.option("--release", type=FOLDER, default=".", help="With --receipt: the release, or its image's folder.")
@root_option
@offline_option
@reporting_options
@json_option
def show(
    star: str,
    receipt: bool,
    what: str | None,
    effective: bool,
    release: Path,
    root: Path,
    offline: bool,
    as_json: bool,
) -> None:
    """Show one star: the installed version, and the versions in the galaxies. Or, with --effective, an image."""
    around = surroundings()
    if effective:
        if receipt or what is not None:
            raise click.UsageError("--effective shows an image, and --receipt, --script and --files a star")
        return _answer_effective(Path(star), as_json)
    if receipt:
        return emit(read_receipt(release, parsed(StarName.parse, star, "STAR")))
    if "/" in star and holds_image(Path(star)):
        raise Malformed(star, "is an image, not a star", hint=_effective(star))
    name, reporter = parsed(StarName.parse, star, "STAR"), around.reporter(quiet=as_json and what is not None)
    with _image_in_mind(star), LiveRoot.open(root) as live:
        if what == "script":
            return _answer_script(script_of(live, name, reporter, network(), offline=offline), as_json)
        if what == "files":
            files = files_of(live, name, reporter, network(), offline=offline, epoch=int(around.now()))
            return _answer_files(files, as_json)
        found = show_star(live, name, reporter, network(), offline=offline)
    if as_json:
        return emit(_shown_row(found))
    for line in _shown_lines(found):
        say(line)
    return None


@contextmanager
def _image_in_mind(star: str) -> Iterator[None]:
    """Say in the hint how an image is shown, if there is no system and `star` is an image. Raises `NoSystem`."""
    try:
        yield
    except NoSystem as error:
        if holds_image(Path(star)):
            error.hint = _effective(star)
        raise


def _effective(image: str) -> str:
    return f"to show an image: cosmos show {quoted(image)} --effective"


def _answer_effective(image: Path, as_json: bool) -> None:
    """Show the one document that a lock and a release of the image answer to."""
    from cosmos.image.definition import read_definition

    definition = read_definition(image)
    if as_json:
        file = definition.file.name
        return emit(
            {
                "image": str(definition.image.name),
                "files": [file, *definition.bases],
                "definition": definition.data.decode(),
            }
        )
    return say_document(definition.data)


def _answer_script(found: Script, as_json: bool) -> None:
    star = f"{found.name} {found.version}"
    if as_json:
        text = None if found.script is None else found.script.decode("utf-8", "backslashreplace")
        emit({"name": str(found.name), "version": str(found.version), "galaxy": found.galaxy, "script": text})
        return
    if found.script is None:
        surroundings().terminal.note(f"{star} has no install script: its files are laid as they are")
        return
    if not found.signers:
        surroundings().terminal.warn(f"{star}: nobody signed it")
    say_document(found.script)


def _answer_files(found: Files, as_json: bool) -> None:
    if as_json:
        rows: list[Json] = [entry_row(entry, entry.size_bytes, entry.target) for entry in found.entries]
        installed = found.is_installed
        emit({"name": str(found.name), "version": str(found.version), "installed": installed, "files": rows})
        return
    for entry in found.entries:
        say(entry_line(entry, entry.size_bytes, entry.target))


def _shown_row(found: Shown) -> dict[str, Json]:
    """Return the row of everything that is known about a star."""
    return {
        "name": str(found.name),
        "installed": None if found.installed is None else _installed_row(found.installed),
        "needed-by": [str(name) for name in found.needed_by],
        "may": list(found.powers),
        "galaxies": [_offered_row(offered) for offered in found.offered],
    }


def _installed_row(star: Installed) -> dict[str, Json]:
    """Return the row of an installed star."""
    return {
        "version": str(star.version),
        "arch": str(star.arch),
        "type": star.type,
        "galaxy": star.galaxy,
        "archive": None if star.archive is None else str(star.archive),
        "dependencies": [str(name) for name in star.dependencies],
        "wanted-by": list(star.wanted_by),
        "asked-by": list(star.asked_by),
        **_recorded_facts(star),
        "files": [shown(path) for path in star.files],
    }


def _recorded_facts(star: Installed) -> dict[str, Json]:
    """Return what the system recorded of the star's statement; null for what it did not record."""
    about, published = star.about, star.published
    return {
        "size-bytes": None if about is None else about.size_bytes,
        "license": None if about is None else about.license,
        "script": None if about is None else about.script is not None,
        "url": None if published is None else published.url,
        "statement": None if published is None else str(published.statement),
        "signers": None if published is None else list(published.signers),
    }


def _offered_row(offered: Offered) -> dict[str, Json]:
    """Return the row of a star in one galaxy."""
    row: dict[str, Json] = {
        "galaxy": offered.galaxy,
        "versions": [str(version) for version in offered.versions],
        "refused": offered.refused or None,
    }
    if offered.newest is not None:
        said = offered.newest.statement
        row |= {
            "description": said.star.description,
            "license": said.star.license,
            "arch": str(said.star.arch),
            "type": said.star.type,
            "archive": str(said.archive),
            "size-bytes": said.size_bytes,
            "unpacked-bytes": said.unpacked_bytes,
            "script": said.script is not None,
            "dependencies": {str(name): limit.text for name, limit in sorted(said.star.dependencies.items())},
            "signers": [{"key": key, "name": name} for key, name in offered.signers.items()],
            "badges": [badge_row(badge) for badge in offered.badges],
        }
    return row


def _shown_lines(found: Shown) -> Iterator[str]:
    """Yield the lines about a star."""
    star = found.installed
    yield str(found.name)
    if star is None:
        yield "installed     no"
    else:
        yield f"installed     {star.version} ({star.arch}, {star.type}) from {star.galaxy or 'nobody knows where'}"
        yield f"archive       {star.archive or 'unknown'}"
        yield f"wanted by     {', '.join(star.wanted_by) or 'nobody knows'}"
        yield f"depends on    {', '.join(star.dependencies) or 'nothing'}"
        yield f"needed by     {', '.join(found.needed_by) or 'nothing'}"
        yield f"files         {len(star.files)}"
    if found.powers:
        yield f"may           {', '.join(found.powers)}, by the policy of this system"
    for offered in found.offered:
        yield from _offered_lines(offered)


def _offered_lines(offered: Offered) -> Iterator[str]:
    yield f"in galaxy     {offered.galaxy}: {', '.join(str(version) for version in offered.versions)}"
    if offered.newest is None:
        yield f"  refused     {in_one_line(offered.refused)}"
        return
    said = offered.newest.statement
    if said.star.description:
        yield f"  what        {in_one_line(said.star.description)}"
    if said.star.license:
        yield f"  license     {in_one_line(said.star.license)}"
    yield f"  size        {said.size_bytes:,} bytes, {said.unpacked_bytes:,} unpacked"
    needs = ", ".join(f"{name} {limit}" for name, limit in sorted(said.star.dependencies.items()))
    yield f"  depends on  {needs or 'nothing'}"
    names = ", ".join(f"{name} ({key[:20]})" for key, name in offered.signers.items())
    yield f"  signed by   {names or 'NOBODY: this galaxy may hold unsigned stars'}"
    for badge in offered.badges:
        what = f"{badge.claim.kind} {badge.claim.result}" if badge.claim is not None else "a badge"
        yield f"  badge       {badge.standing}: {what}, {badge.why or _names(badge.signers)}"


def _names(signers: tuple[str, ...]) -> str:
    """Return key ids as people compare them."""
    return "by " + ", ".join(signer[:20] for signer in signers)
