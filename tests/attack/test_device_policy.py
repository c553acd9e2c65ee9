"""What a star may do on a system is the word of its operator, in config.toml; a star cannot give itself anything."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cosmos.device import staging_area
from cosmos.digest import Digest
from cosmos.staging.stage import StagedStar, stage_star
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from cosmos.trust.archives import VerifiedArchive
from cosmos.trust.roles import STAR_TYPE
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers, write_index, write_spec
from fakes.huge_files import HUGE_BYTES, grow, hash_no_huge_file
from fakes.programs import Cosmos, Outcome
from fakes.shells import shell

IS_ROOT = os.geteuid() == 0
RUNS = 'run{"/bin/sh", "-c", "for p in /*; do echo $p; done >etc/list"}'


def script(body: str) -> str:
    return f"function install() {body} end"


def file(path: str, content: bytes = b"x", mode: int = 0o755, **fields: Any) -> dict[str, Entry]:
    return {path: Entry(path=TreePath.parse(path), kind="file", mode=mode, content=content, **fields)}


def link(path: str, target: str) -> dict[str, Entry]:
    return {path: Entry(path=TreePath.parse(path), kind="symlink", mode=0o777, target=target.encode())}


class System:
    """A bare tree that was made a system, and the galaxy that its stars come from."""

    def __init__(self, where: Path, cosmos: Cosmos) -> None:
        self.root = where / "root"
        self.root.mkdir()
        self._cosmos = cosmos
        self.galaxy = make_galaxy(where / "galaxy", "core", (), make_signers())
        self._seq = 1
        cosmos("init", "--root", self.root, "--arch", "x86_64").ok()
        trust = self.galaxy.signers.write_trust(where / "trust.toml")
        cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", self.root).ok()
        cosmos("add-galaxy", "core", self.galaxy.path, "--root", self.root).ok()

    @property
    def settings(self) -> Path:
        return self.root / "etc/cosmos/config.toml"

    def offer(self, *stars: StarSpec) -> None:
        self._seq += 1
        make_galaxy(self.galaxy.path, "core", stars, self.galaxy.signers, seq=self._seq)

    def install(self, *words: str) -> Outcome:
        return self._cosmos("install", *words, "--root", self.root)

    def cosmos(self, *words: object) -> Outcome:
        return self._cosmos(*words, "--root", self.root)

    def policy(self, lines: str) -> None:
        """Write a [policy] by hand, as an operator does."""
        self.settings.write_text(f"{self.settings.read_text()}\n# who may do what\n[policy]\n{lines}\n")

    def tree(self) -> dict[str, tuple[int, int, bytes]]:
        """Everything but what was fetched, and the empty journal."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if not name.startswith(("var/cache", "var/lib/cosmos/journal", "var/lib/cosmos/trust-state")):
                held = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
                found[name] = (path.lstat().st_mode, path.lstat().st_ino, held)
        return found


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos) -> System:
    return System(tmp_path, cosmos)


POWERS: dict[str, tuple[Mapping[str, Entry], str | None, str]] = {
    "run": ({}, RUNS, "run() is not allowed in install()"),
    "setuid": (file("usr/bin/su", mode=0o4755), None, "/usr/bin/su runs with its owner's or group's rights (4755)"),
    "setcap": (file("usr/bin/ping"), 'copy("files/", "/") setcap("/usr/bin/ping", "cap_net_raw+ep")',
               "/usr/bin/ping has capabilities"),
    "mknod": ({}, 'mknod("/etc/null", "c", 1, 3)', "/etc/null is a device"),
    "chown": ({}, 'write("/etc/x", "") chown("/etc/x", 7, 8)', "/etc/x belongs to 7:8"),
    "outside": (file("opt/tool"), None, "/opt/tool lies outside /usr and /etc"),
}  # fmt: skip


def star(power: str) -> StarSpec:
    """A star that needs `power`, and no other one."""
    files, body, _ = POWERS[power]
    made = script(f'mkdir("/etc") {body}') if body else None
    return StarSpec("tool", files=files, script=made, dependencies={"shell": "*"} if power == "run" else {})


