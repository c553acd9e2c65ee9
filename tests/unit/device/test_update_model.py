"""Random old and new trees of two stars, with random edits: which paths remain is what a naive model says.

Some paths of one tree are folders of the other, or links to a folder: each change of kind is tried.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import tomli_w
from hypothesis import assume, given
from hypothesis import strategies as st

from cosmos.device.initialise import initialise
from cosmos.device.install import InstallRequest, install
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.settings import write_settings
from cosmos.device.system import TRUST_PATH
from cosmos.device.uninstall import UninstallRequest, uninstall
from cosmos.device.update import UpdateRequest, update
from cosmos.device.verify import verify_system
from cosmos.errors import NoSolution
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.image import GalaxySource
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.reporter import Silent
from cosmos.model.settings import Settings
from cosmos.resolve.resolving import Wish
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.examples import tried
from fakes.galaxies import StarSpec, make_galaxy, make_signers

PATHS = ("etc/c", "etc/d/c", "etc/d/e/c", "usr/a/x", "usr/a/y", "usr/b/s/x", "usr/b/s/y", "usr/z")
ABOVE = ("etc/d", "etc/d/e", "usr/a", "usr/b", "usr/b/s")
LINK = b"-> b"  # of /usr/a: what lies below it in the other tree would be in /usr/b
STARS = ("a", "b")

Disk = dict[str, bytes]
Owned = Mapping[str, tuple[str, bytes]]  # a path, with its star and its bytes


def possible(tree: Owned) -> Owned:
    """Return the tree without the paths that others make a folder, and with the link at its one place."""
    held = {path: (star, b"1" if data == LINK and path != "usr/a" else data) for path, (star, data) in tree.items()}
    return {path: one for path, one in held.items() if not any(other.startswith(f"{path}/") for other in held)}


trees = st.dictionaries(
    st.sampled_from(PATHS + ABOVE), st.tuples(st.sampled_from(STARS), st.sampled_from([b"1", b"2", LINK])), max_size=8
).map(possible)
edits = st.dictionaries(
    st.sampled_from((*PATHS, *ABOVE, "usr/a/mine", "usr/b/s/mine", "etc/d/mine")),
    st.sampled_from([b"1", b"2", b"mine", None]),
    max_size=3,
)


def after_update(disk: Disk, old: Owned, new: Owned) -> Disk | None:
    """Return the files after an update; None if it is refused."""
    left = dict(disk)
    for path, (_, was) in old.items():
        now = new[path][1] if path in new else None
        held = disk.get(path)
        if now is None:
            if held == was:
                del left[path]
        elif held in (was, now) or (held is None and not path.startswith("etc/")):
            left[path] = now
        elif not path.startswith("etc/"):
            return None
        elif now != was:
            left[f"{path}.cosmos-new"] = now
    if any(path in left and path not in old for path in new):
        return None  # somebody's own file
    left |= {path: now for path, (_, now) in new.items() if path not in old}
    return None if folders_of([*left, *new]) & left.keys() else left


def leads_through(old: Owned, new: Owned) -> bool:
    """Return whether the first star has paths below a link that the second one may or may not have any more."""
    return old.get("usr/a") == ("b", LINK) and any(
        path.startswith("usr/a/") and star == "a" for path, (star, _) in new.items()
    )


def after_uninstall(disk: Disk, owned: Owned) -> Disk:
    """Return the files after an uninstallation of both stars."""
    ours = {path: data for path, (_, data) in owned.items()}
    return {path: held for path, held in disk.items() if ours.get(path.removesuffix(".cosmos-new")) != held}


def folders_of(paths: object) -> set[str]:
    """Return the folders above these paths."""
    return {str(above) for path in paths for above in Path(path).parents} - {"."}


def found(root: Path) -> tuple[Disk, set[str]]:
    """Return the files and the folders of the system but cosmos's own."""
    every = [path for top in ("etc", "usr") if (root / top).exists() for path in (root / top).rglob("*")]
    ours = [path for path in every if "cosmos" not in path.relative_to(root).parts]
    folders = {str(path.relative_to(root)) for path in ours if path.is_dir() and not path.is_symlink()} | {"etc"}
    if (root / "usr").exists():
        folders.add("usr")
    return {str(path.relative_to(root)): read(path) for path in ours if path.is_symlink() or path.is_file()}, folders


def read(path: Path) -> bytes:
    return b"-> " + os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()


def files_of(star: str, tree: Owned) -> dict[str, bytes | Entry]:
    link = Entry(path=TreePath(b"usr/a"), kind="symlink", mode=0o777, target=LINK.removeprefix(b"-> "))
    return {path: link if data == LINK else data for path, (owner, data) in tree.items() if owner == star}


@pytest.mark.slow
@tried(same=15, new=100)
@given(old=trees, new=trees, edited=edits)
def test_what_remains_is_what_the_model_says(old: Owned, new: Owned, edited: dict[str, bytes | None]) -> None:
    assume(not leads_through(old, new))
    work = Path(tempfile.mkdtemp(prefix="cosmos-test-"))
    try:
        demand_as_the_model_says(work, old, new, edited)
    finally:
        shutil.rmtree(work)


def demand_as_the_model_says(work: Path, old: Owned, new: Owned, edited: dict[str, bytes | None]) -> None:
    galaxy, root, signers = work / "galaxy", work / "system", make_signers()
    root.mkdir()
    first = [StarSpec(star, "1.0.0", files_of(star, old)) for star in STARS]
    make_galaxy(galaxy, "core", first, signers)
    with LiveRoot.open(root) as live, at_work(live):
        initialise(live, arch=Arch("x86_64"), version="1")
        write_settings(live, Settings(galaxies=(GalaxySource(name=GalaxyName("core"), url=str(galaxy)),)))
        live.replace_document(TRUST_PATH, tomli_w.dumps(signers.roots().to_toml()).encode())
    wishes = [Wish(who="user", name=StarName(star), constraint=ANY_VERSION) for star in STARS]
    with LiveRoot.open(root) as live:
        install(live, InstallRequest(wishes=wishes, offline=False, epoch=1), Silent())
    disk = {path: data for path, (_, data) in old.items()}
    assert found(root) == (disk, folders_of(disk) | {"etc"})
    for path, data in edited.items():
        if path in old:
            disk.pop(path)
            (root / path).unlink()
        is_own = path.endswith("mine") and str(Path(path).parent) in folders_of(old)
        if data is not None and (path in old or is_own):
            disk[path] = data
            (root / path).write_bytes(data)
    second = [StarSpec(star, "2.0.0", files_of(star, new)) for star in STARS]
    make_galaxy(galaxy, "core", [*first, *second], signers, seq=2)
    expected = after_update(disk, old, new)
    request = UpdateRequest(wishes=(), lowering=(), offline=False, epoch=1)
    before = found(root)
    with LiveRoot.open(root) as live:
        if expected is None:
            with pytest.raises(NoSolution):
                update(live, request, Silent(), lambda _changes: None)
            assert found(root) == before
            return
        update(live, request, Silent(), lambda _changes: None)
    assert found(root) == (expected, folders_of([*expected, *new]) | {"etc"})
    named = {str(one.path) for one in verify_system(root).differences}
    assert named == {path for path, (_, data) in new.items() if expected.get(path) != data}
    with LiveRoot.open(root) as live:
        uninstall(live, UninstallRequest(stars=tuple(map(StarName, STARS))), Silent())
    left = after_uninstall(expected, new)
    assert found(root) == (left, folders_of(left) | {"etc"})
    assert verify_system(root).is_good
