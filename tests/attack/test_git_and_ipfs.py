"""Galaxies in git and in IPFS: real repositories, a gateway and a program; none of them is believed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.transport import git as git_module
from cosmos.transport.carrier import Carrier, NotThere
from cosmos.transport.network import Authorities, Network
from cosmos.transport.opening import open_carrier
from cosmos.transport.proxies import Proxies
from fakes.galaxies import Signers, StarSpec, make_galaxy, make_signers
from fakes.git_repositories import committed, git, git_server
from fakes.kept_servers import certificate, kept, proxy
from fakes.programs import Cosmos

STARS = [StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z" * 5000}), StarSpec("tool", "2.0.0", {"usr/bin/t": b"t"})]
CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
PROGRAMS = {"PATH": os.defpath}


@pytest.fixture
def signers() -> Signers:
    return make_signers()


@pytest.fixture
def system(tmp_path: Path, signers: Signers, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system that pinned the keys; its user has a configuration of git that would harm."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(
        '[filter "spoil"]\n  smudge = echo spoilt\n[core]\n  autocrlf = true\n'
        f'[url "file://{tmp_path}/elsewhere"]\n  insteadOf = file://{tmp_path}/galaxy\n'
    )
    root = tmp_path / "system"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    trust = signers.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    return root


def repository(folder: Path, files: dict[str, bytes]) -> str:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return committed(folder)


def carrier(url: str, tmp_path: Path, network: Network | None = None) -> Carrier:
    return open_carrier(url, tmp_path, tmp_path / "partial", network or Network(programs=PROGRAMS))


# git: a galaxy at one commit.


def test_a_galaxy_in_git_is_synced_installed_from_and_then_needs_no_network(
    tmp_path: Path, signers: Signers, system: Path, cosmos: Cosmos
) -> None:
    galaxy = make_galaxy(tmp_path / "galaxy", "core", STARS, signers).path
    commit = committed(galaxy)
    cosmos("add-galaxy", "core", f"git+file://{galaxy}@{commit}", "--root", system).ok()
    assert cosmos("list-galaxies", "--json", "--root", system).json()["galaxies"][0]["local"] is False
    assert "2 versions, 2 archives" in cosmos("sync", "--full", "--root", system).ok().out
    shutil.rmtree(galaxy)
    cosmos("install", "zlib", "tool", "--offline", "--yes", "--root", system).ok()
    assert (system / "usr/lib/libz.so.1").read_bytes() == b"z" * 5000


def test_bytes_from_git_are_judged_as_all_others(
    tmp_path: Path, signers: Signers, system: Path, cosmos: Cosmos
) -> None:
    """The commit's id is right, and its files are not those that were signed."""
    galaxy = make_galaxy(tmp_path / "galaxy", "core", STARS, signers).path
    archive = next((galaxy / "packages").glob("zlib*"))
    archive.write_bytes(archive.read_bytes()[:-1] + b"!")
    cosmos("add-galaxy", "core", f"git+file://{galaxy}@{committed(galaxy)}", "--root", system).ok()
    assert "zlib" in cosmos("sync", "--full", "--root", system).fails(4).err
    index = galaxy / "meta.toml"
    index.write_text(index.read_text().replace("seq = 1", "seq = 9"))
    cosmos("add-galaxy", "core", f"git+file://{galaxy}@{committed(galaxy)}", "--root", system).ok()
    cosmos("sync", "--root", system).fails(4)