@pytest.mark.objective("SO-22")
@pytest.mark.parametrize("power", POWERS)
def test_a_star_may_do_nothing_that_the_operator_did_not_name_it_for(system: System, power: str) -> None:
    system.offer(shell(), star(power))
    before = system.tree()
    for words in (["tool", "--dry-run"], ["tool"], ["tool", "--safe"]):
        refused = system.install(*words).fails(6)
        assert POWERS[power][2] in refused.err
        assert system.tree() == before, "nothing is laid"
    if power == "run":
        refused = system.install("tool").fails(6)
    hinted = re.search(r"write under (\[policy\]) in /etc/cosmos/config\.toml:\n  (.+)", refused.err)
    assert hinted, refused.err
    with system.settings.open("a") as settings:
        settings.write(f"{hinted[1]}\n{hinted[2]}\n")
    done = system.install("tool")
    assert done.code == (0 if IS_ROOT or power != "mknod" else 5), done.err  # only root makes devices
    if IS_ROOT:
        assert system.cosmos("verify", "--json").json()["good"] is True


@pytest.mark.objective("SO-22")
@pytest.mark.parametrize("power", POWERS)
def test_leave_for_another_star_or_another_power_is_none(system: System, power: str) -> None:
    system.offer(shell(), star(power))
    others = "\n".join(f'{other} = ["tool"]' for other in POWERS if other != power)
    system.policy(f'{power} = ["tool2", "too"]\n{others}')
    refused = system.install("tool").fails(6)
    assert f'/etc/cosmos/config.toml:\n  {power} = ["tool2", "too", "tool"]' in refused.err
    assert "image.toml" not in refused.err


@pytest.mark.objective("SO-22")
def test_a_star_cannot_name_itself(system: System) -> None:
    galaxy, author = system.galaxy, system.galaxy.signers["author"]
    listed = write_spec(galaxy, star("setuid"))
    statement = galaxy.statement("tool-1.0.0")
    data = statement.read_bytes() + b'\n[policy]\nsetuid = ["tool"]\n'
    statement.write_bytes(data)
    statement.with_name("tool-1.0.0.toml.dsse").write_bytes(author.sign(STAR_TYPE, data))
    write_index(galaxy, [replace(listed, statement=Digest.of(data))], seq=2)
    assert "the operator's policy does not allow that" in system.install("tool").fails(6).err


@pytest.mark.objective("SO-22")
@pytest.mark.parametrize("way", ["straight", "through-a-link"])
def test_a_star_cannot_write_the_policy(system: System, way: str) -> None:
    folder = "etc/cosmos" if way == "straight" else "usr/share/innocent"
    system.offer(
        StarSpec("door", files=link("usr/share/innocent", "/etc/cosmos")),
        StarSpec("evil", files=file(f"{folder}/config.toml.d", b'[policy]\nsetuid = ["evil"]\n')),
    )
    system.install("door").ok()
    before = system.tree()
    assert "only cosmos itself writes into" in system.install("evil").fails(4).err
    assert system.tree() == before


@pytest.mark.parametrize("target", ["/home", "../../home/.ssh"])
def test_a_path_counts_where_the_systems_links_lead(system: System, target: str) -> None:
    (system.root / "home/.ssh").mkdir(parents=True)
    system.offer(
        StarSpec("door", files=link("usr/share/innocent", target)),
        StarSpec("evil", files=file("usr/share/innocent/authorized_keys", b"ssh-ed25519 mine")),
    )
    system.install("door").ok()
    refused = system.install("evil").fails(6)
    assert "/authorized_keys lies outside /usr and /etc" in refused.err
    assert "/home/" in refused.err
    assert list((system.root / "home").rglob("*keys")) == []


@pytest.mark.parametrize("top", ["usr", "etc2", "lib64", "bin"])
def test_a_link_in_place_of_an_open_folder_opens_nothing(system: System, top: str) -> None:
    system.offer(StarSpec("tool", files=link(top, "/home")))
    assert f"/{top} lies outside /usr and /etc" in system.install("tool").fails(6).err


@pytest.mark.parametrize("path", ["bin/x", "sbin/x", "lib/x", "lib64/ld.so", "etc/x", "usr/x"])
def test_parts_of_usr_are_open_to_every_star_also_where_they_are_not_merged(system: System, path: str) -> None:
    system.offer(StarSpec("tool", files=file(path)))
    system.install("tool").ok()
    assert (system.root / path).is_file()


@pytest.mark.parametrize(
    "path", ["boot/x", "root/.profile", "var/spool/cron/root", "home/x", "x", "usr2/x", "binary/x"]
)
def test_all_else_is_outside(system: System, path: str) -> None:
    system.offer(StarSpec("tool", files=file(path)))
    assert f"/{path} lies outside /usr and /etc" in system.install("tool").fails(6).err


