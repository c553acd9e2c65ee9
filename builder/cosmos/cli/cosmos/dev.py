"""`cosmos dev`: the inner loop of somebody who writes a star: build it, and an image with it, from copies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import home_option, var_option, vars_option
from cosmos.cli.cosmos.program import own_description, own_identity
from cosmos.cli.cosmos.watching import watch
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.options import EXISTING_FOLDER, FOLDER, IMAGE, SECONDS, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.secret_options import secret_option
from cosmos.cli.secret_values import read_secrets
from cosmos.cli.stellar.options import arch_option, outside, sources_option
from cosmos.cli.stellar.workshop import workshop_for
from cosmos.cli.terminal import answer, surroundings
from cosmos.errors import Malformed, quoted
from cosmos.image.definition import kept_folders, read_definition
from cosmos.image.flow import Built, build_image
from cosmos.image.given_values import read_given
from cosmos.image.inputs import Inputs, image_inputs
from cosmos.image.preflight import BuildOptions
from cosmos.image.trial import Trial, TrialStar, begin_trial
from cosmos.model.release import RELEASE_ENVELOPE
from cosmos.records import dataclass
from cosmos.release.boot import DEFAULT_MEMORY_MIB, DEFAULT_TIMEOUT_SECONDS, BootRequest, boot
from cosmos.stellar.add_star import statement_of
from cosmos.stellar.build_star import BuiltStar, build_star

_QUICK_LEVEL = 1  # zstd level of the star's archive, which nobody keeps
_FOLDER = "dev"  # in the home: a release for each image


@dataclass(frozen=True, kw_only=True, slots=True)
class _Words:
    """The words of the command line. `quiet`: only an error is told."""

    star: Path
    image: Path
    out: Path | None
    arch: str
    apt_sources: Path | None
    offline: bool
    boots: bool
    timeout_seconds: float
    var_words: tuple[str, ...]
    vars_file: Path | None
    secret_words: tuple[str, ...]
    home: Path | None
    quiet: bool

    @property
    def place(self) -> Path:
        """The builder's home."""
        return surroundings().home(self.home, near=self.image)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tried:
    """What came of it. `marker` is what the booted system said; empty if it was not booted."""

    star: BuiltStar
    trial: Trial
    built: Built
    marker: str

    @property
    def line(self) -> str:
        """The answer in a line."""
        wished = ", which the image does not need otherwise" if self.trial.added else ""
        booted = f", booted, and said {self.marker}" if self.marker else ""
        return f"built {self.built.folder} with {self.star.manifest.id}{wished}{booted}"

    def row(self) -> dict[str, Json]:
        """Return the answer for machines."""
        return {
            "folder": str(self.built.folder),
            "star": str(self.star.manifest.name),
            "version": str(self.star.manifest.version),
            "archive": str(self.star.digest),
            "galaxy": str(self.trial.galaxy),
            "added": self.trial.added,
            "content-root": str(self.built.content_root),
            "made": {str(name): why for name, why in self.built.made.items()},
            "marker": self.marker or None,
        }

    def lines(self) -> Iterator[str]:
        """Yield the answer for people."""
        yield self.line
        yield from (f"  made the layer of {name}: {why}" for name, why in self.built.made.items())
        yield f"content root  {self.built.content_root}"
        yield f"next: cosmos ls {quoted(self.built.folder)}, or cosmos boot {quoted(self.built.folder)}"


