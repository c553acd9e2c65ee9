"""A maintainer's day, through the program: a star of one's own, a galaxy, and packages of a distribution."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.names import GalaxyName, KeyName, StarName
from cosmos.model.version import Version
from cosmos.trust.galaxies import verify_index
from cosmos.trust.keys import PublicKey
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots
from cosmos.trust.stars import verify_statement
from fakes.debs import LocalArchive, control_text, make_deb, make_local_archive
from fakes.users import open_to_all

Program = Callable[..., object]


@pytest.fixture
def keys(cosmos: Program, tmp_path: Path) -> Path:
    for role in ("author", "galaxy"):
        assert cosmos("key", "new", role, "--role", role, "--no-passphrase", "--home", tmp_path / "home").code == 0
    return tmp_path / "home/keys"


def pinned(keys: Path) -> TrustRoots:
    """Return trust roots that pin the two keys."""
    author, galaxy = (PublicKey.parse((keys / f"{name}.pub").read_bytes(), name) for name in ("author", "galaxy"))
    assert author.name == KeyName("author")
    return TrustRoots(
        version=1,
        description="",
        roles={"galaxy": RoleKeys(threshold=1, keys=(galaxy,))},
        author_threshold=1,
        authors=(AuthorKey(key=author, galaxies=("*",), stars=("*",)),),
    )


def test_from_nothing_to_a_signed_galaxy(stellar: Program, keys: Path, tmp_path: Path) -> None:
    stars, galaxy = tmp_path / "stars", tmp_path / "galaxy"
    about = ("--description", "says hello", "--license", "MIT")
    assert stellar("new-star", "hello", "--folder", stars, *about).code == 0
    checked = stellar("validate", stars / "hello")
    assert (checked.code, checked.out) == (0, f"{stars / 'hello'}: good\n")
    assert stellar("galaxy-init", galaxy, "--name", "mine").code == 0
    signing = ("--key", keys / "author.key")
    built = stellar("build-star", stars / "hello", "--galaxy", galaxy, *signing)
    assert built.code == 0, built.err
    assert built.out.startswith(f"{galaxy}/packages/hello-0.1.0.tar.zst sha256:")
    done = stellar("index-galaxy", galaxy, "--key", keys / "galaxy.key", "--json")
    assert json.loads(done.out)["seq"] == 1
    roots = pinned(keys)
    index = verify_index(
        (galaxy / "meta.toml").read_bytes(),
        (galaxy / "meta.toml.dsse").read_bytes(),
        galaxy=GalaxyName("mine"),
        roots=roots,
        allow_unsigned=False,
        source="meta.toml",
    )
    assert {str(name): str(version) for name, version in index.index.newest.items()} == {"hello": "0.1.0"}
    file = galaxy / "stars/hello-0.1.0.toml"
    statement = verify_statement(
        file.read_bytes(),
        file.with_name(f"{file.name}.dsse").read_bytes(),
        galaxy=GalaxyName("mine"),
        name=StarName("hello"),
        version=Version.parse("0.1.0"),
        roots=roots,
        allow_unsigned=False,
        source="hello",
    )
    assert len(statement.signers) == 1


def test_a_galaxy_can_be_signed_afterwards_and_by_more_keys(stellar: Program, keys: Path, tmp_path: Path) -> None:
    galaxy = tmp_path / "galaxy"
    stellar("new-star", "hello", "--folder", tmp_path, "--license", "MIT", "--description", "x")
    stellar("galaxy-init", galaxy)
    assert stellar("build-star", tmp_path / "hello", "--galaxy", galaxy).code == 0
    assert stellar("index-galaxy", galaxy).code == 0
    assert not list(galaxy.rglob("*.dsse"))
    both = ("--key", keys / "author.key", "--key", keys / "galaxy.key")
    signed = stellar("sign", galaxy, *both)
    assert signed.code == 0, signed.err
    assert signed.out == f"{galaxy}: 2 signatures added, seq 1\n"
    assert sorted(file.name for file in galaxy.rglob("*.dsse")) == [
        "1.toml.dsse",
        "hello-0.1.0.toml.dsse",
        "meta.toml.dsse",
    ]
    assert stellar("sign", galaxy, *both).out == ""
    assert stellar("sign", galaxy / "meta.toml", "--key", keys / "author.key").code == 2


def test_without_a_galaxy_the_archive_is_written_where_one_is(
    stellar: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stellar("new-star", "hello", "--folder", tmp_path, "--license", "MIT", "--description", "x")
    monkeypatch.chdir(tmp_path)
    (row,) = json.loads(stellar("build-star", "hello", "--json").out)
    assert row["archive"] == "hello-0.1.0.tar.zst"
    assert (tmp_path / row["archive"]).stat().st_size == row["size-bytes"]
    assert stellar("validate", row["archive"]).code == 0
    assert stellar("build-star", "hello", "--key", "star.toml").code == 2


def test_what_is_wrong_is_answered_with_its_exit_code(stellar: Program, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/star.toml").write_text('name = "bad"\nversion = "1"\n')
    assert stellar("validate", tmp_path / "bad").code == 2
    rows = json.loads(stellar("validate", tmp_path / "bad", "--json").out)
    assert "version: want MAJOR.MINOR.PATCH" in rows[str(tmp_path / "bad")][0]["problem"]
    missing = stellar("build-star", tmp_path / "nowhere")
    assert (missing.code, "stellar new-star nowhere" in missing.err) == (2, True)
    assert stellar("index-galaxy", tmp_path / "nowhere").code == 2
    assert stellar("sign", tmp_path / "bad/star.toml").code == 2


def test_every_command_has_help(stellar: Program) -> None:
    for command in ("new-star", "build-star", "validate", "import-deb", "galaxy-init", "index-galaxy", "sign", "trust"):
        assert stellar(command, "--help").code == 0


# --- packages, from a small signed archive on this disk ---------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalArchive:
    copyright_file = b"Format: x\n\nFiles: *\nLicense: Expat\n"

    def deb(name: str, **more: str) -> bytes:
        files = {"usr/bin": None, f"usr/bin/{name}": name.encode(), f"usr/share/doc/{name}/copyright": copyright_file}
        return make_deb(control_text(name, **more), files, suffix="", scripts=("postinst",))

    debs = {
        "hello_1.0-1_amd64.deb": deb("hello", depends="libhello (>= 1.0)"),
        "libhello_1.0-1_amd64.deb": deb("libhello", depends="hello-data"),
        "hello-data_1.0-1_all.deb": deb("hello-data", architecture="all", depends="libhello"),
        "base-files_12.4_all.deb": deb("base-files", version="12.4", architecture="all", essential="yes"),
        "dash_0.5.12-2_amd64.deb": deb("dash", version="0.5.12-2", essential="yes", pre_depends="dash-lib"),
        "dash-lib_1.0-1_all.deb": deb("dash-lib", architecture="all"),
    }
    made = make_local_archive(tmp_path / "host", debs, signed=True)
    monkeypatch.setenv("APT_CONFIG", str(made.apt_config))
    return made


def test_packages_are_imported_with_all_that_they_need(
    stellar: Program, host: LocalArchive, keys: Path, tmp_path: Path
) -> None:
    galaxy = tmp_path / "galaxy"
    stellar("galaxy-init", galaxy, "--name", "deb")
    words = ("hello", "--galaxy", galaxy, "--home", tmp_path / "home", "--arch", "x86_64", "--key", keys / "author.key")
    done = stellar("import-deb", *words, "--closure")
    assert done.code == 0, done.err
    assert [line.rpartition("/")[2] for line in done.out.splitlines()] == [
        "hello-1.0-1-x86_64.tar.zst MIT",
        "hello-data-1.0-1.tar.zst MIT",
        "libhello-1.0-1-x86_64.tar.zst MIT",
    ]
    assert "3 packages have maintainer scripts, which are not run: hello, hello-data, libhello" in done.err
    said = "Debian assumes these 2 packages, and no package names them: base-files, dash; --with-essential imports them"
    assert done.err.count(said) == 1
    assert stellar("index-galaxy", galaxy, "--key", keys / "galaxy.key").code == 0
    index = GalaxyIndex.parse((galaxy / "meta.toml").read_bytes(), "meta.toml")
    assert len(index.snapshot) == 3
    again = json.loads(stellar("import-deb", *words, "--closure", "--offline", "--json").out)
    assert [row["new"] for row in again["stars"]] == [False, False, False]


def test_what_debian_assumes_is_imported_where_it_is_asked_for_and_has_one_name(
    stellar: Program, host: LocalArchive, keys: Path, tmp_path: Path
) -> None:
    galaxy = tmp_path / "galaxy"
    stellar("galaxy-init", galaxy, "--name", "deb")
    words = ("hello", "--galaxy", galaxy, "--home", tmp_path / "home", "--arch", "x86_64", "--key", keys / "author.key")
    plain = json.loads(stellar("import-deb", *words, "--json").out)
    assert (plain["assumed"], plain["missing"]) == (["base-files", "dash"], ["libhello"])
    whole = json.loads(stellar("import-deb", *words, "--with-essential", "--json").out)
    assert {row["name"]: row["version"] for row in whole["stars"]} == {
        "base-files": "12.4",
        "dash": "0.5.12-2",
        "dash-lib": "1.0-1",
        "debian-essential": "12.4",
        "hello": "1.0-1",
    }
    assert (whole["assumed"], whole["missing"], "cut" in whole) == ([], ["libhello"], False)


def test_a_recipe_names_a_package_and_builds_offline_afterwards(
    stellar: Program, host: LocalArchive, tmp_path: Path
) -> None:
    assert stellar("new-star", "hi", "--folder", tmp_path, "--deb", "hello", "--license", "MIT").code == 0
    words = ("build-star", tmp_path / "hi", "--home", tmp_path / "home", "--arch", "x86_64")
    first = stellar(*words, "--out", tmp_path / "one", "--json")
    assert first.code == 0, first.err
    second = stellar(*words, "--out", tmp_path / "two", "--json", "--offline")
    assert json.loads(first.out)[0]["digest"] == json.loads(second.out)[0]["digest"]
    shutil.rmtree(tmp_path / "home")
    assert stellar(*words, "--offline").code == 5


# --- packages, from the archives that this machine uses ---------------------------------------------------------------

RESCUE = ("busybox-static", "dropbear-bin", "e2fsprogs")
MODULES = (
    'name = "{}"\nsource = "deb:linux-image-cloud-amd64 -> linux-image-*-cloud-amd64"\n'
    '[unpack]\nkernel-modules = ["virtio_net", "ext4"]\n'
)


@pytest.mark.network
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(RESCUE, id="programs"),
        # a kernel and its modules are imported in every run, by `make image`, which compares them with those of others
        pytest.param(("linux",), id="kernel", marks=pytest.mark.exhaustive),
    ],
)
def test_real_packages_give_the_same_bytes_twice(stellar: Program, tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in RESCUE:
        assert stellar("new-star", name, "--folder", tmp_path / "stars", "--deb", name).code == 0
    (tmp_path / "stars/linux").mkdir()
    (tmp_path / "stars/linux/star.toml").write_text(MODULES.format("linux"))
    for name in names:
        digests = []
        for place in ("one", "two"):
            words = ("build-star", tmp_path / "stars" / name, "--home", tmp_path / "home", "--arch", "x86_64")
            done = stellar(*words, "--out", tmp_path / place, "--json")
            assert done.code == 0, done.err
            digests.append(json.loads(done.out)[0]["digest"])
        assert digests[0] == digests[1]
        assert stellar("validate", *(tmp_path / "one").iterdir()).code == 0


@pytest.mark.network
@pytest.mark.exhaustive
def test_a_hundred_real_packages_are_imported(stellar: Program, tmp_path: Path) -> None:
    stellar("galaxy-init", tmp_path / "galaxy", "--name", "deb")
    packages = ("openssh-server", "curl", "nginx-light", "htop", "lvm2", "btrfs-progs", "bind9-dnsutils", "gnupg")
    done = stellar(
        "import-deb", *packages, "--closure", "--galaxy", tmp_path / "galaxy", "--home", tmp_path / "home", "--json"
    )
    answer = json.loads(done.out)
    assert len(answer["stars"]) >= 100
    assert answer["failed"] == {}
    assert stellar("index-galaxy", tmp_path / "galaxy").code == 0


def python_for_everybody() -> str:
    """Return an interpreter of this version that every user may start; this one may lie in a closed folder."""
    version = "{}.{}".format(*sys.version_info)
    for python in (Path(sys.executable).resolve(), Path(f"/usr/bin/python{version}")):
        tried = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", python, "-V"]
        done = subprocess.run(tried, capture_output=True, text=True, cwd="/", check=False)
        if done.returncode == 0 and done.stdout.startswith(f"Python {version}."):
            return str(python)
    pytest.skip(f"every Python {version} is in a folder that only root may enter")


def copy_for_everybody(repo: Path, folder: Path) -> Path:
    """Copy the program, and the libraries that it needs, to the new folder `folder`, where every user may read them."""
    needed = re.findall(r"^([\w.-]+)==", (repo / "requirements.txt").read_text(), re.MULTILINE)
    files = {file: Path(str(file.locate())) for name in needed for file in importlib.metadata.files(name) or []}
    files |= {file.relative_to(repo / "builder"): file for file in (repo / "builder/cosmos").rglob("*")}
    for place, file in files.items():
        if ".." not in place.parts and "__pycache__" not in place.parts and file.is_file():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / place)
    return folder


@pytest.mark.network
def test_an_ordinary_user_needs_no_root(repo: Path) -> None:
    with open_to_all() as work:
        (work / "star").mkdir()
        (work / "star/star.toml").write_text('name = "busybox"\nsource = "deb:busybox-static"\n')
        (work / "out").mkdir()
        (work / "out").chmod(0o777)
        site = str(copy_for_everybody(repo, work / "site"))
        program = f"import sys; sys.path.insert(0, {site!r}); from cosmos.cli.stellar.main import main; main()"
        lead, python = [], sys.executable
        if os.geteuid() == 0:
            lead = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]
            python = python_for_everybody()
        words = ["build-star", work / "star", "--home", work / "out/home", "--out", work / "out", "--arch", "x86_64"]
        ran = subprocess.run(
            [*lead, python, "-c", program, *map(str, words)],
            env={"PATH": os.defpath, "HOME": str(work / "out"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        (archive,) = (work / "out").glob("busybox-*.tar.zst")
        if os.geteuid() == 0:
            assert archive.stat().st_uid == 65534