def test_a_system_whose_usr_is_a_link_is_open_where_that_leads(system: System) -> None:
    (system.root / "data/usr").mkdir(parents=True)
    (system.root / "usr").symlink_to("data/usr")
    (system.root / "opt").symlink_to("usr/opt")
    (system.root / "data/usr/opt").mkdir()
    system.offer(
        StarSpec("tool", files={**file("usr/bin/x"), **file("opt/x")}), StarSpec("bad", files=file("data/usr2/x"))
    )
    system.install("tool").ok()
    assert (system.root / "data/usr/opt/x").is_file()
    assert "/data/usr2/x lies outside" in system.install("bad").fails(6).err


@pytest.mark.parametrize("loop", ["/", "."])
def test_a_system_whose_usr_leads_to_its_root_opens_no_more_for_it(system: System, loop: str) -> None:
    (system.root / "usr").symlink_to(loop)
    system.offer(StarSpec("good", files=file("usr/bin/x")), StarSpec("bad", files=file("usr/home/x")))
    system.install("good").ok()
    assert "/home/x lies outside" in system.install("bad").fails(6).err


def test_a_star_is_judged_below_the_operators_install_dir_as_it_is_at_the_root(system: System) -> None:
    system.settings.write_text(system.settings.read_text().replace('install_dir = "/"', 'install_dir = "/opt/stars"'))
    system.offer(StarSpec("good", files=file("usr/bin/x")), StarSpec("bad", files=file("srv/x")))
    system.install("good").ok()
    refused = system.install("bad").fails(6)
    assert "/opt/stars/srv/x lies outside usr and etc of /opt/stars" in refused.err
    assert 'outside = ["bad"]' in refused.err


def test_a_star_is_refused_before_the_stars_that_it_comes_with_are_laid(system: System) -> None:
    system.offer(StarSpec("base", files=file("usr/bin/base")), replace(star("setuid"), dependencies={"base": "*"}))
    before = system.tree()
    system.install("tool").fails(6)
    assert system.tree() == before


def test_what_is_written_by_hand_outlives_the_commands_that_write_the_file(system: System) -> None:
    system.offer(star("setuid"))
    system.policy('setuid = ["su", "tool"]\nrun = []')
    system.cosmos("add-galaxy", "more", system.galaxy.path).ok()
    system.cosmos("remove-galaxy", "more").ok()
    assert tomllib.loads(system.settings.read_text())["policy"] == {"setuid": ["su", "tool"], "run": []}
    system.install("tool").ok()
    assert "may           setuid, by the policy of this system\n" in system.cosmos("show", "tool").ok().out
    assert system.cosmos("show", "tool", "--json").json()["may"] == ["setuid"]


# --- run()


def running(body: str = RUNS, needs: Iterable[str] = ("shell",), name: str = "tool") -> StarSpec:
    return StarSpec(name, script=script(f'mkdir("/etc") {body}'), dependencies=dict.fromkeys(needs, "*"))


@pytest.mark.objective("SO-22")
@pytest.mark.parametrize("below", ["new", "installed"])
@pytest.mark.parametrize("install_dir", ["/", "/opt/stars", "/alias/stars"])
def test_a_script_runs_programs_of_its_dependencies_with_consent_and_never_with_safe(
    system: System, below: str, install_dir: str
) -> None:
    system.settings.write_text(
        system.settings.read_text().replace('install_dir = "/"', f'install_dir = "{install_dir}"')
    )
    (system.root / "alias").symlink_to("opt")
    (system.root / "host-only").write_text("not for programs")
    system.offer(shell(), running())
    system.policy('run = ["tool"]')
    if below == "installed":
        system.install("shell").ok()
    before = system.tree()
    for words in (["tool", "--safe"], ["tool", "--safe", "--dry-run"]):
        assert "--safe refuses run(), whatever the policy says" in system.install(*words).fails(6).err
    system.install("tool", "--dry-run").ok()
    assert system.tree() == before
    system.install("tool").ok()
    laid = install_dir.replace("/alias", "/opt").lstrip("/")
    seen = set((system.root / laid / "etc/list").read_text().split())
    assert (
        {"/proc", "/stage"}
        <= seen - {"/alias"}
        <= {"/bin", "/dev", "/lib", "/lib64", "/proc", "/stage", "/tmp", "/usr"}
    )
    assert system.cosmos("verify", "--json").json()["good"] is True


