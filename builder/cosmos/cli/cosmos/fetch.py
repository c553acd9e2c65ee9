"""`cosmos fetch`: get a release from a plain HTTP server, without what is here already."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.options import accept_revoked_option, home_option
from cosmos.cli.cosmos.release_keys import Judged, judge_root_option, signers_and_judge
from cosmos.cli.cosmos.release_words import answer_made
from cosmos.cli.network import network
from cosmos.cli.options import FOLDER, PUBLIC_KEY, RELEASE, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed
from cosmos.release.delta.fetching import fetch_release
from cosmos.transport.opening import is_network


@click.command()
@click.argument("url")
@click.option("--have", multiple=True, type=RELEASE, metavar="OLD", help="A release that is here already.")
@click.option("-o", "--out", type=FOLDER, required=True, metavar="NEW", help="Where the release goes.")
@click.option("--key", "key_files", type=PUBLIC_KEY, multiple=True, help="A public key of the release's signer.")
@judge_root_option
@accept_revoked_option
@home_option
@reporting_options
@json_option
def fetch(
    url: str,
    have: tuple[Path, ...],
    out: Path,
    key_files: tuple[Path, ...],
    judge_root: Path | None,
    accept_revoked: tuple[str, ...],
    home: Path | None,
    as_json: bool,
) -> None:
    """Get the release in the folder at URL, and of its image only the stars that OLD does not have.

    Any server that knows range requests will do; from others the image is downloaded whole. A cut-off run is continued
    by the same command. The release must be signed by a pinned key, as for `cosmos verify`.
    """
    if not is_network(url):
        raise Malformed(url, "want http:// or https://", hint="copy a folder, then: cosmos verify FOLDER")
    by = Judged(key_files=key_files, home=home, root=judge_root, accept_revoked=accept_revoked)
    with signers_and_judge(by, out, quiet=as_json) as (signers, judge):
        fetched = fetch_release(url, have, out, signers, judge, network(), surroundings().reporter(quiet=as_json))
    answer_made(fetched.made, out, as_json, {"image-bytes": fetched.image_bytes, "other-bytes": fetched.other_bytes})
