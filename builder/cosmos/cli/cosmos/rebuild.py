"""`cosmos rebuild`: build a release again, cold, and name the culprit if it differs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import cosmos
from cosmos.canon import Json
from cosmos.cli.cosmos.diff_words import comparison_row, difference_line, one_line
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.cosmos.own_program import own_package
from cosmos.cli.cosmos.program import own_description, own_identity
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.options import EXISTING_FILE, EXISTING_FOLDER, FOLDER, PUBLIC_KEY, RELEASE, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.secret_options import secret_option
from cosmos.cli.secret_values import read_secrets
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.cli.trust_words import shown_public_key
from cosmos.errors import Differs, Malformed, Refused, WorldFailed, quoted
from cosmos.image.home import Home
from cosmos.image.rebuild.culprit import Makers, TemplateText, receipts_of
from cosmos.image.rebuild.original import Original, judged_original
from cosmos.image.rebuild.rebuilding import rebuild
from cosmos.image.rebuild.trials import CALM, Rebuilder, RebuildOptions, Rebuilt, Trial
from cosmos.image.rebuild.variations import variations
from cosmos.keyring.anchors import home_anchor
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.release import RELEASE_ENVELOPE, REPORT_FILE, Builder
from cosmos.model.reporter import Reporter
from cosmos.release.attest import attest_rebuild, attest_unlike, demand_attester
from cosmos.trust.badges import Mismatch
from cosmos.trust.keys import PublicKey
from cosmos.trust.releases import ReleaseKeys

_SHOWN_PATHS = 20  # of one trial; --json has them all
_NOT_ATTESTED = "nothing: a rebuild could not be made"


@click.command(name="rebuild")
@click.argument("release", type=RELEASE)
@click.option("--adversarial", is_flag=True, help="Vary the machine, one thing at a time and everything at once.")
@click.option("--times", type=click.IntRange(1, 100), default=1, help="Rebuild so often where nothing is varied.")
@click.option("--packed", is_flag=True, help="The same contents, packed differently, are a difference, too.")
@click.option("--key", "key_files", type=PUBLIC_KEY, multiple=True, help="A public key of the release's signer.")
@click.option("--offline", is_flag=True, help="Open no galaxy; use what the store holds.")
@click.option(
    "--from",
    "base",
    type=EXISTING_FOLDER,
    help="Take the galaxies from this vendored folder; from another folder, relative galaxy paths start there "
    "[default: the folder around RELEASE].",
)
@click.option("--keep", "kept", type=FOLDER, help="Keep each rebuilt release in this folder.")
@click.option("--attest", "attester", type=EXISTING_FILE, help="Sign what came of it with this secret key.")
@secret_option
@passphrase_fd_option
@home_option
@reporting_options
@json_option
def rebuild_command(
    release: Path,
    adversarial: bool,
    times: int,
    packed: bool,
    key_files: tuple[Path, ...],
    offline: bool,
    base: Path | None,
    kept: Path | None,
    attester: Path | None,
    secret_words: tuple[str, ...],
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Build RELEASE again from its own definition and lock, cold, and compare every file.

    The release's signature and files are judged first: "changed by somebody" (exit 4) and "not reproducible" (exit 7)
    are two answers. With --adversarial, a difference is traced to what was varied. Exit 0: the same contents.
    """
    secret = _attester(attester, passphrase_fd)
    if kept is not None and kept.is_dir() and any(kept.iterdir()):
        raise Malformed(str(kept), "is not empty: what is kept must not be mixed", hint="name a new folder")
    world = world_at(home, release, offline=offline, quiet=as_json, origin=base)
    original = _judged(release, [shown_public_key(file) for file in key_files], world)
    options = RebuildOptions(
        variations=variations(_is_readable_by_all()) if adversarial else (),
        times=times,
        kept=kept,
        base=(base or original.folder.resolve().parent),
        secrets=read_secrets(secret_words, passphrase_fd, kept_in=(original.folder,)),
    )
    found = rebuild(original, world, _rebuilder(), options)
    attested = "" if secret is None else _attested(found, secret, surroundings().reporter(quiet=as_json))
    if as_json:
        emit({**_row(found), "attested": attested or None})
    else:
        for line in _lines(found):
            say(one_line(line))
        if secret is not None:
            said = f"{attested}, by {secret.public.name}, beside {original.folder}" if attested else _NOT_ATTESTED
            say(f"attested      {said}")
    _demand_same(found, kept, packed=packed)


