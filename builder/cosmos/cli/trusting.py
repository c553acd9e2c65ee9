"""`cosmos key …`, `cosmos trust …` and `stellar trust new`: keys, and whom this machine believes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from cosmos.canon import Json
from cosmos.cli.device_here import root_here
from cosmos.cli.key_options import public_keys_option, scoped_keys_option
from cosmos.cli.passphrase import load_secret_keys, new_passphrase, passphrase_fd_option
from cosmos.cli.releasing import sign_request
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.cli.trust_updating import places, trust_update
from cosmos.cli.trust_words import author_key, role_thresholds, shown_public_key
from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.keyring.anchors import Anchor, accept_trust, accepted_versions, document_and_envelope, load_trust
from cosmos.keyring.key_file import stated_head
from cosmos.keyring.secret_key import read_private
from cosmos.keyring.state import NO_MEMORY
from cosmos.model.names import KeyName
from cosmos.stellar.keys import new_key_pair
from cosmos.stellar.trust_new import RoleWish, first_roots, write_trust
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import ROLES, Role, role
from cosmos.trust.roots import TrustRoots

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group()
def key() -> None:
    """Make keys and look at them."""


@key.command("new")
@click.argument("name")
@click.option("--role", "role_name", type=click.Choice(ROLES), required=True, help="What the key shall sign.")
@click.option("--out", type=_FOLDER, help="Folder for NAME.key and NAME.pub [default: keys/ of the home].")
@click.option("--home", type=_FOLDER, envvar="COSMOS_HOME", help="The builder's home.")
@click.option("--no-passphrase", is_flag=True, help="Leave the secret key unsealed; its file says so.")
@passphrase_fd_option
@_json_option
def key_new(
    name: str,
    role_name: str,
    out: Path | None,
    home: Path | None,
    no_passphrase: bool,
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Make a key pair: NAME.key, sealed under a passphrase, and NAME.pub, which others pin."""
    if no_passphrase and passphrase_fd is not None:
        raise click.UsageError("--no-passphrase and --passphrase-fd exclude each other")
    key_name = _key_name(name)
    passphrase = None if no_passphrase else new_passphrase(passphrase_fd)
    pair = new_key_pair(key_name, role(role_name), out or surroundings().home(home) / "keys", passphrase)
    if as_json:
        emit(
            {**_key_row(pair.public), "role": pair.role, "secret": str(pair.secret_path), "file": str(pair.public_path)}
        )
        return
    say(f"{pair.role} key {pair.public.name}")
    say(f"  id      {pair.public.id}")
    say(f"  public  {pair.public_path}   give this to whoever pins it")
    say(f"  secret  {pair.secret_path}   keep this; {'NOT SEALED' if no_passphrase else 'sealed'}")


@key.command("show")
@click.argument("file", type=_FILE)
@_json_option
def key_show(file: Path, as_json: bool) -> None:
    """Show a public key, or what a secret key's file states; no passphrase is asked."""
    public, about = _shown_key(file)
    if as_json:
        emit({**_key_row(public), **about})
        return
    say(public.line)
    say(f"  id          {public.id}")
    for what, value in about.items():
        say(f"  {what:<11} {value}")


@click.group()
def trust() -> None:
    """Say whose signatures this machine believes."""


@trust.command("init")
@click.argument("file", type=_FILE)
@click.option(
    "--sha256", "wanted", metavar="HEX", help="The file's SHA-256, from its maker, by another way than the file."
)
@click.option("--home", type=_FOLDER, envvar="COSMOS_HOME", help="Accept it for this builder's home.")
@click.option("--root", type=_FOLDER, callback=root_here, help="Accept it for the system at this root.")
@_json_option
def trust_init(file: Path, wanted: str | None, home: Path | None, root: Path | None, as_json: bool) -> None:
    """Accept FILE as the first trust anchors, if its SHA-256 is the one that you were given."""
    if wanted is None:
        _show_how_to_compare(file)
    path, state = places(home, root)
    anchor = accept_trust(file, _digest(wanted), path)
    state.change(lambda memory: replace(memory, trust=(anchor.roots.version, anchor.digest)))
    if as_json:
        emit({**_anchor_row(anchor), "new": anchor.is_new})
        return
    say(f"{'accepted' if anchor.is_new else 'accepted before'}: {anchor.path}, version {anchor.roots.version}")
    _say_keys(anchor.roots)


@trust.command("show")
@click.option("--home", type=_FOLDER, envvar="COSMOS_HOME", help="The builder's home.")
@click.option("--root", type=_FOLDER, callback=root_here, help="The system at this root.")
@_json_option
def trust_show(home: Path | None, root: Path | None, as_json: bool) -> None:
    """Show the accepted trust anchors: which keys may sign what."""
    path, state = places(home, root)
    memory = state.read()
    anchor = load_trust(path, memory)
    versions = accepted_versions(path)
    if as_json:
        emit(
            {
                **_anchor_row(anchor),
                **_roots_row(anchor.roots),
                "kept-versions": list(versions),
                "rollback-judged": memory is not None,
            }
        )
        return
    signed = "signed by its root keys" if anchor.is_signed else "not signed by its root keys"
    say(f"{anchor.path}, version {anchor.roots.version}, {signed}")
    say(f"  {anchor.digest}")
    _say_keys(anchor.roots)
    for row in anchor.roots.revoked:
        say(f"  {anchor.roots.name_of(row.key)} {row}")
    say(f"  kept: version {', '.join(map(str, versions)) or 'none'}")
    if memory is None:
        surroundings().terminal.note(f"{state.path}: {NO_MEMORY}")


