"""`cosmos key sign-request`: sign a release on another machine than the one that builds it."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FILE, FILE, SECRET_KEY, json_option
from cosmos.cli.own_files import demand_own_or_nothing
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import quoted
from cosmos.limits import MAX_SIGNED_BYTES
from cosmos.model.release import Release
from cosmos.reading import read_bounded
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.signing_request import SIGNATURE_FILE, SIGNATURE_TITLE, OfferedSignature, SigningRequest


@click.command("sign-request")
@click.argument("file", type=EXISTING_FILE)
@click.option("--key", "key_file", type=SECRET_KEY, required=True, help="Secret key of the role release.")
@click.option("--out", type=FILE, help=f"Where the signature goes [default: {SIGNATURE_FILE} beside FILE].")
@passphrase_fd_option
@json_option
def sign_request(file: Path, key_file: Path, out: Path | None, passphrase_fd: int | None, as_json: bool) -> None:
    """Sign the release in the request FILE, on the machine that has the key. It shows the release first."""
    request = SigningRequest.parse(read_bounded(file, MAX_SIGNED_BYTES), str(file))
    release = Release.parse(request.payload, str(file))
    digest = Digest.of(request.payload)
    if not as_json:
        say(f"{release.external.get('image')} {release.external.get('version')} {release.external.get('arch')}")
        say(f"  release       {digest}")
        say(f"  content root  {release.internal.get('contentRoot')}")
        say(f"  {len(release.subjects)} files, made from {len(release.resolved)} inputs")
        for name in _accepted(release):
            surroundings().terminal.warn(f"{name}: was not trusted at the build, but the builder accepted it by name")
    written = out or file.with_name(SIGNATURE_FILE)
    demand_own_or_nothing(written, SIGNATURE_TITLE, "signature of a release")
    (key,) = load_secret_keys((key_file,), passphrase_fd)
    made = key.signature(IN_TOTO_TYPE, request.payload)
    write_durably(written, OfferedSignature(digest=digest, key=key.public, raw=made.raw).to_bytes())
    if as_json:
        emit({"file": str(written), "release": str(digest), "key": key.public.id})
        return
    say(f"{written}")
    surroundings().terminal.note(f"bring it back: cosmos attach-signature OUT {quoted(written.name)}")


def _accepted(release: Release) -> list[str]:
    names = release.external.get("acceptedRevoked", {})
    return [str(name) for name in names] if isinstance(names, dict) else []
