"""Paths: links are followed inside the root, nothing leads out of it, merged folders are honoured."""

from __future__ import annotations

import pytest

from cosmos.nova.run import default_install
from cosmos.tree.entry import tree_of
from cosmos.treepath import TreePath


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "..", "a/../../b", "/usr/..", "files/../../x", "./..", "", "a\\0b", "/" + "x" * 300]
)
@pytest.mark.parametrize(
    "call",
    ['write("{}", "x")', 'mkdir("{}")', 'symlink("x", "{}")', 'copy("x", "{}")', 'copy("{}", "/x")', 'exists("{}")',
     'glob("{}/*")', 'mknod("{}", "p")', 'chmod("{}", "0600")', 'filemap{{"{}"}}'],
)  # fmt: skip
def test_a_path_that_climbs_is_refused_by_every_verb(failure, entry, call, path):
    if path == "" and call.startswith("glob"):
        path = ".."
    assert failure(call.format(path), files=[entry("x")]).exit_code == 6


@pytest.mark.parametrize(
    ("target", "lands"),
    [
        ("/etc", "etc/x"),
        ("../../../../../etc", "etc/x"),
        ("../lib", "lib/x"),
        ("/", "x"),
        ("real/.././other", "usr/other/x"),
    ],
)
def test_a_link_of_a_dependency_is_followed_inside_the_root(install, entry, target, lands):
    root = [entry("usr/link", "symlink", target=target.encode()), entry("usr/real", "dir")]
    assert set(install('write("/usr/link/x", "")', root=root).entries) == {TreePath.parse(lands)}


def test_a_link_of_ones_own_is_followed_inside_the_root(install):
    assert TreePath(b"etc/x") in install('symlink("/etc", "/a/l"); write("/a/l/x", "")').entries
    assert TreePath(b"etc/x") in install('symlink("../etc", "/a/l"); write("/a/l/x", "")').entries


@pytest.mark.parametrize("target", ["../../../etc", "../etc", "/../etc", "a/../../etc"])
def test_a_link_that_climbs_above_the_root_is_refused_as_no_image_may_hold_one(failure, target):
    problem = failure(f'symlink("{target}", "/l")')
    assert f"symlink: the target {target} climbs above the root" in str(problem)


@pytest.mark.parametrize("verb", ['write("/usr/{}", "")', 'mkdir("/{}")', 'symlink("{}", "/l")', 'copy("f", "/{}")'])
def test_a_name_that_reorders_what_a_person_reads_is_refused(failure, entry, verb):
    problem = failure(verb.format("a\u202eb"), files=[entry("f", content=b"f")])
    assert "bidirectional control character" in str(problem)
    assert "\u202e" not in str(problem)


def test_links_in_a_circle_are_refused(failure):
    assert "more than 40 symlinks" in str(failure('symlink("b", "/a"); symlink("a", "/b"); write("/a/x", "")'))


def test_a_copy_does_not_write_through_a_link_at_its_end(install, entry, lines):
    body = 'symlink("/etc/passwd", "/x"); copy("f", "/x"); symlink("/etc/passwd", "/y"); write("/y", "w")'
    assert lines(install(body, files=[entry("f", content=b"f")])) == ["file 0644 0:0 /x f", "file 0644 0:0 /y w"]


def test_a_link_that_was_replaced_is_not_followed_any_more(install, failure, entry, lines):
    body = 'write("/lib/a", ""); symlink("other", "/l"); write("/l/a", ""); symlink("third", "/l"); write("/l/b", "")'
    assert [line.split()[3] for line in lines(install(body))] == ["/l", "/lib/a", "/other/a", "/third/b"]
    root = [entry("lib", "symlink", target=b"usr/lib"), entry("usr/lib", "dir")]
    problem = failure('write("/lib/a", ""); write("/lib", "x"); write("/lib/b", "")', root=root)
    assert "/lib is a file" in str(problem)


def test_a_source_does_not_lead_out_of_the_archive(failure, entry):
    files = [entry("out", "symlink", target=b"/etc/passwd"), entry("up", "symlink", target=b"../../../etc")]
    assert "is not in the star's archive" in str(failure('copy("out", "/x")', files=files))
    assert "is not in the star's archive" in str(failure('copy("up/passwd", "/x")', files=files))


