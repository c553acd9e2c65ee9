"""The options and answers that `rotate`, `revoke` and `sign` share: they write the next version of trust.toml."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import EXISTING_FILE, FILE
from cosmos.cli.passphrase import load_secret_keys
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.cli.trust_words import shown_public_key
from cosmos.errors import quoted
from cosmos.keyring.anchors import document_and_envelope
from cosmos.stellar.trust_next import Changes, Progress, found_key, next_roots, write_next
from cosmos.trust.chain import step_file
from cosmos.trust.keys import key_id
from cosmos.trust.revocation import Revoked
from cosmos.trust.roots import TrustRoots

out_option = click.option("--out", type=FILE, help="Where the new version goes [default: N.toml beside OLD].")
sign_option = click.option(
    "--sign", "signers", type=EXISTING_FILE, multiple=True, help="Secret root key to sign it with."
)


def write_version(
    old: Path,
    roots: TrustRoots,
    changes: Changes,
    out: Path | None,
    signers: tuple[Path, ...],
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Write the version that follows `old` with these changes, sign it, and answer with the number of signatures."""
    new = next_roots(roots, changes)
    secrets = load_secret_keys(signers, passphrase_fd)
    answer_progress(write_next(roots, new, out or old.with_name(step_file(new.version)), secrets), as_json)


def answer_progress(done: Progress, as_json: bool) -> None:
    """Answer with the number of signatures that a version has, and the number that it still needs."""
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
        surroundings().terminal.note(f"next: {next_signature(done)}")


def next_signature(done: Progress) -> str:
    """Return what brings one more signature to a document that has too few."""
    return f"stellar trust sign {quoted(done.path)} --key KEY, on another holder's machine"


def read_roots(file: Path) -> TrustRoots:
    """Return the trust.toml in `file`; its signatures are not judged."""
    return TrustRoots.parse(document_and_envelope(file)[0], str(file))


def revocation(roots: TrustRoots, text: str, seq: int, reason: str) -> Revoked:
    """Return the revocation of a key by its file, its id, or its name in `roots`."""
    if text.endswith(".pub"):
        return Revoked(key=shown_public_key(Path(text)).id, reason=reason, effective_seq=seq)
    try:
        return Revoked(key=key_id(text), reason=reason, effective_seq=seq)
    except ValueError:
        return Revoked(key=found_key(roots, text).id, reason=reason, effective_seq=seq)
