"""`stellar attest`: sign that a star passed or failed a test or a scan."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, SECRET_KEY, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.stellar.attest import attest_star


@click.command()
@click.argument("statement", type=EXISTING_FILE, metavar="STAR")
@click.option("--kind", type=click.Choice(["test", "scan"]), required=True, help="What was done with the star.")
@click.option("--result", type=click.Choice(["passed", "failed"]), required=True, help="The result.")
@click.option("--key", "key", type=SECRET_KEY, required=True, help="The attester's secret key.")
@passphrase_fd_option
@reporting_options
@json_option
def attest(statement: Path, kind: str, result: str, key: Path, passphrase_fd: int | None, as_json: bool) -> None:
    """Sign that a star in a galaxy passed or failed. STAR is its statement, stars/NAME-VERSION-ARCH.toml.

    The badge is added to stars/NAME-VERSION-ARCH.intoto.jsonl. It counts if your key is pinned as an attester.
    It never replaces the author's signature.
    """
    (secret,) = load_secret_keys((key,), passphrase_fd)
    done = attest_star(
        statement,
        "test" if kind == "test" else "scan",
        "PASSED" if result == "passed" else "FAILED",
        secret,
        surroundings().reporter(quiet=as_json),
    )
    if as_json:
        emit({"star": done.claim.name, "archive": str(done.claim.digest), "kind": kind, "badges": str(done.file)})
        return
    say(f"{done.file}: {done.claim.name}: {kind} {result}, says {secret.public.name}")
