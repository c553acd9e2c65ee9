"""`stellar trust rotate`, `revoke` and `sign`: the versions of trust.toml that follow the first."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.stellar_options import json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.cli.trust_words import author_key, role_thresholds, shown_public_key
from cosmos.errors import Malformed
from cosmos.keyring.anchors import document_and_envelope
from cosmos.model.names import GalaxyName, ImageName, StarName
from cosmos.stellar.trust_next import (
    Changes,
    Progress,
    before,
    floor_of,
    found_key,
    next_roots,
    progress,
    sign_next,
    write_next,
)
from cosmos.trust.chain import step_file
from cosmos.trust.floors import Floors, Recovered
from cosmos.trust.keys import PublicKey, key_id
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import Role, role
from cosmos.trust.roots import TrustRoots

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_OUT = click.Path(path_type=Path, dir_okay=False)
_out_option = click.option("--out", type=_OUT, help="Where the new version goes [default: N.toml beside OLD].")
_sign_option = click.option("--sign", "signers", type=_FILE, multiple=True, help="Secret root key to sign it with.")
_KINDS = {"galaxy": "galaxies", "star": "stars", "release": "releases"}


@click.command("rotate")
@click.argument("old", type=_FILE)
@click.option("--add", "added", multiple=True, metavar="ROLE=K.pub", help="A key for root, galaxy, release, …")
@click.option("--author", "authors", multiple=True, metavar="K.pub[:GALAXIES[:STARS]]", help="A key that signs stars.")
@click.option("--remove", "removed", multiple=True, metavar="NAME|ID", help="Pin this key no longer.")
@click.option("--threshold", "thresholds", multiple=True, metavar="ROLE=N", help="How many keys must sign.")
@click.option("--floor", "floors", multiple=True, metavar="KIND:NAME=N", help="galaxy:core=7, star:zlib=1.3.1 …")
@click.option("--recover", "recovered", multiple=True, metavar="KIND:NAME", help="Let numbers begin anew: galaxy:core.")
@click.option("--revoke", "revoked", multiple=True, metavar="NAME|ID", help="Refuse all that this key ever signed.")
@click.option("--retire", "retired", multiple=True, metavar="NAME|ID=SEQ", help="Refuse what it signed after SEQ.")
@click.option("--reason", default="", help="Why keys are revoked or retired.")
@click.option("--description", help="What the document is for [default: as before].")
@_out_option
@_sign_option
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

    A threshold of the root keys of OLD and of the new version must sign it; each holder adds his signature with
    `stellar trust sign`.
    """
    roots = _roots(old)
    rows = [_revocation(roots, text, 0, reason) for text in revoked] + [
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
    _write(old, roots, changes, out, signers, passphrase_fd, as_json)


@click.command("revoke")
@click.argument("old", type=_FILE)
@click.argument("keys", nargs=-1, required=True, metavar="NAME|ID|K.pub...")
@click.option(
    "--effective-seq",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="What the keys signed up to this seq stays good: for keys that were put away, never for lost ones.",
)
@click.option("--reason", default="", help="Why, for the people who read it.")
@_out_option
@_sign_option
@passphrase_fd_option
@json_option
def revoke(
    old: Path,
    keys: tuple[str, ...],
    effective_seq: int,
    reason: str,
    out: Path | None,
    signers: tuple[Path, ...],
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Write the version of trust.toml that follows OLD and revokes keys. It cannot be taken back."""
    roots = _roots(old)
    rows = tuple(_revocation(roots, text, effective_seq, reason) for text in keys)
    _write(old, roots, Changes(revoked=rows), out, signers, passphrase_fd, as_json)


@click.command("sign")
@click.argument("file", type=_FILE)
@click.option("--key", "signers", type=_FILE, multiple=True, help="Secret root key; without one, only count.")
@click.option("--previous", type=_FILE, help="The version before [default: N-1.toml beside FILE].")
@passphrase_fd_option
@json_option
def sign(
    file: Path, signers: tuple[Path, ...], previous: Path | None, passphrase_fd: int | None, as_json: bool
) -> None:
    """Add signatures to a trust.toml, and say how many are still missing.

    FILE and FILE.dsse go from one holder of a root key to the next; nobody's key leaves his machine.
    """
    roots = _roots(file)
    if previous is None and roots.version > 1 and before(file, roots.version).is_file():
        previous = before(file, roots.version)
    old = None if previous is None else _roots(previous)
    secrets = load_secret_keys(signers, passphrase_fd)
    _answer(sign_next(file, old, secrets) if secrets else progress(file, old), as_json)


COMMANDS: tuple[click.Command, ...] = (rotate, revoke, sign)


def _write(
    old: Path,
    roots: TrustRoots,
    changes: Changes,
    out: Path | None,
    signers: tuple[Path, ...],
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    new = next_roots(roots, changes)
    secrets = load_secret_keys(signers, passphrase_fd)
    _answer(write_next(roots, new, out or old.with_name(step_file(new.version)), secrets), as_json)


def _answer(done: Progress, as_json: bool) -> None:
    counts = {"own": done.own} if done.old is None else {"previous": done.old, "own": done.own}
    if as_json:
        signatures: dict[str, Json] = {who: {"got": got, "want": want} for who, (got, want) in counts.items()}
        emit(
            {
                "file": str(done.path),
                "digest": str(done.digest),
                "version": done.roots.version,
                "signatures": signatures,
                "complete": done.is_complete,
            }
        )
        return
    say(f"{done.path}: version {done.roots.version}, {done.digest}")
    words = {"previous": "the version before", "own": "its own root keys"}
    for who, (got, want) in counts.items():
        say(f"  signed by {got} of {want}: {words[who]}")
    if done.old is None and done.roots.version > 1:
        surroundings().terminal.note("name the version before with --previous, to see whether its keys have signed")
    if not done.is_complete:
        surroundings().terminal.note(f"next: stellar trust sign {done.path} --key KEY, on another holder's machine")


def _roots(file: Path) -> TrustRoots:
    return TrustRoots.parse(document_and_envelope(file)[0], str(file))


def _added(text: str) -> tuple[Role, PublicKey]:
    name, _, path = text.partition("=")
    try:
        wanted = role(name)
    except ValueError as error:
        raise Malformed(f"--add {text}", str(error)) from error
    if wanted == "author":
        raise Malformed(f"--add {text}", "an author's key has a scope", hint="--author K.pub:GALAXIES:STARS")
    return wanted, shown_public_key(Path(path))


def _revocation(roots: TrustRoots, text: str, seq: int, reason: str) -> Revoked:
    if text.endswith(".pub"):
        return Revoked(key=shown_public_key(Path(text)).id, reason=reason, effective_seq=seq)
    try:
        return Revoked(key=key_id(text), reason=reason, effective_seq=seq)
    except ValueError:
        return Revoked(key=found_key(roots, text).id, reason=reason, effective_seq=seq)


def _retirement(roots: TrustRoots, text: str, reason: str) -> Revoked:
    name, _, number = text.rpartition("=")
    if not (number.isascii() and number.isdecimal() and 0 < int(number[:20]) < 1 << 63):
        raise Malformed(f"--retire {text}", "want a key and the last good seq: carol=12")
    return _revocation(roots, name, int(number), reason)


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
                raise ValueError(f"want one of {', '.join(_KINDS)}, got {kind[:80]!r}")
        except ValueError as error:
            raise Malformed(f"--floor {text}", str(error), hint="--floor galaxy:core=7") from error
    return Floors(galaxies=galaxies, stars=stars, releases=releases)


def _recovered(texts: tuple[str, ...]) -> Recovered:
    names: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for text in texts:
        kind, _, name = text.partition(":")
        if kind not in names:
            raise Malformed(f"--recover {text}", f"want one of {', '.join(_KINDS)}, and a name: galaxy:core")
        names[kind].append(name)
    try:
        return Recovered(
            galaxies=dict.fromkeys(map(GalaxyName.parse, names["galaxy"]), 0),
            stars=dict.fromkeys(map(StarName.parse, names["star"]), 0),
            releases=dict.fromkeys(map(ImageName.parse, names["release"]), 0),
        )
    except ValueError as error:
        raise Malformed("--recover", str(error)) from error