def test_a_commit_stays_the_same_when_its_branch_moves(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    first = repository(repo, {"meta.toml": b"1"})
    repository(repo, {"meta.toml": b"2"})
    assert carrier(f"git+file://{repo}@{first}", tmp_path).read("meta.toml", max_bytes=9) == b"1"


@pytest.mark.parametrize(
    "address",
    [
        "git+file:///repo",
        "git+file:///repo@main",
        "git+file:///repo@HEAD",
        "git+file:///repo@v1.0",
        "git+file:///repo@" + "a" * 39,
        "git+file:///repo@" + "A" * 40,
        "git+file:///repo@" + "a" * 64,
        "git+file://host/repo@" + "a" * 40,
        "git+https:///repo@" + "a" * 40,
        "git+https://host/repo?x@" + "a" * 40,
        "git+https://reader:hunter2@host/repo@" + "a" * 40,
        "git+https://reader@host/repo@" + "a" * 40,
        "git+ssh://host/repo@" + "a" * 40,
        "git+http://host/repo@" + "a" * 40,
        "git+ext://sh -c touch@" + "a" * 40,
        "git+file:///re\0po@" + "a" * 40,
        "git+https://host/re\x1bpo@" + "a" * 40,
        "ipfs://",
        "ipfs://example.org",
        f"ipfs://{CID}/../x",
        f"ipfs://{CID}x!",
        f"ipns://{CID}",
    ],
)
def test_what_may_move_or_name_a_program_is_no_address(tmp_path: Path, address: str) -> None:
    with pytest.raises(Malformed) as caught:
        carrier(address, tmp_path)
    assert "hunter2" not in str(caught.value)
    assert not (tmp_path / "partial").exists()


def test_a_tag_s_own_id_is_no_commit(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repository(repo, {"meta.toml": b"1"})
    git(repo, "tag", "--annotate", "--message=x", "v1")
    tag = git(repo, "rev-parse", "v1")
    with pytest.raises(Refused, match="is not the id of a commit"):
        carrier(f"git+file://{repo}@{tag}", tmp_path).read("meta.toml", max_bytes=9)


def test_bytes_come_as_they_are_stored_whatever_the_repository_s_attributes_say(system: Path, tmp_path: Path) -> None:
    """`system` gave the user a filter and line endings of Windows."""
    repo = tmp_path / "repo"
    attributes = b"* filter=spoil text eol=crlf ident working-tree-encoding=UTF-16\n* export-subst\n"
    lines = b"one\ntwo $Id$ $Format:%H$\n"
    commit = repository(repo, {"meta.toml": lines})
    (repo / ".gitattributes").write_bytes(attributes)
    blob = git(repo, "hash-object", "-w", "--no-filters", ".gitattributes")
    git(repo, "update-index", "--add", "--cacheinfo", f"100644,{blob},.gitattributes")
    git(repo, "commit", "--quiet", "--message=attributes")
    commit = git(repo, "rev-parse", "HEAD")
    files = carrier(f"git+file://{repo}@{commit}", tmp_path)
    assert files.read("meta.toml", max_bytes=99) == lines
    assert files.read(".gitattributes", max_bytes=99) == attributes


def test_links_and_submodules_are_left_out_and_no_hook_runs(tmp_path: Path) -> None:
    other, repo = tmp_path / "other", tmp_path / "repo"
    repository(other, {"inside": b"x"})
    (tmp_path / "secret").write_bytes(b"secret")
    repository(repo, {"meta.toml": b"1"})
    (repo / "link").symlink_to(tmp_path / "secret")
    (repo / "folder").symlink_to(tmp_path)
    git(repo, "submodule", "--quiet", "add", str(other), "below")
    commit = committed(repo)
    for name in ("post-checkout", "post-merge", "reference-transaction", "pre-upload", "post-index-change"):
        hook = repo / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
        hook.chmod(0o755)
    files = carrier(f"git+file://{repo}@{commit}", tmp_path)
    assert files.read("meta.toml", max_bytes=9) == b"1"
    for path in ("link", "folder/secret", "below/inside"):
        with pytest.raises(NotThere):
            files.read(path, max_bytes=9)
    laid = [place for place in (tmp_path / "partial").rglob("*") if place.is_symlink()]
    assert laid == []
    assert not (tmp_path / "hooked").exists()


def test_a_file_whose_name_no_galaxy_has_is_left_out_and_harms_no_other(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repository(repo, {"meta.toml": b"1"})
    blob = git(repo, "hash-object", "-w", "meta.toml")
    names = ("meta.toml", "b\\\\c", "n" * 300)
    (repo / "rows").write_text("".join(f'100644 blob {blob}\t"{name}"\n' for name in sorted(names)))
    tree = os.popen(f"cd {repo} && git mktree < rows").read().strip()
    files = carrier(f"git+file://{repo}@{git(repo, 'commit-tree', '-m', 'odd', tree)}", tmp_path)
    assert files.read("meta.toml", max_bytes=9) == b"1"
    with pytest.raises(Refused, match="does not stay inside the galaxy"):
        files.read("b\\c", max_bytes=9)
    laid = [place.name for place in (tmp_path / "partial").rglob("*") if place.is_file()]
    assert "meta.toml" in laid
    assert [name for name in laid if "\\" in name or name.startswith("nnn")] == []


def tree_bomb(repo: Path) -> str:
    """A commit of a few objects whose list of files has 4 ** 12 rows."""
    repository(repo, {"meta.toml": b"1"})
    blob = git(repo, "hash-object", "-w", "meta.toml")
    rows = f"100644 blob {blob}\tmeta.toml\n"
    for _ in range(12):
        (repo / "rows").write_text(rows)
        made = os.popen(f"cd {repo} && git mktree < rows").read().strip()
        rows = "".join(f"040000 tree {made}\t{name * 20}\n" for name in "abcd")
    (repo / "rows").write_text(rows)
    tree = os.popen(f"cd {repo} && git mktree < rows").read().strip()
    return git(repo, "commit-tree", "-m", "bomb", tree)


def test_a_commit_whose_list_of_files_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_module, "MAX_GIT_LIST_BYTES", 1 << 20)
    repo = tmp_path / "repo"
    commit = tree_bomb(repo)
    git(repo, "update-ref", "refs/heads/main", commit)
    with pytest.raises(WorldFailed, match="git was ended by SIGXFSZ"):
        carrier(f"git+file://{repo}@{commit}", tmp_path).read("meta.toml", max_bytes=9)


@pytest.mark.parametrize(("limit", "bound"), [("MAX_GIT_FILES", 2), ("MAX_GIT_BYTES", 40_000)])
def test_a_commit_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, bound: int) -> None:
    repo = tmp_path / "repo"
    commit = repository(repo, dict.fromkeys("abc", b"x" * 20000))
    url = f"git+file://{repo}@{commit}"
    monkeypatch.setattr(git_module, limit, bound)
    with pytest.raises(Refused, match=f"{bound} (are the most|bytes)"):
        carrier(url, tmp_path).read("a", max_bytes=1 << 20)
    monkeypatch.undo()
    assert carrier(url, tmp_path).read("a", max_bytes=1 << 20) == b"x" * 20_000


STRANGE_GITS = {
    "lists files in another form": ("ls-tree", "s/ blob / blub blob /", Refused, "git lists its files in a form that"),
    "hands out another object": ("cat-file --batch", "1s/blob/tree/", WorldFailed, "git does not hand out meta.toml"),
    "hands out too little": ("cat-file --batch", "$d", WorldFailed, "git does not hand out all of meta.toml"),
    "hands out too much": ("cat-file --batch", "$s/$/more/", WorldFailed, "git does not hand out all of meta.toml"),
}


@pytest.mark.parametrize("strange", STRANGE_GITS)
def test_what_a_strange_git_hands_out_is_not_taken(tmp_path: Path, strange: str) -> None:
    words, change, error, said = STRANGE_GITS[strange]
    repo, programs = tmp_path / "repo", tmp_path / "programs"
    commit = repository(repo, {"meta.toml": b"1\n2\n"})
    programs.mkdir()
    (programs / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *" {words}"*) {shutil.which("git")} "$@" | sed -z \'{change}\' ;;\n'.replace(
            "sed -z", "sed -z" if words == "ls-tree" else "sed"
        )
        + f'*) exec {shutil.which("git")} "$@" ;;\nesac\n'
    )
    (programs / "git").chmod(0o755)
    network = Network(programs={"PATH": str(programs)})
    with pytest.raises(error, match=said):
        carrier(f"git+file://{repo}@{commit}", tmp_path, network).read("meta.toml", max_bytes=9)
    assert carrier(f"git+file://{repo}@{commit}", tmp_path).read("meta.toml", max_bytes=9) == b"1\n2\n"