def test_merged_folders_are_honoured_for_every_path(install, entry, lines):
    files = [
        entry("bin/sh", content=b"s"),
        entry("bin/link", "symlink", target=b"sh"),
        entry("bin", "symlink", target=b"usr/bin"),
    ]
    body = 'write("/bin/x", ""); chmod("/bin/x", "0755"); log(exists("/usr/bin/x")); log(glob("/bin/*")[1])'
    result = install(body, path_map=usr_merged)
    assert lines(result) == ["file 0755 0:0 /usr/bin/x "]
    assert result.receipt.logs == ("true", "/usr/bin/x")
    copied = install('copy("files", "/")', files=files[:2], path_map=usr_merged)
    assert lines(copied) == ["symlink 0777 0:0 /usr/bin/link -> sh", "file 0644 0:0 /usr/bin/sh s"]


@pytest.mark.parametrize("target", ["/bin/busybox", "../../bin/busybox", "/bin/../bin/./busybox", "/bin/sh"])
def test_a_link_through_a_merged_folder_leads_to_its_file(install, entry, target):
    root = [
        entry("usr/bin/busybox", content=b"b"),
        entry("usr/bin/sh", "symlink", target=b"/bin/busybox"),
        entry("usr/bin/ash", "symlink", target=target.encode()),
    ]
    body = """
        log(exists("/usr/bin/ash"), exists("/bin/ash"))
        symlink("/bin", "/opt/tools")
        write("/opt/tools/mine", "")
        log(exists("/opt/tools/busybox"), exists("/opt/tools/none"), #glob("/opt/tools/*"))"""
    result = install(body, root=root, path_map=usr_merged)
    assert result.receipt.logs == ("true\ttrue", "true\tfalse\t4")
    assert set(result.entries) == {TreePath(b"opt/tools"), TreePath(b"usr/bin/mine")}
    unmerged = install("log(exists('/usr/bin/ash'))", root=root)
    assert unmerged.receipt.logs == ("false",)


def test_merged_folders_in_a_circle_are_refused(failure):
    def circle(path):
        return {b"bin": TreePath(b"sbin"), b"sbin": TreePath(b"bin")}.get(bytes(path), path)

    assert "more than 40 symlinks" in str(failure('symlink("/bin", "/l"); write("/l/x", "")', path_map=circle))


def test_a_link_that_stands_for_the_merge_is_left_out(install, entry):
    files = [entry("bin", "symlink", target=b"usr/bin"), entry("usr/bin/x")]
    assert set(install('copy("files", "/")', files=files, path_map=usr_merged).entries) == {TreePath(b"usr/bin/x")}


def test_hard_links_follow_their_file_into_a_merged_folder(install, entry, lines):
    files = [entry("bin/z", content=b"z"), entry("bin/a", "hardlink", target=b"bin/z")]
    assert lines(install('copy("files", "/")', files=files, path_map=usr_merged)) == [
        "hardlink 0644 0:0 /usr/bin/a -> usr/bin/z",
        "file 0644 0:0 /usr/bin/z z",
    ]


def test_a_star_without_a_script_has_its_files_at_the_root(entry, lines):
    files = [
        entry("etc", "dir", mode=0o700),
        entry("etc/x", content=b"x", mtime=9),
        entry("l", "symlink", target=b"etc/x"),
    ]
    result = default_install(tree_of(files), epoch=5)
    assert lines(result) == ["dir 0700 0:0 /etc", "file 0644 0:0 /etc/x x", "symlink 0777 0:0 /l -> etc/x"]
    assert result.entries[TreePath(b"etc/x")].mtime == 5
    assert default_install({}, epoch=5).entries == {}


def test_a_name_that_is_not_utf8_goes_through_as_it_is(script, entry):
    raw = TreePath(b"caf\xe9")
    files = [entry("x", content=b"1")]
    made = script('function install() copy("x", "/caf\\xe9"); log(glob("/c*")[1]) end', files=files)
    assert raw in made.entries
    assert made.receipt.logs == ("/caf\\xe9",)


def usr_merged(path):
    return TreePath(b"usr/" + path) if path.split(b"/")[0] in (b"bin", b"lib") else path


@pytest.mark.parametrize("call", ["copy({}, '/x')", "symlink('x', {})", "symlink({}, '/x')", "glob({})", "exists({})"])
def test_an_argument_that_no_path_can_be_is_not_looked_at(failure, call):
    long = "('n'):rep(4097)"
    assert "has 4097 bytes, the limit is 4096" in str(failure(call.format(long)))
