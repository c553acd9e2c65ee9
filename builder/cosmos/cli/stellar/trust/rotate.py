"""`stellar trust rotate`: the next trust.toml, with other keys, thresholds or floors."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, json_option
from cosmos.cli.passphrase import passphrase_fd_option
from cosmos.cli.stellar.trust.next_version import out_option, read_roots, revocation, sign_option, write_version
from cosmos.cli.trust_words import author_key, role_thresholds, shown_public_key
from cosmos.errors import Malformed
from cosmos.model.names import GalaxyName, ImageName, StarName
from cosmos.stellar.trust_next import Changes, floor_of, found_key
from cosmos.trust.floors import Floors, Recovered
from cosmos.trust.keys import PublicKey
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import Role, role
from cosmos.trust.roots import TrustRoots

_FLOORS = ("galaxy", "star", "release")
_RECOVERIES = (*_FLOORS, "log")


@click.command("rotate")
@click.argument("old", type=EXISTING_FILE)
@click.option("--add", "added", multiple=True, metavar="ROLE=K.pub", help="A key for root, galaxy, release, …")
@click.option("--author", "authors", multiple=True, metavar="K.pub[:GALAXIES[:STARS]]", help="A key that signs stars.")
@click.option("--remove", "removed", multiple=True, metavar="NAME|ID", help="Do not pin this key any more.")
@click.option("--threshold", "thresholds", multiple=True, metavar="ROLE=N", help="How many keys must sign.")
@click.option("--floor", "floors", multiple=True, metavar="KIND:NAME=N", help="galaxy:core=7, star:zlib=1.3.1 …")
@click.option(
    "--recover", "recovered", multiple=True, metavar="KIND:NAME", help="Let numbers start again: galaxy:core, log:core."
)
@click.option(
    "--revoke", "revoked", multiple=True, metavar="NAME|ID", help="Refuse everything that this key ever signed."
)
@click.option(
    "--retire", "retired", multiple=True, metavar="NAME|ID=SEQ", help="Refuse everything that it signed after SEQ."
)
@click.option("--reason", default="", help="Why keys are revoked or retired.")
@click.option("--description", help="What the document is for [default: as before].")
@out_option
@sign_option
@passphrase_fd_option
@json_option
def rotate(
    old: Path,
    added: tuple[str, ...],
    authors: tuple[str, ...],
    removed: tuple[str, ...],
    thresholds: tuple[str, ...],
    floors: tuple[str, ...],
    recovered: tuple[str, ...],
    revoked: tuple[str, ...],
    retired: tuple[str, ...],
    reason: str,
    description: str | None,
    out: Path | None,
    signers: tuple[Path, ...],
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Write the version of trust.toml that follows OLD: other keys, thresholds, floors.

    A threshold of the root keys of OLD, and one of the new version, must sign it. Each holder adds their signature with
    `stellar trust sign`.
    """
    roots = read_roots(old)
    rows = [revocation(roots, text, 0, reason) for text in revoked] + [
        _retirement(roots, one, reason) for one in retired
    ]
    changes = Changes(
        added=tuple(_added(text) for text in added),
        authors=tuple(author_key(text) for text in authors),
        removed=frozenset(found_key(roots, text).id for text in removed),
        revoked=tuple(rows),
        thresholds=role_thresholds(thresholds),
        floors=_floors(floors),
        recovered=_recovered(recovered),
        description=description,
    )
    write_version(old, roots, changes, out, signers, passphrase_fd, as_json)


def _added(text: str) -> tuple[Role, PublicKey]:
    name, _, path = text.partition("=")
    try:
        wanted = role(name)
    except ValueError as error:
        raise Malformed(f"--add {text}", str(error)) from error
    if wanted == "author":
        raise Malformed(f"--add {text}", "an author's key has a scope", hint="--author K.pub:GALAXIES:STARS")
    return wanted, shown_public_key(Path(path))


def _retirement(roots: TrustRoots, text: str, reason: str) -> Revoked:
    name, _, number = text.rpartition("=")
    if not (number.isascii() and number.isdecimal() and 0 < int(number[:20]) < 1 << 63):
        raise Malformed(f"--retire {text}", "want a key and the last good seq: carol=12")
    return revocation(roots, name, int(number), reason)


def _floors(texts: tuple[str, ...]) -> Floors:
    galaxies: dict[GalaxyName, int] = {}
    stars: dict[StarName, str] = {}
    releases: dict[ImageName, int] = {}
    for text in texts:
        subject, _, value = text.partition("=")
        kind, _, name = subject.partition(":")
        try:
            floor = floor_of(kind, name, value)
            if isinstance(floor, str):
                stars[StarName.parse(name)] = floor
            elif kind == "galaxy":
                galaxies[GalaxyName.parse(name)] = floor
            elif kind == "release":
                releases[ImageName.parse(name)] = floor
            else:
                raise ValueError(f"want one of {', '.join(_FLOORS)}, got {kind[:80]!r}")
        except ValueError as error:
            raise Malformed(f"--floor {text}", str(error), hint="--floor galaxy:core=7") from error
    return Floors(galaxies=galaxies, stars=stars, releases=releases)


def _recovered(texts: tuple[str, ...]) -> Recovered:
    names: dict[str, list[str]] = {kind: [] for kind in _RECOVERIES}
    for text in texts:
        kind, _, name = text.partition(":")
        if kind not in names:
            raise Malformed(f"--recover {text}", f"want one of {', '.join(_RECOVERIES)}, and a name: galaxy:core")
        names[kind].append(name)
    try:
        return Recovered(
            galaxies=dict.fromkeys(map(GalaxyName.parse, names["galaxy"]), 0),
            stars=dict.fromkeys(map(StarName.parse, names["star"]), 0),
            releases=dict.fromkeys(map(ImageName.parse, names["release"]), 0),
            logs=dict.fromkeys(map(GalaxyName.parse, names["log"]), 0),
        )
    except ValueError as error:
        raise Malformed("--recover", str(error)) from error
