"""The finish script (`finish = "finish.lua"` in image.toml): it runs last and may touch any path.

Every entry that it changes moves into the image's own layer. Scripts cannot read files, so the tree that the script
sees has no bytes. If the script changes the mode of a file, for example, packing adds the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from cosmos.canon import Json
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.tree.overlay import PathMap
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """The changes of the finish script, and its receipt. A file that it did not write has no bytes (`UNREAD`)."""

    changed: Mapping[TreePath, Entry]
    receipt: Json


def finish(script: bytes, name: str, tree: Mapping[TreePath, Entry], paths: PathMap, epoch: int) -> Finished:
    """Run the image's finish script, called `name`, on the whole `tree`. Raises `ScriptFailed`."""
    from cosmos.nova.job import NovaJob  # as in staging.stage: most images have no finish script
    from cosmos.nova.run import run_install

    result = run_install(
        NovaJob(
            star="finish",
            script_name=name,
            script=script,
            files={},
            beside={},
            root={},
            own=tree,
            epoch=epoch,
            path_map=paths.mapped,
            programs=None,
            free="any",
        )
    )
    changed = {path: entry for path, entry in result.entries.items() if tree.get(path) != entry}
    return Finished(changed=changed, receipt=result.receipt.to_json())