@click.command()
@click.argument("star", metavar="STAR_FOLDER", type=EXISTING_FOLDER)
@click.argument("image", type=IMAGE)
@click.option("--boot", "boots", is_flag=True, help="Then start the image in QEMU, and wait for its marker.")
@click.option(
    "--timeout", "timeout_seconds", type=SECONDS, default=DEFAULT_TIMEOUT_SECONDS, show_default=True, help="For --boot."
)
@click.option("--watch", "watches", is_flag=True, help="Do it again whenever star or image changes, until Ctrl-C.")
@click.option("--out", type=FOLDER, help="Where the release goes [default: dev/NAME in the builder's home].")
@click.option("--offline", is_flag=True, help="For the star, use packages that were fetched before.")
@arch_option
@sources_option
@var_option
@vars_option
@secret_option
@home_option
@reporting_options
@json_option
def dev(
    star: Path,
    image: Path,
    boots: bool,
    timeout_seconds: float,
    watches: bool,
    out: Path | None,
    offline: bool,
    arch: str,
    apt_sources: Path | None,
    var_words: tuple[str, ...],
    vars_file: Path | None,
    secret_words: tuple[str, ...],
    home: Path | None,
    as_json: bool,
) -> None:
    """Build the star in STAR_FOLDER and IMAGE with it, without publishing the star.

    The star takes the place of all its versions in a throw-away copy of its galaxy, signed with throw-away keys. The
    galaxy, the trust anchors, the image's lock and its release stay as they are. The new release is not signed. An
    image that does not need the star gets it all the same.
    """
    if watches and as_json:
        raise click.UsageError("--watch is not for --json")
    words = _Words(
        star=star,
        image=image,
        out=out,
        arch=arch,
        apt_sources=apt_sources,
        offline=offline,
        boots=boots,
        timeout_seconds=timeout_seconds,
        var_words=var_words,
        vars_file=vars_file,
        secret_words=secret_words,
        home=home,
        quiet=as_json or watches,
    )
    if watches:
        watch(lambda: _tried(words).line, lambda: _inputs(words))
    tried = _tried(words)
    answer(tried.row(), as_json, "\n".join(tried.lines()))


def _inputs(words: _Words) -> Inputs:
    known = image_inputs(words.image, words.place).besides(() if words.vars_file is None else (words.vars_file,))
    return replace(known, folders=(words.star, *known.folders))


def _tried(words: _Words) -> _Tried:
    """Build the star, then the image with it."""
    _demand_no_signature(words.out)
    reporter = surroundings().reporter(quiet=words.quiet)
    here = outside(words.place, words.apt_sources, words.offline, reporter)
    built = build_star(words.star, replace(workshop_for(here, words.arch), level=_QUICK_LEVEL))
    definition = read_definition(words.image, read_given(words.var_words, words.vars_file))
    world = world_at(words.home, words.image, offline=False, quiet=words.quiet)
    trial = begin_trial(definition, world, _trial_star(built))
    options = BuildOptions(
        out=words.out or words.place / _FOLDER / definition.image.name,
        jobs=len(os.sched_getaffinity(0)),
        identity=own_identity(),
        builder=own_description(),
        secrets=read_secrets(words.secret_words, None, kept_in=kept_folders(definition)),
    )
    image = build_image(trial.definition, trial.world, options)
    return _Tried(star=built, trial=trial, built=image, marker=_booted(image.folder, words) if words.boots else "")


def _demand_no_signature(out: Path | None) -> None:
    """Raise `Malformed` if a signed release is at the place of the new one, which nobody signs."""
    if out is not None and (out / RELEASE_ENVELOPE).exists():
        raise Malformed(
            str(out),
            "holds a signed release, and cosmos dev makes one that nobody signs, with a star that is not published",
            hint="choose another folder: --out FOLDER, or none: then it lies in the builder's home",
        )


def _trial_star(built: BuiltStar) -> TrialStar:
    file, digest = f"packages/{built.file_name}", built.digest
    return TrialStar(
        manifest=built.manifest,
        archive=built.packed.data,
        statement=lambda galaxy, seq: statement_of(built, digest, galaxy, file, seq),
    )


def _booted(release: Path, words: _Words) -> str:
    request = BootRequest(
        release=release, marker=None, timeout_seconds=words.timeout_seconds, memory_mib=DEFAULT_MEMORY_MIB
    )
    return boot(request, console=surroundings().reporter(quiet=words.quiet).note).marker
