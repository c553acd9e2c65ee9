"""The world of a rebuild: its own store above another one, and galaxies whose paths start where the release's did.

There are two. The first fetches: its store lies above the builder's own, and gets what fetching asks for. The second
builds: its store lies above the first one's. So a build finds archives, statements and logs there, and no layer that
another build has made.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from cosmos.image.home import Home
from cosmos.model.names import GalaxyName
from cosmos.records import dataclass
from cosmos.staging.source import Source
from cosmos.store.blobs import StoreFolder
from cosmos.store.interface import Store
from cosmos.store.layered import LayeredStore


@dataclass(frozen=True, kw_only=True)
class RebuildWorld(Home):
    """A builder's home whose store is `upper`, above the store `lower`."""

    upper: Path
    lower: Path

    @cached_property
    def store(self) -> Store:
        """The store of this rebuild."""
        return LayeredStore(StoreFolder(self.upper), StoreFolder(self.lower))

    def source(self, name: GalaxyName, url: str, folder: Path) -> Source:
        """Return the galaxy called `name`, as `Home.source` does, with the store of this rebuild."""
        return replace(super().source(name, url, folder), store=self.store)
