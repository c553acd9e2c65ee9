"""`cosmos build`: build an image and its release from the lock."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cosmos.canon import Json
from cosmos.cli.collecting import collect_seldom
from cosmos.cli.cosmos.build_wishes import Wishes
from cosmos.cli.cosmos.built_words import UNSIGNED, Answer
from cosmos.cli.cosmos.kept_build import Question, Unchanged, how_seen, look, question, sweep_left
from cosmos.cli.cosmos.options import accept_revoked_option, home_option, origin_option, var_option, vars_option
from cosmos.cli.cosmos.page_file import demand_place, write_page
from cosmos.cli.options import FILE, FOLDER, IMAGE, SECRET_KEY, json_option
from cosmos.cli.passphrase import load_secret_keys, passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.secret_options import secret_option
from cosmos.cli.terminal import surroundings
from cosmos.image.given_values import NOTHING_GIVEN, read_given

if TYPE_CHECKING:
    from fractions import Fraction

    from cosmos.release.sign import Signing


@click.command()
@click.argument("image", type=IMAGE)
@click.option("--offline", is_flag=True, help="Make no socket and open no galaxy; use what the store holds.")
@origin_option
@click.option("--out", type=FOLDER, help="Where the release goes [default: out/ in the image's folder].")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Stars to stage at once [default: one for each processor].")
@click.option("--level", type=click.IntRange(1, 22), help="zstd level of the layers [default: the lock's].")
@click.option("--key", "key_file", type=SECRET_KEY, help="Sign the release with this secret key.")
@click.option(
    "--unsigned-release",
    is_flag=True,
    help="Write RELEASE.request, to be signed on another machine (key sign-request).",
)
@accept_revoked_option
@click.option(
    "--trust-stat",
    is_flag=True,
    help="Take a file that has the size, times and inode of the last build for unchanged, without hashing it again.",
)
@click.option(
    "--audit",
    metavar="N%",
    callback=lambda _ctx, _param, text: None if text is None else share_of(text),
    help="Make about N% of the layers that the store has again, and compare them (exit 7: one differs).",
)
@click.option("--audit-seed", metavar="TEXT", help="Choose the same layers as an audit that named this seed.")
@click.option("--explain", is_flag=True, help="For each layer that is not from the store, say why it was made.")
@click.option("--keep-root", type=FOLDER, help="Also write the finished tree to this folder, as files.")
@click.option(
    "--report",
    type=FILE,
    help="Also write the page of the release here, with how this build went: what was reused, what was made, and why.",
)
@click.option("--watch", "watches", is_flag=True, help="Build again whenever an input changes, until Ctrl-C.")
@click.option(
    "--shell",
    is_flag=True,
    help="If a star's script fails, open a shell in its sandbox. Stars are staged one at a time.",
)
@click.option("--safe", is_flag=True, help="Refuse run() in scripts, even if the image's policy allows it.")
@var_option
@vars_option
@secret_option
@passphrase_fd_option
@home_option
@reporting_options
@json_option
def build(
    image: Path,
    offline: bool,
    origin: Path | None,
    out: Path | None,
    jobs: int | None,
    level: int | None,
    key_file: Path | None,
    unsigned_release: bool,
    accept_revoked: tuple[str, ...],
    trust_stat: bool,
    audit: Fraction | None,
    audit_seed: str | None,
    explain: bool,
    keep_root: Path | None,
    report: Path | None,
    watches: bool,
    shell: bool,
    safe: bool,
    var_words: tuple[str, ...],
    vars_file: Path | None,
    secret_words: tuple[str, ...],
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Build IMAGE from its lock: fetch, verify, run Nova, pack, describe, sign.

    If nothing changed since the last build, this is seen from the bytes of every input and of the release, and nothing
    is written. See docs/concepts.md. With --watch, each build gives one line that says what has changed.
    """
    if watches and (as_json or keep_root is not None or audit is not None or unsigned_release):
        raise click.UsageError("--watch is not for --json, --keep-root, --audit and --unsigned-release")
    if shell:
        _demand_terminal(excluded=as_json or watches or safe)
    if trust_stat and (key_file is not None or unsigned_release):
        raise click.UsageError("--trust-stat is not for a release that is to be signed: every byte is hashed for one")
    if audit_seed is not None and audit is None:
        raise click.UsageError("--audit-seed is for --audit N%")
    key = _signing(key_file, passphrase_fd, elsewhere=unsigned_release)
    terms: dict[str, Json] = {
        "level": level,
        "accept-revoked": [*sorted(accept_revoked)],
        "safe": safe,
        "key": key if key is None or isinstance(key, str) else str(key.public.id),
    }
    wishes = Wishes(
        image=image,
        offline=offline,
        origin=origin,
        out=out,
        jobs=1 if shell else jobs or len(os.sched_getaffinity(0)),
        level=level,
        key_file=key_file,
        key=key,
        accept_revoked=frozenset(accept_revoked),
        explain=explain,
        audit=audit,
        audit_seed=audit_seed,
        keep_root=keep_root,
        report=report,
        safe=safe,
        shell=shell,
        given=NOTHING_GIVEN,
        secret_words=secret_words,
        passphrase_fd=passphrase_fd,
        home=home,
        quiet=as_json or watches,
    )

    def build_with_values() -> Answer:
        given = read_given(var_words, vars_file)  # each time: the file may have changed
        stated = {**terms, "given": given.to_json()} if given else terms
        asked = replace(wishes, given=given)
        demand_place(asked)
        answer = _built(asked, stated, trusts_stat=trust_stat)
        write_page(asked, answer)
        return answer

    if watches:
        from cosmos.cli.cosmos.watching import watch
        from cosmos.image.inputs import image_inputs

        place = surroundings().home(home, near=image)
        also = () if vars_file is None else (vars_file,)
        watch(lambda: build_with_values().line, lambda: image_inputs(image, place).besides(also))
    build_with_values().give(as_json=as_json)


