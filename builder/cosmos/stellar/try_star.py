"""`stellar test`: compare the changes that a star makes to a root with the expected changes in `expect.txt`.

`expect.txt` is text that a person reads in a diff. It says what the star *does*. It stays the same when a new revision
of the star's packages brings other bytes:

    # on an empty root
    added file 0755 0:0 /usr/bin/tool = files/bin/tool
    added file 0644 0:0 /etc/tool.conf 12 sha256:…
    added symlink 0777 0:0 /usr/bin/t -> tool
    # on the root of its dependencies: the same

- A line is `added KIND MODE UID:GID PATH …`, in byte order of path; `changed` where a dependency has laid that path.
- `= files/…`: the file has the bytes of that file in the star's archive. If several files have these bytes, the one at
  the same path is named. Bytes that the script made, and a file without bytes, have size and digest.
- A folder of root's with mode 0755 is left out if the star lays something in it.
- `nothing`: the star lays nothing. `failed` and a message: the script must fail there.
- A star with dependencies has the second title; `: the same` stands in place of the same lines.
- If the recipe names a package with a wildcard, the text that it stands for is written as the wildcard, wherever it is
  between the same two characters: `deb:linux-image-6.1.0-*-cloud-amd64` makes `/boot/vmlinuz-6.1.0-*-cloud-amd64`.
  For an archive there is no recipe, so names are written in full.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import NoSolution, ScriptFailed
from cosmos.limits import MAX_DOCUMENT_BYTES, demand_within
from cosmos.reading import is_there, read_bounded
from cosmos.stellar.open_star import OpenStar
from cosmos.stellar.try_script import described
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

EXPECT_FILE: Final = "expect.txt"
_EMPTY, _BELOW = "# on an empty root", "# on the root of its dependencies"


def changes(star: OpenStar, below: Mapping[TreePath, Entry]) -> str:
    """Return the changes of `star` on an empty root and on `below`, the root of its dependencies, as `expect.txt`."""
    alone = _laid(star, {})
    lines = [_EMPTY, *alone]
    if star.needs or below:
        on_them = _laid(star, below)
        lines += [f"{_BELOW}: the same"] if on_them == alone else [_BELOW, *on_them]
    return "".join(f"{line}\n" for line in lines)


def differences(found: str, expect: Path) -> tuple[str, ...]:
    """Return the differences between the file and `found`: `@@ -LINE +LINE @@`, then old (-) and new (+) lines.

    Raises `NoSolution` if there is no such file.
    """
    if not is_there(expect):
        raise NoSolution(str(expect), "is not there", hint="to write it: stellar test STAR --update; then check it")
    wanted = read_bounded(expect, MAX_DOCUMENT_BYTES).decode("utf-8", "backslashreplace").splitlines()
    return tuple(difflib.unified_diff(wanted, found.splitlines(), n=0, lineterm=""))[2:]  # without the files' names


def update(found: str, expect: Path) -> None:
    """Write the changes of the star to the file."""
    data = found.encode()
    demand_within(len(data), MAX_DOCUMENT_BYTES, str(expect))
    write_durably(expect, data)


def _laid(star: OpenStar, root: Mapping[TreePath, Entry]) -> list[str]:
    """Return a line for each entry that `star` lays on `root`."""
    try:
        made = star.lay(root).entries
    except ScriptFailed as failure:
        return [_with_wildcards(star, f"failed {failure.problem}")]
    origins = _origins(star)
    holders = {parent for path in made for parent in path.parents}
    told = [entry for entry in made.values() if not (entry.path in holders and _goes_without_saying(entry, root))]
    return [
        _with_wildcards(star, f"{'changed' if entry.path in root else 'added'} {_described(entry, star, origins)}")
        for entry in sorted(told, key=lambda entry: entry.path)
    ] or ["nothing"]


def _goes_without_saying(entry: Entry, root: Mapping[TreePath, Entry]) -> bool:
    """Return whether the entry is a new folder with the usual mode and owner."""
    return all(
        one.kind == "dir" and (one.mode, one.uid, one.gid, one.xattrs) == (0o755, 0, 0, ())
        for one in (entry, root.get(entry.path, entry))
    )


def _described(entry: Entry, star: OpenStar, origins: Mapping[Digest, str]) -> str:
    digest = entry.digest
    if digest is None or not entry.size:
        return described(entry)
    twin = star.files.get(entry.path)
    same = f"files/{entry.path.text}" if twin is not None and twin.digest == digest else None
    return described(entry, same or origins.get(digest))


def _origins(star: OpenStar) -> dict[Digest, str]:
    """Return, for each content in the archive, the name of the first file that has it; files/ comes first."""
    names: dict[Digest, str] = {}
    for prefix, tree in (("files/", star.files), ("", star.beside)):
        for path in sorted(tree):
            digest = tree[path].digest
            if digest is not None:
                names.setdefault(digest, prefix + path.text)
    return names


def _with_wildcards(star: OpenStar, line: str) -> str:
    for part, wildcard in star.wild:
        line = line.replace(part, wildcard)
    return line