def test_a_commit_that_is_not_there_and_a_machine_without_git_are_called_so(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    commit = repository(repo, {"meta.toml": b"1"})
    with pytest.raises(WorldFailed, match="git ended with status"):
        carrier(f"git+file://{repo}@{'0' * 40}", tmp_path).read("meta.toml", max_bytes=9)
    with pytest.raises(WorldFailed, match="git: this program is needed") as caught:
        carrier(f"git+file://{repo}@{commit}", tmp_path, Network(programs={"PATH": str(tmp_path)})).read(
            "meta.toml", max_bytes=9
        )
    assert "install git" in str(caught.value.hint)
    assert not list((tmp_path / "partial").rglob("*.complete"))


def test_the_cache_is_asked_first_is_begun_again_if_cut_off_and_keeps_four_commits(tmp_path: Path) -> None:
    repo, place = tmp_path / "repo", tmp_path / "partial" / "git"
    commits = [repository(repo, {"meta.toml": b"%d" % number}) for number in range(6)]
    for number, commit in enumerate(commits):
        assert carrier(f"git+file://{repo}@{commit}", tmp_path).read("meta.toml", max_bytes=9) == b"%d" % number
        os.utime(place / f"{commit}.complete", (number, number))
    assert sorted(name.name for name in place.glob("?" * 40)) == sorted(commits[2:])
    last = commits[-1]
    (place / f"{last}.complete").unlink()
    (place / last / "meta.toml").write_bytes(b"half")
    assert carrier(f"git+file://{repo}@{last}", tmp_path).read("meta.toml", max_bytes=9) == b"5"
    shutil.rmtree(repo)
    assert carrier(f"git+file://{repo}@{last}", tmp_path).read("meta.toml", max_bytes=9) == b"5"


def test_git_over_https_asks_the_pinned_authorities_and_the_proxy(tmp_path: Path) -> None:
    repos = tmp_path / "repos"
    commit = repository(repos / "repo", {"meta.toml": b"1", "packages/a": bytes(100_000)})
    pem = certificate(tmp_path)
    pinned = Authorities(source="ca.pem", pem=(tmp_path / "cert.pem").read_bytes())
    with git_server(repos, pem) as address, proxy(tmp_path) as between:
        url = f"git+{address}/repo/.git@{commit}"
        with pytest.raises(WorldFailed, match="certificate"):
            carrier(url, tmp_path).read("meta.toml", max_bytes=9)
        network = Network(
            programs=PROGRAMS,
            authorities=lambda: pinned,
            proxies=Proxies({"https_proxy": between.address}),
        )
        files = carrier(url, tmp_path, network)
        assert files.read("meta.toml", max_bytes=9) == b"1"
        assert files.read_exactly("packages/a", size_bytes=100_000, progress=lambda done: None) == bytes(100_000)
        assert {row[0] for row in between.requests} == {"CONNECT"}


# ipfs: a gateway, or a program.


@pytest.fixture
def gateway(tmp_path: Path, signers: Signers) -> Iterator[tuple[str, Path]]:
    """The address of a gateway, and the galaxy's folder behind it."""
    folder = tmp_path / "gateway" / "ipfs" / CID
    folder.parent.mkdir(parents=True)
    make_galaxy(folder, "core", STARS, signers)
    with kept(tmp_path / "gateway") as server:
        yield server.address, folder


def test_a_galaxy_in_ipfs_comes_through_a_gateway(
    gateway: tuple[str, Path], system: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPFS_GATEWAY", gateway[0] + "/")
    cosmos("add-galaxy", "core", f"ipfs://{CID}", "--root", system).ok()
    assert "2 versions, 2 archives" in cosmos("sync", "--full", "--root", system).ok().out
    cosmos("install", "zlib", "--yes", "--root", system).ok()
    config = (system / "etc/cosmos/config.toml").read_text()
    assert f"ipfs://{CID}" in config
    assert "127.0.0.1" not in config


@pytest.mark.parametrize("file", ["meta.toml", "stars/zlib-1.3.1.toml", "packages/zlib*"])
def test_a_gateway_that_lies_is_refused(
    gateway: tuple[str, Path], system: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setenv("IPFS_GATEWAY", gateway[0])
    cosmos("add-galaxy", "core", f"ipfs://{CID}", "--root", system).ok()
    lie = next(gateway[1].glob(file))
    data = lie.read_bytes()
    lie.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    cosmos("sync", "--full", "--root", system).fails(4)
    cosmos("install", "zlib", "--yes", "--root", system).fails(4)
    assert not (system / "usr/lib/libz.so.1").exists()


def test_a_gateway_that_is_no_address_is_named_by_its_variable(
    system: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPFS_GATEWAY", "gopher://x")
    cosmos("add-galaxy", "core", f"ipfs://{CID}", "--root", system)
    assert "IPFS_GATEWAY: names no gateway" in cosmos("sync", "--root", system).err


def ipfs_program(folder: Path, files: Path) -> None:
    """A program `ipfs` that hands out files as kubo does."""
    folder.mkdir()
    (folder / "ipfs").write_text(
        "#!/bin/sh\n"
        f'[ "$1" = cat ] || exit 1\nlength=${{2#--length=}}; file={files}/${{3#/ipfs/{CID}/}}\n'
        '[ -f "$file" ] || { echo "Error: no link named \\"x\\" under $3" >&2; exit 1; }\n'
        'exec head -c "$length" "$file"\n'
    )
    (folder / "ipfs").chmod(stat.S_IRWXU)


def test_the_program_ipfs_hands_out_a_galaxy_and_a_lie_of_it_is_refused(
    gateway: tuple[str, Path], system: Path, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ipfs_program(tmp_path / "bin", gateway[1])
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("IPFS_GATEWAY", raising=False)
    cosmos("add-galaxy", "core", f"ipfs://{CID}", "--root", system).ok()
    cosmos("install", "zlib", "--yes", "--root", system).ok()
    archive = next((gateway[1] / "packages").glob("tool*"))
    size = archive.stat().st_size
    archive.write_bytes(b"x" * size)
    cosmos("install", "tool", "--yes", "--root", system).fails(4)
    archive.write_bytes(b"x" * (size + 9_000_000))
    assert f"want {size} bytes, got more" in cosmos("install", "tool", "--yes", "--root", system).fails(4).err


def test_a_machine_with_neither_gateway_nor_program_is_told_both(tmp_path: Path) -> None:
    with pytest.raises(WorldFailed, match="ipfs: this program is needed") as caught:
        carrier(f"ipfs://{CID}", tmp_path, Network(programs={"PATH": str(tmp_path)})).read("meta.toml", max_bytes=9)
    assert "IPFS_GATEWAY=http://HOST:PORT" in str(caught.value.hint)