@pytest.mark.parametrize("below", ["new", "installed"])
def test_tools_are_found_where_the_systems_links_lead(system: System, below: str) -> None:
    (system.root / "usr").mkdir()
    for top in ("bin", "lib", "lib64"):
        (system.root / "usr" / top).mkdir()
        (system.root / top).symlink_to(f"usr/{top}")
    system.offer(shell(), running())
    system.policy('run = ["tool"]')
    if below == "installed":
        system.install("shell").ok()
    system.install("tool").ok()
    assert "/bin" in (system.root / "etc/list").read_text().split()


def test_a_program_that_a_dependency_of_a_dependency_made_is_a_tool(system: System) -> None:
    made = 'write("/usr/bin/hello", "#!/bin/sh\\necho hello >$1\\n", "0755") symlink("hello", "/usr/bin/hi")'
    system.offer(
        shell(),
        StarSpec("kit", script=script(made), dependencies={"shell": "*"}),
        StarSpec("kits", type="nebula", dependencies={"kit": "*"}),
        running('run{"hi", "etc/hello"}', ["kits"]),
        running('run{"hello", "etc/later"}', ["kits"], "later"),
    )
    system.policy('run = ["tool", "later"]')
    system.install("tool").ok()
    assert (system.root / "etc/hello").read_text() == "hello\n"
    system.install("later").ok()  # all that it runs is installed by now
    assert (system.root / "etc/later").read_text() == "hello\n"


def test_what_a_program_made_is_placed_and_is_the_tool_of_later_stars(system: System) -> None:
    """The program gives something else each time. It ran again for each tool, and the later result was the tool."""
    made = 'run{"/bin/sh", "-c", "read id </proc/sys/kernel/random/uuid; echo $id >etc/id"}'
    copied = 'run{"/bin/sh", "-c", "read id </etc/id; echo $id >etc/seen"}'
    system.offer(shell(), running(made), running(copied, ["shell", "tool"], "later"))
    system.policy('run = ["tool", "later"]')
    system.install("later").ok()
    placed = (system.root / "etc/id").read_text()
    assert re.fullmatch(r"[0-9a-f-]{36}\n", placed)
    assert (system.root / "etc/seen").read_text() == placed
    assert system.cosmos("verify", "--json").json()["good"] is True


