"""`stellar test` and `stellar lint`: what a star does, against what its author expects and what is safe."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.programs import Cosmos

SCRIPT = """
function install()
  copy("x", "/usr/bin/x")
  if exists("/usr/lib/dep") then symlink("/usr/lib/dep", "/usr/d") end
end
"""


@pytest.fixture
def star(tmp_path: Path) -> Callable[..., Path]:
    """Writes a source folder."""

    def make(name: str, script: str | None, files: dict[str, str], more: str = 'license = "MIT"') -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path, text in files.items():
            (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "files" / path).write_text(text)
        named = 'install_script = "install.lua"\n' if script else ""
        (folder / "star.toml").write_text(f'name = "{name}"\nversion = "1.0.0"\ndescription = "d"\n{named}{more}\n')
        if script:
            (folder / "install.lua").write_text(script)
        return folder

    return make


def test_what_a_star_does_is_written_and_compared(star: Callable[..., Path], stellar: Cosmos) -> None:
    tool, dependency = star("tool", SCRIPT, {"x": "x"}), star("dep", None, {"usr/lib/dep": "d"})
    assert "stellar test STAR --update" in stellar("test", tool).fails(3).err
    stellar("test", tool, "--below", dependency, "--update").ok()
    assert (tool / "expect.txt").read_text().splitlines() == [
        "# on an empty root",
        "added file 0644 0:0 /usr/bin/x = files/x",
        "# on the root of its dependencies",
        "added file 0644 0:0 /usr/bin/x = files/x",
        "added symlink 0777 0:0 /usr/d -> /usr/lib/dep",
    ]
    stellar("test", tool, "--below", dependency).ok()
    (tool / "install.lua").write_text(SCRIPT.replace("/usr/bin/x", "/usr/bin/y"))
    differs = stellar("test", tool, "--below", dependency).fails(7)
    assert "-added file 0644 0:0 /usr/bin/x = files/x" in differs.err
    assert "+added file 0644 0:0 /usr/bin/y = files/x" in differs.err


def test_a_script_that_fails_is_expected_to(star: Callable[..., Path], stellar: Cosmos) -> None:
    tool = star("tool", 'function install() copy("nope", "/x") end', {})
    stellar("test", tool, "--update").ok()
    assert "failed install.lua:1: copy: nope is not in" in (tool / "expect.txt").read_text()


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ('write("/usr/x", "", "4755")', "warning: /usr/x: runs with its owner's"),
        ('write("/usr/x", "", "0666")', "error: /usr/x: everybody may write to it (0666)"),
        ('mkdir("/usr/x", "0777")', "error: /usr/x: everybody may write to it (0777)"),
        ('mkdir("/etc/profile.d", "1777")', "error: /etc/profile.d: everybody may write to it (1777)"),
        (
            'symlink("../../etc/passwd", "/usr/x")',
            "error: tool: install.lua:1: symlink: the target ../../etc/passwd climbs",
        ),
        ('symlink("/../x", "/usr/x")', "error: tool: install.lua:1: symlink: the target /../x climbs above the root"),
        ('setcap("/usr/x", "cap_net_raw+ep")', "warning: /usr/x: has more rights or marks than its mode says"),
        ('symlink("y", "/usr/x")', "warning: /usr/x: leads to nothing (y)"),
        ('symlink("x", "/usr/x")', "warning: /usr/x: leads nowhere"),
        ("", "warning: install.lua: declares no outputs"),
        ("--[[ filemap ]]", "warning: install.lua: declares no outputs"),
        ("error('x')", "error: tool: install.lua:1: x"),
    ],
)
def test_what_is_unsafe_is_found(star: Callable[..., Path], stellar: Cosmos, body: str, finding: str) -> None:
    made = 'write("/usr/x", "x") ' if body.startswith("setcap") else ""
    found = stellar("lint", star("tool", f"function install() {made}{body} end", {}))
    assert finding in found.out
    assert found.code == (2 if "error: " in found.out else 0)


def test_a_star_without_fault_has_no_finding(star: Callable[..., Path], stellar: Cosmos) -> None:
    body = """
    function install()
      filemap{"/tmp", "/dev/null", "/etc/mtab", "/usr/a", "/usr/b"}
      mkdir("/tmp", "1777")
      mknod("/dev/null", "c", 1, 3, "0666")
      symlink("../proc/mounts", "/etc/mtab")
      write("/usr/a", "a")
      symlink("a", "/usr/b")
    end
    """
    assert stellar("lint", star("tool", body, {})).ok().out == ""
    assert "has no license" in stellar("lint", star("bare", body, {}, "")).fails(2).out


PEM = "-----BEGIN PRIVATE KEY-----\n" + "M" * 64 + "\n-----END PRIVATE KEY-----\n"


def test_a_private_key_or_a_token_in_a_star_is_warned_of(star: Callable[..., Path], stellar: Cosmos) -> None:
    script = f'-- {"ghp_" + "a" * 36}\nfunction install() filemap{{"/etc/key"}} copy("key", "/etc/key") end'
    found = stellar("lint", star("tool", script, {"key": PEM, "unused": PEM, "public": "-----BEGIN PUBLIC KEY-----\n"}))
    assert found.ok().out.splitlines() == [
        "warning: files/key: has a private key in PEM at byte 0; whoever has the star has it, too",
        "warning: files/unused: has a private key in PEM at byte 0; whoever has the star has it, too",
        "warning: install.lua: has a token of GitHub at byte 3; whoever has the star has it, too",
    ]


def test_a_private_key_that_a_script_writes_is_warned_of(star: Callable[..., Path], stellar: Cosmos) -> None:
    lines = PEM.splitlines()
    parts = " .. ".join(f'"{line}\\n"' for line in lines)
    script = (
        f'function install() filemap{{"/etc/ssh/ssh_host_rsa_key"}} write("/etc/ssh/ssh_host_rsa_key", {parts}) end'
    )
    found = stellar("lint", star("tool", script, {}))
    assert "warning: /etc/ssh/ssh_host_rsa_key: is a host key" in found.ok().out


# --- on a galaxy ------------------------------------------------------------------------------------------------------

EVERYTHING = "function install() copy('usr', '/usr') end"


def of_package(name: str, revision: str, files: dict[str, bytes], **more: Any) -> StarSpec:
    """Return a star that was made of the package NAME-REVISION-amd64."""
    return StarSpec(name, files=files, packages=[f"{name}-{revision}-amd64"], **more)


@pytest.fixture
def on(tmp_path: Path) -> Callable[..., Path]:
    """Writes a galaxy of these stars; a second call is its next snapshot."""
    seqs = itertools.count(1)

    def make(*stars: StarSpec) -> Path:
        return make_galaxy(tmp_path / "galaxy", "core", stars, make_signers(), seq=next(seqs)).path

    return make


def recipe(star: Callable[..., Path], name: str, script: str | None, wants: str = "") -> Path:
    """Write the source folder of a star that is made of a package."""
    about = f'license = "MIT"\nsource = "deb:{name}-*-amd64"\n[dependencies]\n{wants}'
    return star(name, script, {}, about)


def test_a_folder_made_of_packages_is_tried_on_its_archive(
    star: Callable[..., Path], on: Callable[..., Path], stellar: Cosmos
) -> None:
    tool = recipe(star, "tool", EVERYTHING)
    assert "--galaxy" in stellar("test", tool).fails(3).err
    assert "has no star tool" in stellar("test", tool, "--galaxy", on()).fails(3).err
    galaxy = on(of_package("tool", "56", {"usr/bin/tool": b"v1"}, script="function install() end"))
    stellar("test", tool, "--galaxy", galaxy, "--update").ok()
    assert "/usr/bin/tool = files/usr/bin/tool\n" in (tool / "expect.txt").read_text(), "the folder's script ran"


def test_what_a_star_does_outlives_a_new_revision_of_its_package(
    star: Callable[..., Path], on: Callable[..., Path], stellar: Cosmos
) -> None:
    script = "function install() copy('usr', '/usr') symlink('tool-56-amd64', '/usr/tool') write('/usr/w', 'w') end"
    tool = recipe(star, "tool", script)
    galaxy = on(of_package("tool", "56", {"usr/tool-56-amd64": b"old", "usr/sha-256": b"x"}))
    stellar("test", tool, "--galaxy", galaxy, "--update").ok()
    assert [line.split(" sha256:")[0] for line in (tool / "expect.txt").read_text().splitlines()] == [
        "# on an empty root",
        "added file 0755 0:0 /usr/sha-256 = files/usr/sha-256",
        "added symlink 0777 0:0 /usr/tool -> tool-*-amd64",
        "added file 0755 0:0 /usr/tool-*-amd64 = files/usr/tool-*-amd64",
        "added file 0644 0:0 /usr/w 1",
    ]
    (tool / "install.lua").write_text(script.replace("56", "57"))
    old = of_package("tool", "56", {"usr/tool-56-amd64": b"old"})
    on(old, of_package("tool", "57", {"usr/tool-57-amd64": b"new", "usr/sha-256": b"y"}, version="1.1.0"))
    assert "as expected" in stellar("test", tool, "--galaxy", galaxy).ok().out
    on(of_package("tool", "58", {"usr/tool-58-amd64": b"new", "usr/more": b"y", "usr/sha-256": b"y"}, version="1.2.0"))
    assert "+added file 0755 0:0 /usr/more" in stellar("test", tool, "--galaxy", galaxy).fails(7).err


def test_dependencies_come_from_the_galaxy_each_laid_on_its_own_alone(
    star: Callable[..., Path], on: Callable[..., Path], stellar: Cosmos
) -> None:
    seen = """
    function install()
      write("/usr/NAME", "")
      for _, path in ipairs(glob("/usr/*")) do symlink("x", "/opt/NAME-saw-" .. string.match(path, "[^/]+$")) end
    end
    """

    def noting(name: str, **wants: str) -> StarSpec:
        return StarSpec(name, dependencies=wants, script=seen.replace("NAME", name))

    script = "function install() for _, path in ipairs(glob('/opt/*')) do copy('x', path) end end"
    tool = star("tool", script, {"x": ""}, 'license = "MIT"\n[dependencies]\nb = "1"\na = "1"')
    assert "depends on a 1, b 1" in stellar("test", tool).fails(3).err
    galaxy = on(noting("a"), noting("b", c="1"), noting("c", e="1"), noting("d"), noting("e"))
    stellar("test", tool, "--galaxy", galaxy, "--update").ok()
    found = (tool / "expect.txt").read_text()
    assert found.startswith("# on an empty root\nnothing\n# on the root of its dependencies\n")
    saw = [line.split()[4].removeprefix("/opt/") for line in found.splitlines() if line.startswith("changed")]
    assert saw == ["a-saw-a", "b-saw-b", "b-saw-c", "b-saw-e", "c-saw-c", "c-saw-e", "e-saw-e"], "nobody needs d"


def test_the_version_that_fits_is_taken(star: Callable[..., Path], on: Callable[..., Path], stellar: Cosmos) -> None:
    script = "function install() for _, p in ipairs(glob('/usr/v*')) do write(p, '') end end"
    tool = star("tool", script, {}, 'license = "MIT"\n[dependencies]\nlib = "*"')
    galaxy = on(*(StarSpec("lib", version, {f"usr/v{version}": b""}) for version in ("1.0.0", "2.0.0", "3.0.0-rc.1")))
    stellar("test", tool, "--galaxy", galaxy, "--update").ok()
    assert "/usr/v2.0.0 " in (tool / "expect.txt").read_text()
    (tool / "star.toml").write_text((tool / "star.toml").read_text().replace('"*"', '"1"'))
    assert "+changed file 0644 0:0 /usr/v1.0.0" in stellar("test", tool, "--galaxy", galaxy).fails(7).err
    (tool / "star.toml").write_text((tool / "star.toml").read_text().replace('"1"', '"4"'))
    assert "lib" in stellar("test", tool, "--galaxy", galaxy).fails(3).err


def test_a_galaxy_that_is_not_what_its_index_lists_is_refused(
    star: Callable[..., Path], on: Callable[..., Path], stellar: Cosmos, tmp_path: Path
) -> None:
    tool = recipe(star, "tool", EVERYTHING)
    galaxy = on(of_package("tool", "56", {"usr/x": b"x"}), StarSpec("other", files={"usr/y": b"y"}))
    packages = galaxy / "packages"
    other = (packages / "other-1.0.0.tar.zst").read_bytes()
    (packages / "tool-1.0.0.tar.zst").write_bytes(other)
    assert "the index lists sha256:" in stellar("test", tool, "--galaxy", galaxy).fails(4).err
    (packages / "tool-1.0.0.tar.zst").unlink()
    assert "index-galaxy" in stellar("test", tool, "--galaxy", galaxy).fails(3).err
    (galaxy / "stars/tool-1.0.0.toml").write_bytes((galaxy / "stars/other-1.0.0.toml").read_bytes())
    assert "the index lists sha256:" in stellar("test", tool, "--galaxy", galaxy).fails(4).err
    assert "is not a galaxy" in stellar("test", tool, "--galaxy", tmp_path / "nowhere").fails(2).err
    assert "give one of the two" in stellar("test", tool, "--galaxy", galaxy, "--below", tool).fails(2).err


def test_machines_learn_what_differs(star: Callable[..., Path], stellar: Cosmos) -> None:
    tool = star("tool", None, {f"usr/f{number:03}": "x" for number in range(100)})
    assert json.loads(stellar("test", tool, "--json").fails(3).out)["error"]["family"] == "no-solution"
    assert stellar("test", tool, "--update", "--json").json() == {"star": "tool", "same": True, "differences": []}
    assert stellar("test", tool, "--json").json() == {"star": "tool", "same": True, "differences": []}
    (tool / "expect.txt").write_text("# on an empty root\n")
    differs = stellar("test", tool, "--json").fails(7)
    answer = json.loads(differs.out)
    assert (answer["star"], answer["same"], len(answer["differences"])) == ("tool", False, 101)
    assert answer["differences"][:2] == ["@@ -1,0 +2,100 @@", "+added file 0644 0:0 /usr/f000 = files/usr/f000"]
    assert "… and 41 lines more; --json has all" in differs.err
    assert "/usr/f099" not in differs.err


def test_a_link_into_a_dependency_leads_somewhere(
    star: Callable[..., Path], on: Callable[..., Path], stellar: Cosmos
) -> None:
    script = """
    function install()
      filemap{"/usr/a", "/usr/b"}
      symlink("lib/x", "/usr/a")
      symlink("lib/gone", "/usr/b")
    end
    """
    tool = star("tool", script, {}, 'license = "MIT"\n[dependencies]\nlib = "1"')
    assert stellar("lint", tool).ok().out == "", "what the dependencies lay is not known"
    galaxy = on(StarSpec("lib", files={"usr/lib/x": b"x"}))
    assert stellar("lint", tool, "--galaxy", galaxy).ok().out == "warning: /usr/b: leads to nothing (lib/gone)\n"


def test_the_licence_may_come_from_the_package(
    star: Callable[..., Path], on: Callable[..., Path], stellar: Cosmos
) -> None:
    tool = star("tool", None, {}, 'source = "deb:tool"')
    assert stellar("lint", tool, "--galaxy", on(StarSpec("tool", files={"usr/x": b"x"}))).ok().out == ""
    assert "--galaxy" in stellar("lint", tool).fails(3).err


def test_a_dependency_may_be_provided_and_must_not_fail(
    star: Callable[..., Path], on: Callable[..., Path], stellar: Cosmos
) -> None:
    script = "function install() if exists('/usr/sendmail') then write('/usr/mail', '') end end"
    tool = star("tool", script, {}, 'license = "MIT"\n[dependencies]\nmta = "1"')
    galaxy = on(StarSpec("postfix", files={"usr/sendmail": b"x"}, provides={"mta": "1.0.0"}))
    stellar("test", tool, "--galaxy", galaxy, "--update").ok()
    assert "added file 0644 0:0 /usr/mail" in (tool / "expect.txt").read_text()
    on(StarSpec("mta", script="function install() error('no') end"))
    assert "mta: install.lua:1: no" in stellar("test", tool, "--galaxy", galaxy).fails(6).err


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    stars = (
        StarSpec("base", files={"usr/lib/base": b"b"}),
        StarSpec("tool", "1.0.0", {"x": b"old"}, {"base": "*"}, script="function install() error('old') end"),
        StarSpec("tool", "2.0.0", {"x": b"x"}, {"base": "*"}, script='function install() copy("x", "/usr/x") end'),
        StarSpec("all", dependencies={"tool": "*"}, type="nebula"),
    )
    return make_galaxy(tmp_path / "whole", "core", stars, make_signers()).path


def test_every_star_of_a_galaxy_is_tried_in_its_newest_version(whole: Path, stellar: Cosmos) -> None:
    assert stellar("test", "--galaxy", whole).ok().out.splitlines() == [
        "all 1.0.0 (any): runs, 0 entries",
        "base 1.0.0 (any): runs, 1 entry",
        "tool 2.0.0 (any): runs, 1 entry",
    ]
    assert [row["problem"] for row in stellar("test", "--galaxy", whole, "--json").json()["stars"]] == ["", "", ""]
    done = stellar("lint", "--galaxy", whole).ok()
    assert done.out == "tool 2.0.0 (any): warning: install.lua: declares no outputs; add filemap{…}\n"
    assert "no errors, 1 warning" in done.err


def test_a_star_of_a_galaxy_that_fails_is_named_and_the_others_are_tried(tmp_path: Path, stellar: Cosmos) -> None:
    stars = (
        StarSpec("bad", script="function install() nope() end"),
        StarSpec("good", files={"usr/x": b"x"}),
        StarSpec("lost", dependencies={"nothing": "*"}),
        StarSpec("needs-bad", dependencies={"bad": "*"}),
    )
    folder = make_galaxy(tmp_path / "whole", "core", stars, make_signers()).path
    failed = stellar("test", "--galaxy", folder).fails(7)
    assert failed.out == "good 1.0.0 (any): runs, 1 entry\n"
    assert "3 stars of 4 do not install" in failed.err
    for line in ("bad 1.0.0 (any): bad: install.lua:1: ", "lost 1.0.0 (any): its dependencies: ", "needs-bad 1.0.0"):
        assert line in failed.err
    rows = stellar("lint", "--galaxy", folder, "--json")
    assert rows.code == 2
    assert {row["star"] for row in json.loads(rows.out)} >= {"bad 1.0.0 (any)", "lost 1.0.0 (any)"}


def test_without_a_star_and_a_galaxy_the_command_says_what_to_name(whole: Path, stellar: Cosmos) -> None:
    for command in ("test", "lint"):
        assert "name a STAR, or a --galaxy to try all of its stars" in stellar(command).fails(2).err
    assert "belong to one STAR" in stellar("test", "--galaxy", whole, "--update").fails(2).err
    (whole / "meta.toml").write_text('name = "core"\n[stars]\nzlib = "1.0.0"\n')
    assert "lists no star in [[snapshot]]" in stellar("test", "--galaxy", whole).fails(3).err
