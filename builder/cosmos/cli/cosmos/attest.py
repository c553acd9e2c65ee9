"""`cosmos attest`: sign that you have built a release again."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.options import badges_option
from cosmos.cli.options import RELEASE, SECRET_KEY, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.release.attest import attest_rebuild


@click.command()
@click.argument("out", type=RELEASE)
@click.option("--key", "key", type=SECRET_KEY, required=True)
@badges_option
@passphrase_fd_option
@reporting_options
@json_option
def attest(out: Path, key: Path, badges_file: Path | None, passphrase_fd: int | None, as_json: bool) -> None:
    """Sign that you built the release in OUT yourself: this content root, from this lock.

    Build it from the same lock on your own machine first. The badge goes beside the folder, for verify --quorum.
    """
    (secret,) = load_secret_keys((key,), passphrase_fd)
    rebuilt, file = attest_rebuild(out, secret, badges_file, reporter=surroundings().reporter(quiet=as_json))
    if as_json:
        emit({"content-root": str(rebuilt.content_root), "lock": str(rebuilt.lock), "badges": str(file)})
        return
    say(f"{file}: {secret.public.name} rebuilt {rebuilt.content_root} from the lock {rebuilt.lock}")