def _attester(file: Path | None, passphrase_fd: int | None) -> SecretKey | None:
    """Return the key that signs what comes of it. Raises `Refused` before any build if the key has another role."""
    if file is None:
        return None
    (secret,) = load_secret_keys((file,), passphrase_fd)
    demand_attester(secret)
    return secret


def _attested(found: Rebuilt, secret: SecretKey, reporter: Reporter) -> str:
    """Sign what came of the rebuilds beside the release, and return the badge's result.

    Only content roots are signed. Nothing is signed if a rebuild failed: that says nothing about the release.
    """
    if any(trial.problem for trial in found.trials):
        return ""
    if found.same_contents:
        attest_rebuild(found.original.folder, secret, reporter=reporter)
        return "PASSED"
    roots = (trial.content_root for trial in found.trials)
    other = next(root for root in roots if root is not None and root != found.content_root)
    attest_unlike(found.original.folder, secret, other, _mismatch(found))
    return "FAILED"


def _mismatch(found: Rebuilt) -> Mismatch:
    """Return the paths that differ in any rebuild, and how many of them are of stars that may do so (unsteady)."""
    unsteady = found.original.release.external.get("unsteady")
    waived = set(unsteady) if isinstance(unsteady, list) else set()
    trees = [trial.comparison.tree for trial in found.trials if trial.comparison is not None]
    owners = {one.path: one.star for tree in trees if tree is not None for one in tree.differences}
    return Mismatch.of(
        paths=sorted(f"/{path.text}" for path in owners), waived=sum(star in waived for star in owners.values())
    )


def _judged(release: Path, keys: list[PublicKey], world: Home) -> Original:
    """Return the release, its signature checked by `keys`, or by the pinned ones."""
    signers = ReleaseKeys(keys=tuple(keys))
    if not keys and home_anchor(world.home).exists():
        signers = ReleaseKeys.pinned(world.pinned)
    folder = release if (release / RELEASE_ENVELOPE).is_file() else release / "out"
    if not signers.keys and not signers.revoked and (folder / RELEASE_ENVELOPE).is_file():
        raise Refused(
            str(folder),
            "is signed, and no key is pinned that could judge the signature",
            hint=f"cosmos rebuild {quoted(release)} --key SIGNER.pub",
        )
    return judged_original(release, signers, world.reporter)


def _rebuilder() -> Rebuilder:
    """Return how to start this program again."""
    package = own_package()
    start = () if package is None else ("-c", "from cosmos.cli.cosmos.main import main; main()")
    return Rebuilder(
        argv=(sys.executable, *start, "rebuild-once"),
        env={**({} if package is None else {"PYTHONPATH": str(package.parent)}), **_path()},
        identity=own_identity(),
        builder=own_description(),
    )


def _path() -> dict[str, str]:
    return {"PATH": surroundings().environ.get("PATH", "/usr/bin:/bin")}


def _is_readable_by_all() -> bool:
    """Return whether another user may start this program."""
    files = (Path(sys.executable).resolve(), Path(sys.prefix).resolve(), Path(cosmos.__file__).resolve())
    return all(one.stat().st_mode & 0o005 == 0o005 for file in files for one in file.parents)


def _demand_same(found: Rebuilt, kept: Path | None, *, packed: bool) -> None:
    """Raise `Differs` unless the release is reproducible, `WorldFailed` if not even the calm rebuild could be made."""
    calm = next((trial for trial in found.trials if trial.name.startswith(CALM)), None)
    if calm is not None and calm.problem:
        hint = "nothing was compared: mend what stands above, then run it again"
        raise WorldFailed(str(found.original.folder), "could not be built again, although nothing is varied", hint=hint)
    problem = _problem(found, packed=packed)
    if problem:
        raise Differs(str(found.original.folder), problem, hint=_hint(found, kept))


def _problem(found: Rebuilt, *, packed: bool) -> str:
    """Return the sentence of the error, or nothing if the release is reproducible."""
    failed = [trial.name for trial in found.trials if trial.problem]
    if failed:
        return f"could not be built again: {', '.join(failed)}"
    if not found.same_contents:
        unlike = [trial.name for trial in found.trials if trial.content_root != found.content_root]
        return f"is not reproducible: other contents with {', '.join(unlike)}"
    if packed and not found.is_same:
        unlike = [trial.name for trial in found.trials if not trial.is_same]
        return f"has the same contents, but other bytes with {', '.join(unlike)}"
    return ""


