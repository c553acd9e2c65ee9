"""`stellar trust new`: the first trust.toml."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FILE, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.stellar.trust.key_options import public_keys_option, scoped_keys_option
from cosmos.cli.stellar.trust.next_version import next_signature
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.cli.trust_rows import say_keys
from cosmos.cli.trust_words import author_key, role_thresholds, shown_public_key
from cosmos.errors import quoted
from cosmos.stellar.trust_new import RoleWish, first_roots, write_trust
from cosmos.trust.roles import Role


@click.command("new")
@public_keys_option("root", "roots", required=True, text="Public key that signs trust.toml.")
@public_keys_option("galaxy", "galaxies", text="Public key that signs galaxies' indexes.")
@scoped_keys_option("author", "authors", metavar="K.pub[:GALAXIES[:STARS]]", text="Key that signs stars; globs.")
@public_keys_option("release", "releases", text="Public key that signs releases and locks.")
@click.option(
    "--threshold", "thresholds", multiple=True, metavar="ROLE=N", help="How many keys must sign [default: 1]."
)
@click.option("--description", default="", help="What the document is for.")
@click.option("--out", type=FILE, default=Path("trust.toml"), show_default=True)
@click.option("--sign", "signers", type=FILE, multiple=True, help="Secret root key to sign the document with.")
@passphrase_fd_option
@json_option
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

    Each option may be given more than once. GALAXIES and STARS are globs, separated by commas; left out, they
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
    signed, wanted_signatures = written.own
    if as_json:
        emit({"file": str(written.path), "digest": str(written.digest), "signed": signed > 0 and written.is_complete})
        return
    words = "not signed" if signed == 0 else f"signed by {signed} of {wanted_signatures}"
    say(f"{written.path}: version {written.roots.version}, {words}")
    say_keys(written.roots)
    if signed and not written.is_complete:
        surroundings().terminal.note(f"next: {next_signature(written)}")
    surroundings().terminal.note(
        f"accept it with: cosmos trust init {quoted(written.path)} --sha256 {written.digest.hex}"
    )