def _built(wishes: Wishes, terms: Mapping[str, Json], *, trusts_stat: bool) -> Answer:
    """Return the answer of one build: of the last one, if nothing has changed since."""
    asked = None
    if wishes.audit is None and not (wishes.offline or wishes.origin or wishes.keep_root or wishes.secret_words):
        asked = question(wishes.image, wishes.home, wishes.out, terms, trusts_stat=trusts_stat)
    if asked is not None and (wishes.key != "elsewhere" or asked.settings.signed_from_memory):
        found = look(asked)
        if isinstance(found, Unchanged) and _stands(asked, found, wishes):
            sweep_left(asked)
            return _unchanged(asked, found, wishes)
        if wishes.explain:
            what = "what the signed release asserts of its stars" if isinstance(found, Unchanged) else found
            surroundings().reporter(quiet=wishes.quiet).note(f"what has changed: {what}")
    collect_seldom()
    from cosmos.cli.cosmos.whole_build import build_whole

    return build_whole(wishes, asked)


def _stands(asked: Question, found: Unchanged, wishes: Wishes) -> bool:
    """Return whether the release of which nothing changed is the answer. A signed one is verified again."""
    if wishes.key is None or wishes.key == "elsewhere" or asked.settings.signed_from_memory:
        return True
    from cosmos.cli.cosmos.signed_again import stands

    return stands(wishes, wishes.key, asked.out, found)


def _demand_terminal(*, excluded: bool) -> None:
    if excluded:
        raise click.UsageError("--shell is not for --json, --watch and --safe")
    if not (surroundings().stdin_is_terminal and sys.stderr.isatty()):
        raise click.UsageError("--shell is for a person: stdin and stderr must be a terminal")


def share_of(text: str) -> Fraction:
    """Return the share that `N%` means; raises `BadParameter`.

    >>> share_of("5%"), share_of("0.5%")
    (Fraction(1, 20), Fraction(1, 200))
    """
    from fractions import Fraction  # it loads decimal, for --audit alone

    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%", text)
    share = None if found is None else Fraction(found[1]) / 100
    if share is None or not 0 < share <= 1:
        raise click.BadParameter(f"want a share such as 5%, got {text[:40]!r}")
    return share


def _signing(key_file: Path | None, passphrase_fd: int | None, *, elsewhere: bool) -> Signing:
    """Return what signs the release. Raises `Refused` before the build if the key has another role."""
    if key_file is None:
        return "elsewhere" if elsewhere else None
    if elsewhere:
        raise click.UsageError("--unsigned-release and --key exclude each other")
    (key,) = load_secret_keys((key_file,), passphrase_fd)
    key.demand_role("release")
    return key


def _unchanged(asked: Question, found: Unchanged, wishes: Wishes) -> Answer:
    """Say again what was said of the release when it was made, and return the answer."""
    reporter = surroundings().reporter(quiet=wishes.quiet)
    reporter.step(how_seen(found.files, found.hashed))
    if wishes.explain:
        reporter.note("no layer was looked at: every input and every file of the release is as it was")
    warnings = [text for text in found.texts("warnings") if text != UNSIGNED or not found.signed]
    for text in warnings:
        reporter.warn(text)
    for text in found.texts("notes"):
        reporter.note(text)
    return Answer(
        folder=asked.out,
        release=found.release,
        content_root=found.content_root,
        made={},
        lint=found.remarks["lint"],
        signed=found.signed,
        changed=False,
        bootable=bool(found.remarks["bootable"]),
        key_file=wishes.key_file,
        warnings=sum(text != UNSIGNED for text in warnings),
        more={"looked-at": {"files": found.files, "hashed": found.hashed}},
    )
