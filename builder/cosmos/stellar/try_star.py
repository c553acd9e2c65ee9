"""What a star does to a root: compared with what its author expects (`stellar test`), and looked at (`stellar lint`).

A star is an archive, or a source folder that ships all that it holds itself (no `source`). Its expectations are in
`expect.txt`, text that a person can read in a diff:

    # on an empty root
    added file 0755 0:0 /usr/bin/tool 12 sha256:…
    # on the root of its dependencies
    …

or, where the script must fail there, `failed` and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cosmos.durable import write_durably
from cosmos.errors import Differs, Malformed, NoSolution, ScriptFailed
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_STAR_ARCHIVE_BYTES, MAX_STAR_UNPACKED_BYTES
from cosmos.model.star import Star
from cosmos.nova.job import NovaJob
from cosmos.nova.run import default_install, run_install
from cosmos.pack.inflate import inflated
from cosmos.pack.star_archive import read_star
from cosmos.stellar.source_folder import bounded_bytes, read_source_folder
from cosmos.stellar.try_script import described
from cosmos.stellar.validate_star import Finding
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

EXPECT_FILE: Final = "expect.txt"
_SUFFIXES: Final = {".tar.zst": ".zst", ".tar.gz": ".gz"}
_EMPTY, _BELOW = "# on an empty root", "# on the root of its dependencies"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A star as its script finds it."""

    name: str
    licence: str
    script_name: str
    script: bytes | None
    files: Mapping[TreePath, Entry]
    beside: Mapping[TreePath, Entry]

    def layer(self, below: Mapping[TreePath, Entry]) -> dict[TreePath, Entry]:
        """Return what it lays on a root that holds `below`; raises `ScriptFailed`."""
        if self.script is None:
            return default_install(self.files, epoch=0).entries
        job = NovaJob(star=self.name, script_name=self.script_name, script=self.script, files=self.files,
                      beside=self.beside, root=below, epoch=0)  # fmt: skip
        return run_install(job).entries


def open_star(path: Path) -> Opened:
    """Return the star at `path`; raises `Malformed`, `NoSolution`."""
    if path.is_dir():
        source = read_source_folder(path)
        if source.recipe.sources:
            raise NoSolution(
                str(path), "is made of packages", hint=f"name its archive: stellar build-star {path} makes it"
            )
        recipe = source.recipe
        return Opened(name=str(recipe.name), licence=recipe.license, script_name=recipe.install_script,
                      script=source.script, files=source.files, beside=source.beside)  # fmt: skip
    suffix = next((short for long, short in _SUFFIXES.items() if path.name.endswith(long)), None)
    if suffix is None:
        raise Malformed(str(path), "want a source folder, or an archive whose name ends in .tar.zst or .tar.gz")
    data = bounded_bytes(path, MAX_STAR_ARCHIVE_BYTES)
    size_bytes = len(inflated(data, suffix, MAX_STAR_UNPACKED_BYTES, path.name))
    star = Star.parse(read_star(data, path.name, size_bytes, script_name="").manifest, f"{path.name}: star.toml")
    contents = read_star(data, path.name, size_bytes, script_name=star.install_script)
    return Opened(name=str(star.name), licence=star.license, script_name=star.install_script,
                  script=contents.script or None, files=contents.files, beside=contents.beside)  # fmt: skip


def changes(star: Opened, dependencies: Sequence[Opened]) -> str:
    """Return what `star` does to an empty root, and to that of its dependencies, as `expect.txt` has it."""
    below: dict[TreePath, Entry] = {}
    for dependency in dependencies:
        below |= dependency.layer(below)
    roots = {_EMPTY: dict[TreePath, Entry](), **({_BELOW: below} if dependencies else {})}
    lines: list[str] = []
    for title, root in roots.items():
        lines.append(title)
        try:
            made = star.layer(root)
        except ScriptFailed as failure:
            lines.append(f"failed {failure.problem}")
            continue
        lines += [f"{'changed' if path in root else 'added'} {described(made[path])}" for path in sorted(made)]
    return "".join(f"{line}\n" for line in lines)


def compare(found: str, expect: Path) -> None:
    """Raise `Differs` where `found` is not what the file says, with a line for each difference."""
    if not expect.is_file():
        raise NoSolution(str(expect), "is not there", hint="stellar test --update writes it; then look at it")
    wanted = bounded_bytes(expect, MAX_DOCUMENT_BYTES).decode("utf-8", "backslashreplace").splitlines()
    now = found.splitlines()
    missing = [f"- {line}" for line in wanted if line not in now]
    new = [f"+ {line}" for line in now if line not in wanted]
    if wanted != now:
        raise Differs(
            str(expect),
            "the star does something else",
            differences=(*missing, *new) or ("the lines are in another order",),
            hint="stellar test --update rewrites it, where that is right",
        )


def update(found: str, expect: Path) -> None:
    """Write what the star does into the file."""
    write_durably(expect, found.encode())


def lint(star: Opened) -> tuple[Finding, ...]:
    """Return what is unsafe or unclear about what `star` lays on an empty root."""
    return tuple(_findings(star))


def _findings(star: Opened) -> Iterator[Finding]:
    if not star.licence:
        yield Finding(weight="error", problem="star.toml: it names no license")
    try:
        made = star.layer({})
    except ScriptFailed as failure:
        yield Finding(weight="error", problem=str(failure))
        return
    if star.script is not None and b"filemap" not in star.script:
        yield Finding(
            weight="warning", problem=f"{star.script_name}: declares no outputs: filemap{{…}} would hold it to them"
        )
    for path, entry in made.items():
        if entry.kind == "file" and entry.mode & 0o6000:
            yield Finding(
                weight="warning", problem=f"/{path.text}: runs with its owner's or group's rights ({entry.mode:04o})"
            )
        sticky = entry.kind == "dir" and entry.mode & 0o1000
        if entry.kind != "symlink" and entry.mode & 0o002 and not sticky:
            yield Finding(weight="error", problem=f"/{path.text}: everybody may write to it ({entry.mode:04o})")
        if entry.kind == "symlink" and _climbs_out(path, entry.target):
            yield Finding(
                weight="error", problem=f"/{path.text}: leads out of the root ({entry.target.decode(errors='replace')})"
            )


def _climbs_out(path: TreePath, target: bytes) -> bool:
    """Whether a link, followed by its letter alone, passes above the root."""
    depth = 0 if target.startswith(b"/") else len(path.split(b"/")) - 1
    for part in target.split(b"/"):
        depth += -1 if part == b".." else part not in (b"", b".")
        if depth < 0:
            return True
    return False
