"""What is large in a layer or a system is read back: the bounds of documents that people write are not its bounds."""

from __future__ import annotations

import pytest

from cosmos.canon import canonical_json
from cosmos.digest import Digest
from cosmos.image.workshop.layers import Workshop
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.names import Arch, StarName
from cosmos.model.powers import Powers
from cosmos.model.universe import Installed, Universe
from cosmos.model.version import Version
from cosmos.staging.powers import Consent, OpenFolders
from cosmos.store.blobs import StoreFolder
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, manifest
from cosmos.tree.overlay import PathMap
from cosmos.treepath import ROOT, TreePath

CONSENT = Consent(powers=Powers(), file="image.toml", folders=OpenFolders.below(ROOT, lambda path: path), safe=False)
LONG = "/".join(["n" * 200] * 4)
PATHS = [TreePath.parse(f"usr/{LONG}/{number:06d}") for number in range(25_000)]


@pytest.mark.slow
def test_a_layer_of_many_long_paths_is_found_again(tmp_path):
    store = StoreFolder(tmp_path)
    shop = Workshop(
        store=store, warn=print, acquired={}, epoch=0, paths=PathMap(links={}), level=3, identity="x", consent=CONSENT
    )
    lines = [ManifestLine.of(Entry(path=path, kind="file", mode=0o644)) for path in PATHS]
    record = canonical_json({"manifest": manifest(lines).decode(), "times": ["0"] * len(lines), "receipt": None})
    assert len(record) > MAX_DOCUMENT_BYTES
    key = Digest.of(b"key")
    store.put_result(key, record)
    layer = shop.load(key)
    assert layer is not None
    assert [line.path for line in layer.lines] == PATHS


@pytest.mark.slow
def test_a_universe_of_many_long_paths_is_read():
    star = Installed(version=Version.parse("1.0.0"), files=tuple(PATHS))
    universe = Universe(arch=Arch.parse("any"), version="1.0.0", installed={StarName.parse("big"): star})
    data = universe.rendered()
    assert len(data) > MAX_DOCUMENT_BYTES
    assert Universe.parse(data, "universe.toml").installed[StarName.parse("big")].files == star.files
