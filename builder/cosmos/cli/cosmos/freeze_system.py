"""The part of `cosmos freeze` for a system: write the lock of the installed stars."""

from __future__ import annotations

from pathlib import Path

from cosmos.cli.cosmos.arguments import naming_instead
from cosmos.cli.network import network
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.freeze import Frozen, freeze_system, has_merged_usr
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.system import read_universe
from cosmos.errors import quoted
from cosmos.image.of_system import write_image_of
from cosmos.model.reporter import Reporter, counted
from cosmos.treepath import ROOT


def freeze_live(root: Path | None, offline: bool, image: Path | None, as_json: bool) -> None:
    """Write the lock of the stars that are installed on the system at `root`: `cosmos freeze` without an image.

    `image`: also write an image definition that the lock fits into this folder.
    """
    reporter = surroundings().reporter(quiet=as_json)
    with naming_instead(root, "an image: cosmos freeze IMAGE"), LiveRoot.open(root or Path("/")) as live:
        frozen = freeze_system(live, reporter, network(), offline=offline)
        if image is not None:
            _write_image(live, frozen, image, reporter)
    stars = len(frozen.lock.stars)
    if as_json:
        written = {} if image is None else {"image": str(image)}
        emit({"lock": shown(frozen.path), "stars": stars, "changed": frozen.changed, **written})
        return
    say(f"{shown(frozen.path)}: {'written' if frozen.changed else 'unchanged'}, {counted(stars, 'star')}")
    if image is not None:
        say(f"{image}: written, an image of the same stars")
        say(f"next: cosmos build {quoted(image)}")


def _write_image(live: LiveRoot, frozen: Frozen, image: Path, reporter: Reporter) -> None:
    universe, settings = read_universe(live), read_settings(live)
    if settings.install_dir != ROOT:
        reporter.warn(f"install_dir is /{settings.install_dir.text}: in an image, the same stars lie below /")
    if universe.layers:
        reporter.note(
            "the files that the image itself brought, by its template and finish script, are not in the lock: "
            "take them from the image's release (definition.tar)"
        )
    for galaxy in frozen.lock.galaxies:
        if "://" not in galaxy.url and not galaxy.url.startswith("/"):
            reporter.note(f"galaxy {galaxy.name}: {galaxy.url} starts at this system's /etc/cosmos: build with --from")
    write_image_of(
        image,
        frozen.lock,
        frozen.data,
        version=universe.version,
        powers=settings.powers,
        merged=has_merged_usr(live),
    )