@click.command("new")
@public_keys_option("root", "roots", required=True, text="Public key that signs trust.toml.")
@public_keys_option("galaxy", "galaxies", text="Public key that signs galaxies' indexes.")
@scoped_keys_option("author", "authors", metavar="K.pub[:GALAXIES[:STARS]]", text="Key that signs stars; globs.")
@public_keys_option("release", "releases", text="Public key that signs releases and locks.")
@click.option(
    "--threshold", "thresholds", multiple=True, metavar="ROLE=N", help="How many keys must sign [default: 1]."
)
@click.option("--description", default="", help="What the document is for.")
@click.option("--out", type=_FILE, default=Path("trust.toml"), show_default=True)
@click.option("--sign", "signers", type=_FILE, multiple=True, help="Secret root key to sign the document with.")
@passphrase_fd_option
@_json_option
def trust_new(
    roots: tuple[Path, ...],
    galaxies: tuple[Path, ...],
    authors: tuple[str, ...],
    releases: tuple[Path, ...],
    thresholds: tuple[str, ...],
    description: str,
    out: Path,
    signers: tuple[Path, ...],
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Write a first trust.toml from public keys.

    Each option may be given more than once. GALAXIES and STARS are globs, several parted by commas; left out, they
    are `*`.
    """
    needed = role_thresholds(thresholds)
    files: dict[Role, tuple[Path, ...]] = {"root": roots, "galaxy": galaxies, "release": releases}
    wishes = [
        RoleWish(role=name, keys=tuple(shown_public_key(path) for path in paths), threshold=needed.get(name, 1))
        for name, paths in files.items()
    ]
    wanted = first_roots(wishes, [author_key(text) for text in authors], needed.get("author", 1), description)
    written = write_trust(wanted, out, load_secret_keys(signers, passphrase_fd))
    if as_json:
        emit({"file": str(written.path), "digest": str(written.digest), "signed": written.is_signed})
        return
    say(f"{written.path}: version {written.roots.version}, {'signed' if written.is_signed else 'not signed'}")
    _say_keys(written.roots)
    surroundings().terminal.note(f"accept it with: cosmos trust init {written.path} --sha256 {written.digest.hex}")


trust.add_command(trust_update)
key.add_command(sign_request)
COMMANDS: tuple[click.Command, ...] = (key, trust)


def _key_name(text: str) -> KeyName:
    try:
        return KeyName.parse(text)
    except ValueError as error:
        raise Malformed("the key's name", str(error)) from error


def _shown_key(file: Path) -> tuple[PublicKey, dict[str, str]]:
    if file.suffix != ".key":
        return shown_public_key(file), {}
    head, protection = stated_head(read_private(file), str(file))
    return head.public, {"role": head.role, "protection": protection}


def _digest(text: str) -> Digest:
    try:
        return Digest.from_hex(text.lower().removeprefix("sha256:"))
    except ValueError as error:
        raise Malformed("--sha256", str(error)) from error


def _show_how_to_compare(file: Path) -> NoReturn:
    digest = Digest.of(document_and_envelope(file)[0])
    say(f"{digest.hex}  {file}")
    raise Malformed(
        str(file),
        "its SHA-256 was not given, and nothing is trusted because it came first",
        hint="compare the digest above with the one that the file's maker tells you by another way (a call, paper, "
        "a signed letter); if they are the same: "
        f"cosmos trust init {file} --sha256 HEX",
    )


def _say_keys(roots: TrustRoots) -> None:
    for name in ROLES:
        keys = [public for held, public in roots.all_keys() if held == name]
        if keys:
            say(f"  {name}: {roots.threshold(role(name))} of {len(keys)}")
        for public in keys:
            say(f"    {public.name:<20} {public.id}{_remarks(roots, public)}")
    for galaxy, seq in roots.floors.galaxies.items():
        say(f"  floor: galaxy {galaxy} from seq {seq}")
    for star, version in roots.floors.stars.items():
        say(f"  floor: star {star} from {version}")
    for image, counter in roots.floors.releases.items():
        say(f"  floor: release {image} from counter {counter}")


def _remarks(roots: TrustRoots, public: PublicKey) -> str:
    scopes = [
        f"   stars {', '.join(author.stars)} in {', '.join(author.galaxies)}"
        for author in roots.authors
        if author.key == public
    ]
    return "".join(scopes) + ("   REVOKED" if roots.is_revoked(public) else "")


def _key_row(public: PublicKey) -> dict[str, Json]:
    return {"name": str(public.name), "id": public.id, "public": public.line}


def _anchor_row(anchor: Anchor) -> dict[str, Json]:
    return {
        "file": str(anchor.path),
        "digest": str(anchor.digest),
        "version": anchor.roots.version,
        "signed": anchor.is_signed,
    }


def _roots_row(roots: TrustRoots) -> dict[str, Json]:
    scopes = {author.key.id: author for author in roots.authors}
    keys: list[Json] = []
    for name, public in roots.all_keys():
        row: dict[str, Json] = {**_key_row(public), "role": name, "revoked": roots.is_revoked(public)}
        if public.id in scopes:
            row["galaxies"], row["stars"] = [*scopes[public.id].galaxies], [*scopes[public.id].stars]
        keys.append(row)
    return {
        "description": roots.description,
        "keys": keys,
        "thresholds": {name: roots.threshold(name) for name in sorted({held for held, _ in roots.all_keys()})},
        "floor": {
            "galaxies": {str(name): seq for name, seq in roots.floors.galaxies.items()},
            "stars": {str(name): version for name, version in roots.floors.stars.items()},
            "releases": {str(name): counter for name, counter in roots.floors.releases.items()},
        },
        "revoked": [{"id": row.key, "reason": row.reason, "effective-seq": row.effective_seq} for row in roots.revoked],
    }
