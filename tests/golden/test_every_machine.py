"""One script, its receipt and its layer, the same on every machine: `make test-aarch64` runs this on another kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cosmos.digest import Digest
from cosmos.nova.job import NovaJob
from cosmos.nova.run import run_install
from cosmos.pack.layer import pack_layer
from cosmos.tree.entry import Entry, tree_of
from cosmos.tree.manifest import ManifestLine, manifest
from cosmos.treepath import TreePath

SCRIPT = Path(__file__).with_name("every-machine.lua")


def test_a_script_gives_this_receipt_and_these_bytes_on_every_machine(golden: Callable[[str, str], None]) -> None:
    result = run_install(job())
    layer = pack_layer("every-machine", result.entries.values(), level=3)
    lines = bytes(result.entries[TreePath(b"etc/lines")].content).decode("latin-1")
    rows = manifest(map(ManifestLine.of, result.entries.values())).decode()
    receipt = result.receipt.to_bytes()
    events = "\n".join(json.dumps(event, sort_keys=True) for event in json.loads(receipt)["events"])
    golden(
        "every-machine.txt",
        f"{lines}\n{events}\n\n{rows}\nreceipt {Digest.of(receipt)}\nlayer   {layer.digest}\n",
    )


def job() -> NovaJob:
    """The script, with some files of its own and those of a dependency."""
    files = [
        file("bin/tool", b"tool"),
        file("share/a", b"a"),
        file("share/b/c", b"c" * 100_000),
        file("greeting", b"{{ name }} {{ number }} {{ list }} {{ yes }}\n"),
    ]
    root = [file("usr/lib/libdep.so", b"dep")]
    return NovaJob(
        star="x", script_name="install.lua", script=SCRIPT.read_bytes(), files=tree_of(files), root=tree_of(root),
        epoch=1_700_000_000,
    )  # fmt: skip


def file(path: str, content: bytes) -> Entry:
    """A file as an archive holds it."""
    return Entry(path=TreePath.parse(path), kind="file", mode=0o755, mtime=1_600_000_000, content=content)
