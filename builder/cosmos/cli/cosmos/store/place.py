"""Which store the commands work on, and how large the operator lets it become."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cosmos.cli.terminal import surroundings
from cosmos.errors import CosmosError
from cosmos.image.home import Home
from cosmos.image.home_config import home_settings
from cosmos.limits import GIB
from cosmos.model.home_settings import shown_size
from cosmos.model.reporter import Reporter
from cosmos.store.blobs import StoreFolder
from cosmos.store.upkeep import collect_if_free

DEFAULT_LIMIT_BYTES: Final = 20 * GIB  # forty images of 450 MB with all their layers; what other caches take as well


def home_at(home: Path | None) -> Path:
    """Return the builder's home as named, or the nearest to the working folder."""
    around = surroundings()
    return around.home(home, near=around.at("."))


def store_at(home: Path) -> StoreFolder:
    """Return the store of a home."""
    return StoreFolder(home / "store")


def said_of(store: StoreFolder) -> str:
    """Return where the store is, for people: somebody who is in another folder than they think sees it."""
    return str(store.root) if store.folder.is_there() else f"{store.root}: there is no store yet; a build makes it"


def limit_of(home: Path) -> int:
    """Return the limit that the home's config.toml sets, else the default. Raises `Malformed` and `WorldFailed`."""
    limit = home_settings(home).store_limit_bytes
    return DEFAULT_LIMIT_BYTES if limit is None else limit


def collect_after(world: Home) -> None:
    """Keep the store within the limit that config.toml sets, if it sets one and no other command uses the store."""
    reporter: Reporter = world.reporter
    try:
        limit = home_settings(world.home).store_limit_bytes
        done = None if limit is None else collect_if_free(store_at(world.home), limit)
    except CosmosError as error:
        reporter.warn(f"the store was not collected: {error}")
        return
    if done is not None and done.removed:
        reporter.note(f"store: removed what was used least recently, {shown_size(done.freed_bytes)}")