def test_a_chain_of_stars_that_run_each_others_programs_is_staged_in_linear_time(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each star of the chain doubled the stagings: 127 for this one."""
    staged: list[str] = []

    def noted(archive: VerifiedArchive, *rest: Any) -> StagedStar:
        staged.append(str(archive.star.name))
        return stage_star(archive, *rest)

    monkeypatch.setattr(staging_area, "stage_star", noted)
    chain = [
        StarSpec(
            f"t{at}",
            script=script(
                f"""mkdir("/etc") mkdir("/usr/bin") write("/usr/bin/t{at}", "#!/bin/sh\\necho {at} >>$1\\n", "0755")
                run{{"t{at - 1}", "etc/log-{at}"}}"""
                if at
                else """write("/usr/bin/t0", "#!/bin/sh\\necho 0 >>$1\\n", "0755") run{"/bin/sh", "-c", "true"}"""
            ),
            dependencies={"shell": "*"} if not at else {f"t{at - 1}": "*"},
        )
        for at in range(6)
    ]
    system.offer(shell(), *chain)
    system.policy(f"run = {[spec.name for spec in chain]}")
    system.install("t5").ok()
    assert (system.root / "etc/log-5").read_text() == "4\n"
    assert sorted(staged) == ["shell"] * 7 + [f"t{at}" for at in range(6)]


@pytest.mark.objective("SO-22")
def test_a_program_of_the_system_that_no_dependency_brought_is_none(system: System) -> None:
    system.offer(shell(), running('run{"/bin/sh", "-c", "true"}', []))
    system.policy('run = ["tool"]')
    system.install("shell").ok()
    assert "ended with status 1" in system.install("tool").fails(6).err


CHANGES = {
    "other-bytes": lambda path: path.write_bytes(path.read_bytes() + b"evil"),
    "as-many-other-bytes": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
    "gone": lambda path: path.unlink(),
    "a-link": lambda path: (path.rename(path.with_name("moved")), path.symlink_to("moved")),
    "a-folder": lambda path: (path.unlink(), path.mkdir()),
    "a-fifo": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.objective("SO-22")
def test_a_tool_that_became_very_long_is_refused_and_not_read(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system.offer(shell(), running(RUNS))
    system.policy('run = ["tool"]')
    system.install("shell").ok()
    grow(system.root / "bin/sh")
    hash_no_huge_file(monkeypatch)
    said = f"/bin/sh: is {HUGE_BYTES} bytes long, but shell installed it as sha256:"
    assert said in system.install("tool").fails(4).err


@pytest.mark.objective("SO-22")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("words", [["tool"], ["tool", "--dry-run"]], ids=["install", "dry-run"])
def test_a_tool_that_was_changed_on_the_system_is_refused_by_name(
    system: System, change: str, words: list[str]
) -> None:
    system.offer(shell(), running(f"pcall(function() {RUNS} end)"))  # a script cannot look away
    system.policy('run = ["tool"]')
    system.install("shell").ok()
    CHANGES[change](system.root / "bin/sh")
    before = system.tree()
    refused = system.install(*words).fails(4)
    assert "/bin/sh: is " in refused.err
    assert "but shell installed it as sha256:" in refused.err
    assert "cosmos verify" in refused.err
    assert system.tree() == before


@pytest.mark.objective("SO-22")
def test_a_link_that_was_changed_on_the_system_is_refused_by_name(system: System) -> None:
    system.offer(
        StarSpec("shell", files={**shell().files, **link("usr/bin/alias", "/bin/sh")}),
        running('run{"alias", "-c", "true"}'),
    )
    system.policy('run = ["tool"]')
    system.install("shell").ok()
    (system.root / "usr/bin/alias").unlink()
    (system.root / "usr/bin/alias").symlink_to("/bin/evil")
    assert "/usr/bin/alias: leads to /bin/evil, but shell installed it" in system.install("tool").fails(4).err


def test_a_hard_link_that_leads_nowhere_is_refused_by_name(system: System) -> None:
    twin = Entry(path=TreePath(b"usr/bin/twin"), kind="hardlink", mode=0o755, target=b"bin/sh")
    system.offer(
        StarSpec("shell", files={**shell().files, "usr/bin/twin": twin}),
        running('run{"twin", "-c", "echo x >etc/first"}'),
        running('run{"twin", "-c", "echo x >etc/second"}', name="second"),
    )
    system.policy('run = ["tool", "second"]')
    system.install("shell").ok()
    system.install("tool").ok()
    universe = system.root / "var/lib/cosmos/universe.toml"
    document = tomllib.loads(universe.read_text())
    lines = document["installed"]["shell"]["entries"]
    (place,) = (place for place, line in enumerate(lines) if line.startswith("hardlink "))
    lines[place] = lines[place].rpartition(" ")[0] + " >elsewhere"
    universe.write_text(tomli_w.dumps(document))
    assert "/usr/bin/twin: is not a hard link to one of its files" in system.install("second").fails(4).err


@pytest.mark.objective("SO-22")
def test_a_star_that_was_recorded_without_digests_brings_no_tools(system: System) -> None:
    system.offer(shell(), running())
    system.policy('run = ["tool"]')
    system.install("shell").ok()
    universe = system.root / "var/lib/cosmos/universe.toml"
    document = tomllib.loads(universe.read_text())
    del document["installed"]["shell"]["entries"]
    universe.write_text(tomli_w.dumps(document))
    assert "shell: was recorded without digests" in system.install("tool").fails(4).err


@pytest.mark.objective("SO-22")
def test_without_bubblewrap_nothing_runs_and_nothing_is_laid(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system.offer(shell(), running(f"pcall(function() {RUNS} end)"))
    system.policy('run = ["tool"]')
    before = system.tree()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "bubblewrap" in system.install("tool").fails(5).err
    assert system.tree() == before


def test_a_galaxy_that_nobody_signs_gives_nothing_either(system: System) -> None:
    galaxy: GalaxyFixture = make_galaxy(
        system.galaxy.path.with_name("unsigned"), "loose", [replace(star("setuid"), signed=False)],
        system.galaxy.signers, signed=False,
    )  # fmt: skip
    system.cosmos("remove-galaxy", "core").ok()
    system.cosmos("add-galaxy", "loose", galaxy.path, "--allow-unsigned").ok()
    assert 'setuid = ["tool"]' in system.install("tool").fails(6).err
