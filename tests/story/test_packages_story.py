"""Several stars at once, the scripts that are not run, and packages by themselves: from an archive on this disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.digest import Digest
from fakes.debs import LocalArchive, control_text, make_deb, make_local_archive
from fakes.programs import Cosmos

SUITE = "test"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalArchive:
    """A host that uses another suite of the archive than the one that the tests' recipes name."""
    debs = {
        f"{name}_1.0-1_amd64.deb": make_deb(
            control_text(name), {f"usr/bin/{name}": name.encode()}, suffix="", scripts=scripts
        )
        for name, scripts in (("hello", ("postinst", "prerm")), ("bye", ("postinst",)), ("quiet", ()))
    }
    made = make_local_archive(tmp_path / "host", debs, signed=True)
    made.sources(f"deb file://{made.root}/archive another main\n")
    monkeypatch.setenv("APT_CONFIG", str(made.apt_config))
    monkeypatch.setattr("cosmos.debian.apt_sources.KEYRINGS", (made.root / "etc/key.asc",))
    return made


@pytest.fixture
def stars(tmp_path: Path) -> Path:
    """Three recipes of the suite."""
    for name in ("hello", "bye", "quiet"):
        (tmp_path / "stars" / name).mkdir(parents=True)
        text = f'name = "{name}"\nlicense = "MIT"\ndescription = "x"\nsource = "deb:{name}"\nsuite = "{SUITE}"\n'
        (tmp_path / "stars" / name / "star.toml").write_text(text)
    return tmp_path / "stars"


def words(tmp_path: Path) -> tuple[str | Path, ...]:
    return ("--home", tmp_path / "home", "--arch", "x86_64")


def test_several_stars_are_built_in_one_go_and_each_is_named_in_its_turn(
    host: LocalArchive, stars: Path, stellar: Cosmos, tmp_path: Path
) -> None:
    folders = [stars / name for name in ("hello", "bye", "quiet")]
    done = stellar("build-star", *folders, "--out", tmp_path / "out", *words(tmp_path)).ok()
    said = [line for line in done.err.splitlines() if not line.startswith("stellar: warning: apt")]
    assert said == [
        "apt: fetch the lists of packages of Debian test",
        "star 1 of 3: hello 1.0-1",
        "star 2 of 3: bye 1.0-1",
        "star 3 of 3: quiet 1.0-1",
        "built 3 stars",
        f"not run: 3 maintainer scripts of 2 stars; to list them: stellar scripts {folders[0]} {folders[1]}",
    ]
    archives = [line.split()[0] for line in done.out.splitlines()]
    assert archives == [
        str(path) for name in ("hello", "bye", "quiet") for path in (tmp_path / "out").glob(f"{name}-*")
    ]


def test_the_scripts_that_are_not_run_can_be_listed(
    host: LocalArchive, stars: Path, stellar: Cosmos, tmp_path: Path
) -> None:
    found = stellar("scripts", stars / "hello", stars / "quiet", *words(tmp_path)).ok()
    assert found.out == f"{stars / 'hello'}: hello: postinst\n{stars / 'hello'}: hello: prerm\n"
    rows = stellar("scripts", stars / "hello", stars / "quiet", "--json", *words(tmp_path)).json()
    assert rows == {str(stars / "hello"): ["hello: postinst", "hello: prerm"], str(stars / "quiet"): []}


def test_packages_of_a_suite_are_fetched_checked_into_a_folder(
    host: LocalArchive, stellar: Cosmos, tmp_path: Path
) -> None:
    rows = stellar(
        "fetch", "hello", "bye=1.0-1", "--suite", SUITE, "--out", tmp_path / "debs", "--json", *words(tmp_path)
    ).json()
    assert [Path(row["file"]).name for row in rows] == ["hello_1.0-1_amd64.deb", "bye_1.0-1_amd64.deb"]
    for row in rows:
        data = Path(row["file"]).read_bytes()
        assert (str(Digest.of(data)), data) == (
            row["digest"],
            (host.root / "archive/pool" / Path(row["file"]).name).read_bytes(),
        )
    stellar("fetch", "nothing-of-the-kind", "--suite", SUITE, *words(tmp_path)).fails(3)
    stellar("fetch", "hello", "--suite", "stable", *words(tmp_path)).fails(2)
    stellar("fetch", "../hello", *words(tmp_path)).fails(2)


def test_a_suite_that_the_host_cannot_give_is_given_by_a_file_of_sources(
    host: LocalArchive, stars: Path, stellar: Cosmos, tmp_path: Path
) -> None:
    named = tmp_path / "sources of mine"
    named.write_text(f"deb [signed-by={host.root}/etc/key.asc] file://{host.root}/archive {SUITE} main\n")
    host.sources("deb [signed-by=/keys/vendor.gpg] file:///nowhere another main\n")
    refused = stellar("build-star", stars / "hello", "--out", tmp_path / "out", *words(tmp_path)).fails(5)
    assert "Debian test: the host's sources name no archive of Debian" in refused.err
    assert "hint: check the network, or name a file of sources: --apt-sources FILE" in refused.err
    built = stellar("build-star", stars / "hello", "--out", tmp_path / "out", "--apt-sources", named, *words(tmp_path))
    assert built.ok().out.startswith(f"{tmp_path / 'out'}/hello-")


def test_every_recipe_of_this_repository_says_which_suite_it_is_of(repo: Path) -> None:
    texts = {path.parent.name: path.read_text() for path in (repo / "stars").glob("*/star.toml")}
    of_packages = {name for name, text in texts.items() if '"deb:' in text}
    assert len(of_packages) > 20
    assert {name for name in of_packages if 'suite = "bookworm"\n' not in texts[name]} == set()