def _hint(found: Rebuilt, kept: Path | None) -> str | None:
    if kept is None:
        return "to look at what was built: --keep FOLDER, then cosmos diff, or diffoscope on one file"
    first = next((trial for trial in found.trials if trial.comparison is not None), None)
    if first is None:
        return None
    return shlex.join(["diffoscope", str(found.original.folder), str(kept / first.name.replace(" ", "-"))])


def _lines(found: Rebuilt) -> Iterator[str]:
    makers = _makers(found)
    width = max(len(trial.name) for trial in found.trials)
    for trial in found.trials:
        yield f"{trial.name:<{width}}  {_verdict(trial, found)}  ({trial.what})"
        if trial.started:
            yield f"  started programs of the machine: {', '.join(trial.started)}"
        if trial.comparison is None or trial.comparison.tree is None:
            continue
        for one in trial.comparison.tree.differences[:_SHOWN_PATHS]:
            yield f"  {difference_line(one)}"
            yield f"    made by {makers.of(one, trial.unlike)}"
            yield from (f"    {line}" for line in one.inside)
        if not trial.comparison.tree.differences:
            yield f"  packed differently: {', '.join(trial.files)}"
    for name, why in found.not_tried.items():
        yield f"{name:<{width}}  not tried: {why}"
    if found.culprits:
        yield f"culprit       {' and '.join(found.culprits)}"
    for builder in sorted({_named(trial.builder) for trial in found.trials if trial.builder is not None}):
        if builder != _named(found.original.release.builder):
            yield f"built by      {_named(found.original.release.builder)}"
            yield f"here by       {builder}: RELEASE.json names it, and is compared without it"
    if any(trial.builder and trial.builder.program != found.original.release.builder.program for trial in found.trials):
        yield f"{REPORT_FILE} is not compared: its words are those of the program that writes it"
    if found.not_tried or len(found.trials) > 1:
        for path, names in list(found.causes.items())[:_SHOWN_PATHS]:
            yield f"/{path.text} differs with {', '.join(names) or 'nothing varied'}"
    for sentence in found.poisoned:
        yield f"the store is poisoned: {sentence}"
    yield f"content root  {found.content_root}"
    yield f"signed by     {', '.join(found.original.signers) or 'nobody'}"
    yield _summary(found)


def _named(builder: Builder) -> str:
    """Return the versions of a builder, and the digest of its first part: the program itself."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(builder.versions.items()))
    first = builder.parts[0] if builder.parts else None
    digests = first.get("digest") if isinstance(first, dict) else None
    shown = [f"{kind} {str(value)[:16]}" for kind, value in digests.items()] if isinstance(digests, dict) else []
    return ", ".join([versions, *shown])


def _makers(found: Rebuilt) -> Makers:
    return Makers(receipts_of(found.original.folder), TemplateText.of(found.original.folder))


def _verdict(trial: Trial, found: Rebuilt) -> str:
    if trial.problem:
        return f"failed: {trial.problem}"
    if trial.is_same:
        return "the same, every file"
    if trial.content_root == found.content_root:
        return "the same contents, other bytes"
    return "DIFFERS"


def _summary(found: Rebuilt) -> str:
    number = len(found.trials)
    builds = f"{number} rebuild{'' if number == 1 else 's'}"
    if found.is_same:
        return f"reproducible: {builds}, every file the same"
    if found.same_contents:
        return f"the same contents, packed differently: {builds}"
    return f"NOT reproducible: {builds}"


def _row(found: Rebuilt) -> dict[str, Json]:
    makers = _makers(found)
    return {
        "release": str(found.original.folder),
        "signers": list(found.original.signers),
        "content-root": str(found.content_root),
        "same": found.is_same,
        "same-contents": found.same_contents,
        "same-builder": all(trial.builder == found.original.release.builder for trial in found.trials),
        "culprits": list(found.culprits),
        "causes": {f"/{path.text}": list(names) for path, names in found.causes.items()},
        "poisoned": list(found.poisoned),
        "not-tried": dict(found.not_tried),
        "rebuilds": [_trial_row(trial, makers) for trial in found.trials],
    }


def _trial_row(trial: Trial, makers: Makers) -> dict[str, Json]:
    tree = None if trial.comparison is None else trial.comparison.tree
    differences = () if tree is None else tree.differences
    return {
        "name": trial.name,
        "what": trial.what,
        "same": trial.is_same,
        "problem": trial.problem or None,
        "content-root": None if trial.content_root is None else str(trial.content_root),
        "files": list(trial.files),
        "started": list(trial.started),
        "made-by": {f"/{one.path.text}": makers.of(one, trial.unlike) for one in differences},
        "comparison": None if trial.comparison is None else comparison_row(trial.comparison),
    }
