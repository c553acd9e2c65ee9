"""Signing a release on another machine than the one that builds it; and the words of the verdicts on a release."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.keyring.anchors import home_anchor, load_trust
from cosmos.limits import MAX_SIGNED_BYTES
from cosmos.model.release import Release
from cosmos.reading import read_bounded
from cosmos.release.attach import attach_signature
from cosmos.release.verdicts import TrustVerdicts
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.signing_request import SIGNATURE_FILE, OfferedSignature, SigningRequest

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_OUT = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)

accept_revoked_option = click.option(
    "--accept-revoked",
    multiple=True,
    metavar="STAR",
    help="Take this star although its key is trusted no longer (or galaxy:NAME); the release says so.",
)


@click.command("sign-request")
@click.argument("file", type=_FILE)
@click.option("--key", "key_file", type=_FILE, required=True, help="Secret key of the role release.")
@click.option("--out", type=_OUT, help=f"Where the signature goes [default: {SIGNATURE_FILE} beside FILE].")
@passphrase_fd_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def sign_request(file: Path, key_file: Path, out: Path | None, passphrase_fd: int | None, as_json: bool) -> None:
    """Sign the release that FILE asks for, on the machine that has the key; say what it is first."""
    request = SigningRequest.parse(read_bounded(file, MAX_SIGNED_BYTES), str(file))
    release = Release.parse(request.payload, str(file))
    digest = Digest.of(request.payload)
    if not as_json:
        say(f"{release.external.get('image')} {release.external.get('version')} {release.external.get('arch')}")
        say(f"  release       {digest}")
        say(f"  content root  {release.internal.get('contentRoot')}")
        say(f"  {len(release.subjects)} files, made from {len(release.resolved)} stars and galaxies")
        for name in _accepted(release):
            surroundings().terminal.warn(f"{name}: was not trusted when this was built, and was accepted by name")
    (key,) = load_secret_keys((key_file,), passphrase_fd)
    made = key.signature(IN_TOTO_TYPE, request.payload)
    written = out or file.with_name(SIGNATURE_FILE)
    write_durably(written, OfferedSignature(digest=digest, key=key.public, raw=made.raw).to_bytes())
    if as_json:
        emit({"file": str(written), "release": str(digest), "key": key.public.id})
        return
    say(f"{written}")
    surroundings().terminal.note(f"bring it back: cosmos attach-signature OUT {written.name}")


@click.command("attach-signature")
@click.argument("out", type=_FOLDER)
@click.argument("signature", type=_FILE)
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), envvar="COSMOS_HOME")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def attach(out: Path, signature: Path, home: Path | None, as_json: bool) -> None:
    """Put a SIGNATURE that was made on another machine into the release in OUT, as if it had been signed here."""
    done = attach_signature(out, signature)
    around = surroundings()
    anchor = home_anchor(around.home(home, near=out))
    if anchor.exists() and done.key.raw not in {key.raw for key in load_trust(anchor).roots.keys("release")}:
        around.terminal.warn(f"{done.key.name}: is no release key that is pinned here")
    if as_json:
        emit({"folder": str(done.folder), "key": done.key.id, "signatures": done.signatures})
        return
    say(f"{done.folder}: signed by {done.key.name}")


def trust_row(verdicts: TrustVerdicts | None) -> dict[str, Json]:
    """Return the two verdicts for `--json`; nothing where no trust anchors had their say."""
    if verdicts is None:
        return {}
    return {
        "valid-when-locked": None if verdicts.when_locked is None else not verdicts.when_locked,
        "trusted-now": not verdicts.now,
        "not-trusted": [str(problem) for problem in verdicts.now],
        "accepted": dict(verdicts.accepted),
    }


def trust_text(verdicts: TrustVerdicts | None) -> str:
    """Return the two verdicts as lines that follow others."""
    if verdicts is None:
        return ""
    if verdicts.when_locked is not None:
        when = f"yes, by trust.toml version {verdicts.lock_version}"
    elif verdicts.lock_version == 0:
        when = "cannot be judged: the lock states no trust.toml"
    else:
        when = f"cannot be judged: trust.toml version {verdicts.lock_version} was never accepted here"
    now = "; ".join(map(str, verdicts.now))
    lines = [
        f"was valid when locked  {when}",
        f"is trusted now         {f'no, but accepted: {now}' if now else f'yes, by version {verdicts.version}'}",
    ]
    lines += [f"its maker accepted     {why}" for why in verdicts.accepted.values()]
    return "".join(f"\n{line}" for line in lines)


def _accepted(release: Release) -> list[str]:
    names = release.external.get("acceptedRevoked", {})
    return [str(name) for name in names] if isinstance(names, dict) else []
