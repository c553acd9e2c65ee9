"""Each verb: what it makes, and what it says when it cannot."""

from __future__ import annotations

import pytest

from cosmos.errors import WorldFailed
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.treepath import TreePath


def test_a_folder_is_copied_with_all_that_is_in_it(install, entry, lines):
    files = [
        entry("share", "dir", mode=0o750),
        entry("share/a", content=b"a", mode=0o4755, uid=3, gid=4),
        entry("share/deep/b", content=b"b"),
        entry("share/link", "symlink", target=b"a"),
        entry("other", content=b"o"),
    ]
    assert lines(install('copy("share", "/usr/share")', files=files)) == [
        "dir 0750 0:0 /usr/share",
        "file 4755 3:4 /usr/share/a a",
        "file 0644 0:0 /usr/share/deep/b b",
        "symlink 0777 0:0 /usr/share/link -> a",
    ]


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ('copy("etc", "/")', "etc/x"),
        ('copy("etc/", "/")', "x"),
        ('copy("etc/", "/etc/")', "etc/x"),
        ('copy("etc", "/conf")', "conf/x"),
        ('copy("etc", "/opt/")', "opt/etc/x"),
        ('copy("files", "/")', "etc/x"),
        ('copy("/", "/sub")', "sub/etc/x"),
    ],
)
def test_a_slash_at_the_end_says_whether_a_folder_or_its_contents_go_there(install, entry, call, path):
    assert TreePath.parse(path) in install(call, files=[entry("etc/x")]).entries


def test_a_copied_hard_link_stays_one_where_its_file_comes_along(install, entry, lines):
    files = [entry("d/z", content=b"z"), entry("d/a", "hardlink", target=b"d/z"), entry("e", "hardlink", target=b"d/z")]
    assert lines(install('copy("d", "/usr/d"); copy("e", "/e")', files=files)) == [
        "file 0644 0:0 /e z",
        "hardlink 0644 0:0 /usr/d/a -> usr/d/z",
        "file 0644 0:0 /usr/d/z z",
    ]


def test_a_hard_link_whose_file_stays_behind_becomes_a_file(install, entry, lines):
    files = [entry("one/z", content=b"z"), entry("two/a", "hardlink", target=b"one/z", mode=0o600)]
    assert lines(install('copy("two", "/two")', files=files)) == ["file 0644 0:0 /two/a z"]


def test_a_replaced_file_leaves_its_bytes_to_its_hard_links(install, entry, lines):
    files = [entry("a", content=b"old"), entry("b", "hardlink", target=b"a"), entry("c", "hardlink", target=b"a")]
    assert lines(install('copy("files", "/"); write("/a", "new")', files=files)) == [
        "file 0644 0:0 /a new",
        "file 0644 0:0 /b old",
        "hardlink 0644 0:0 /c -> b",
    ]


def test_a_mode_set_on_a_hard_link_is_set_on_all_that_share_the_file(install, entry, lines):
    files = [entry("a", content=b"x"), entry("b", "hardlink", target=b"a")]
    assert lines(install('copy("files", "/"); chmod("/b", "0700"); chown("/a", 1, 2)', files=files)) == [
        "file 0700 1:2 /a x",
        "hardlink 0700 1:2 /b -> a",
    ]


def test_the_named_source_is_followed_where_it_is_a_symlink(install, entry, lines):
    files = [entry("lib/z.so.1", content=b"z"), entry("lib/z.so", "symlink", target=b"z.so.1")]
    assert lines(install('copy("lib/z.so", "/usr/lib/z.so")', files=files)) == ["file 0644 0:0 /usr/lib/z.so z"]


def test_times_are_the_epoch_and_copies_keep_an_earlier_one(install, entry):
    files = [entry("old", mtime=7), entry("new", mtime=5000)]
    body = 'copy("old", "/old"); copy("new", "/new"); mkdir("/d"); write("/w", ""); symlink("w", "/s")'
    times = {path.text: made.mtime for path, made in install(body, files=files).entries.items()}
    assert times == {"old": 7, "new": 1000, "d": 1000, "w": 1000, "s": 1000}


def test_a_missing_source_is_named_with_its_line(failure):
    problem = failure('\n\n  copy("bin/nope", "/x")')
    assert str(problem) == "busybox: install.lua:3: copy: bin/nope is not in the star's archive"


def test_a_wildcard_in_a_source_is_explained(failure, entry):
    assert "wildcards" in str(failure('copy("bin/*", "/x")', files=[entry("bin/a")]).hint)


def test_a_file_is_not_put_in_place_of_a_folder(failure, entry):
    problem = failure('copy("x", "/usr/bin")', files=[entry("x")], root=[entry("usr/bin", "dir")])
    assert "copy: /usr/bin is a folder" in str(problem)
    assert '"/usr/bin/"' in str(problem.hint)


def test_a_folder_is_not_put_in_place_of_a_file(failure):
    assert "/x is a file, not a folder" in str(failure('write("/x", ""); mkdir("/x")'))
    assert "/x is a file, and only a folder has entries" in str(failure('write("/x", ""); write("/x/y", "")'))


def test_two_files_of_a_star_may_not_land_on_one_path(failure, entry):
    files = [entry("bin/x"), entry("usr/bin/x")]
    problem = failure('copy("files", "/")', files=files, path_map=_usr_merged)
    assert "both come to lie at /usr/bin/x" in str(problem)


def test_a_symlink_replaces_what_is_there_but_no_folder(install, failure, lines):
    assert lines(install('write("/a", "x"); symlink("b", "/a"); symlink("c", "/a")')) == ["symlink 0777 0:0 /a -> c"]
    assert "/d is a folder" in str(failure('mkdir("/d"); symlink("x", "/d")'))


def test_mkdir_makes_what_lies_above_and_takes_a_mode(install, lines):
    assert lines(install('mkdir("/a/b", "1777"); mkdir("/a/b")')) == ["dir 0755 0:0 /a", "dir 1777 0:0 /a/b"]


def test_mkdir_of_a_folder_of_a_dependency_keeps_its_mode(install, entry, lines):
    assert lines(install('mkdir("/tmp")', root=[entry("tmp", "dir", mode=0o1777)])) == ["dir 1777 0:0 /tmp"]


@pytest.mark.parametrize("mode", ['"0755"', '"755"', "493", "493.0"])
def test_a_mode_is_a_number_or_octal_digits(install, lines, mode):
    assert lines(install(f'write("/x", ""); chmod("/x", {mode})')) == ["file 0755 0:0 /x "]


@pytest.mark.parametrize("mode", ["755", "-1", "4096", '"0855"', '"rwx"', '"77777"', "493.5", "true", "{}", '""'])
def test_what_is_no_mode_is_refused(failure, mode):
    assert "chmod: " in str(failure(f'write("/x", ""); chmod("/x", {mode})'))


def test_a_decimal_mode_that_looks_octal_gets_a_hint(failure):
    assert '"0755"' in str(failure('write("/x", ""); chmod("/x", 755)').hint)


def test_chmod_follows_a_symlink_and_chown_does_not(install, lines):
    assert lines(install('write("/x", ""); symlink("x", "/l"); chmod("/l", "0600"); chown("/l", 5, 6)')) == [
        "symlink 0777 5:6 /l -> x",
        "file 0600 0:0 /x ",
    ]


@pytest.mark.parametrize("call", ['chmod("/x", "0600")', 'chown("/x", 1, 1)', 'setcap("/x", "cap_net_raw+ep")'])
def test_what_belongs_to_a_dependency_is_not_changed(failure, entry, call):
    assert "/x belongs to another star" in str(failure(call, root=[entry("x")]))
    assert "/x is not there" in str(failure(call))


def test_a_folder_above_ones_own_files_may_be_changed(install, lines):
    assert lines(install('write("/opt/t/x", ""); chmod("/opt/t", "0700")')) == [
        "dir 0700 0:0 /opt/t",
        "file 0644 0:0 /opt/t/x ",
    ]


def test_a_finish_script_may_change_any_path(install, entry, lines):
    tree = [entry("etc/motd", content=b"old", mode=0o600), entry("usr/bin/x", content=b"x")]
    assert lines(install('write("/etc/motd", "new"); chmod("/usr/bin/x", "0755")', own=tree, free="any")) == [
        "file 0600 0:0 /etc/motd new",
        "file 0755 0:0 /usr/bin/x x",
    ]


def test_exists_sees_the_star_and_its_dependencies_and_follows_links(install, entry):
    root = [
        entry("usr/lib/libc.so"),
        entry("lib", "symlink", target=b"usr/lib"),
        entry("dangling", "symlink", target=b"/no"),
    ]
    body = """
      for _, path in ipairs{"/lib/libc.so", "/usr", "/mine", "/dangling", "/usr/lib/libc.so/x", "/none", "/"} do
        log(path, exists(path))
      end"""
    result = install(f'write("/mine", "") {body}', root=root)
    answers = [line.split("\t")[1] for line in result.receipt.logs]
    assert answers == ["true", "true", "true", "false", "false", "false", "true"]


def test_write_makes_a_file_and_keeps_the_mode_of_its_own(install, lines):
    assert lines(install('write("/a", "1", "0600"); write("/a", "2"); write("/b", "b")')) == [
        "file 0600 0:0 /a 2",
        "file 0644 0:0 /b b",
    ]


def test_setcap_is_the_kernels_attribute(install):
    made = install('write("/ping", ""); setcap("/ping", "cap_net_raw+ep")').entries[TreePath(b"ping")]
    assert made.xattrs == ((b"security.capability", bytes.fromhex("0100000200200000000000000000000000000000")),)
    assert install('write("/p", ""); setcap("/p", "cap_kill=p"); setcap("/p", "")').entries[TreePath(b"p")].xattrs == ()


def test_setcap_wants_a_file_and_a_capability(failure):
    assert "only a file has capabilities" in str(failure('mkdir("/d"); setcap("/d", "cap_kill+ep")'))
    assert "no such capability" in str(failure('write("/x", ""); setcap("/x", "cap_fly+ep")'))


def test_mknod_makes_devices_and_pipes(install, lines):
    assert lines(install('mknod("/dev/null", "c", 1, 3, "0666"); mknod("/dev/sda", "b", 8, 0); mknod("/p", "p")')) == [
        "char 0666 0:0 /dev/null 1:3",
        "block 0600 0:0 /dev/sda 8:0",
        "fifo 0600 0:0 /p",
    ]


@pytest.mark.parametrize("call", ['"x", 1, 2', '"c"', '"c", 1, -1', '"b", 4096, 0', '"p", 1, 1', '"c", 1.5, 1'])
def test_a_node_without_sense_is_refused(failure, call):
    assert "mknod: " in str(failure(f'mknod("/dev/x", {call})'))


def test_glob_finds_paths_in_byte_order(install, entry):
    root = [entry("usr/lib/b.so"), entry("usr/lib/x/c.so"), entry("lib", "symlink", target=b"usr/lib")]
    body = """
      write("/usr/lib/a.so", "")
      log(table.concat(glob("/usr/lib/*.so"), " "))
      log(table.concat(glob("/usr/**/*.so"), " "))
      log(table.concat(glob("/lib/?.so"), " "))
      log(table.concat(glob("/usr/*"), " "))
      log(#glob("/nothing/*"))"""
    assert install(body, root=root).receipt.logs == (
        "/usr/lib/a.so /usr/lib/b.so",
        "/usr/lib/a.so /usr/lib/b.so /usr/lib/x/c.so",
        "/usr/lib/a.so /usr/lib/b.so",
        "/usr/lib",
        "0",
    )


def test_log_and_print_leave_lines_in_the_receipt(install):
    body = r'log("a", 1, nil, true); print("b\\"); log(("\27[31m"))'
    assert install(body).receipt.logs == ("a\t1\tnil\ttrue", "b\\x5c", "\\x1b[31m")


def test_env_is_the_scripts_own_and_shows_nothing_of_the_host(install, monkeypatch):
    monkeypatch.setenv("HOME", "/home/secret")
    assert install('log(env("HOME")); env("A", "1"); log(env("A"))').receipt.logs == ("nil", "1")


@pytest.mark.parametrize("call", ['""', '"A=B", "c"', '"A\\0", "c"', '"A", "c\\0"'])
def test_a_variable_that_no_program_could_get_is_refused(failure, call):
    assert "env: a variable has" in str(failure(f"env({call})"))


def test_filemap_passes_what_is_declared(install):
    declared = 'filemap{"/etc/x", "/usr/share/doc/**", ["/b"] = "0700"}'
    install(declared + 'write("/etc/x", ""); write("/usr/share/doc/a/b", ""); write("/b", "", "0700")')


def test_filemap_names_each_difference(failure):
    problem = failure('filemap{"/etc/x", ["/b"] = "0755"}; write("/etc/y", ""); write("/b", "")')
    assert str(problem) == (
        "busybox: install.lua: filemap: /b has the mode 0644, declared is 0755, /etc/y is made but not declared, "
        "/etc/x is declared but not made"
    )


def test_an_empty_filemap_allows_nothing(failure):
    assert "/x is made but not declared" in str(failure('filemap{}; write("/x", "")'))


def test_run_is_refused_without_a_runner(failure):
    problem = failure('\nrun{"ls"}')
    assert "install.lua:2: run: run() is not allowed in install() of this star" in str(problem)
    assert problem.exit_code == 6


class FakePrograms:
    """Programs that each make one file; `false` fails."""

    def __init__(self):
        self.calls = []

    def run(self, words, env, tree):
        self.calls.append((words, dict(env), sorted(path.text for path in tree)))
        if words == (b"missing",):
            raise WorldFailed("missing", "no such program", hint="install it")
        made = {**tree}
        first = next(iter(tree.values()), None)
        if first is not None:
            made[TreePath(b"made")] = type(first)(path=TreePath(b"made"), kind="file", mode=0o644, content=b"new")
        return RunOutcome(status=int(words == (b"false",)), tree=made)


def test_build_runs_programs_on_the_source_tree(build, entry, lines):
    programs = FakePrograms()
    body = 'env("CC", "gcc"); log(run{"make", "-j", 2}); run("make all"); copy("made", "files/usr/bin/made")'
    result = build(
        body, beside=[entry("Makefile", content=b"m")], files=[entry("etc/x", content=b"x")], programs=programs
    )
    assert [call[0] for call in programs.calls] == [(b"make", b"-j", b"2"), (b"make", b"all")]
    assert programs.calls[0][1:] == ({b"CC": b"gcc"}, ["Makefile", "files/etc/x"])
    assert lines(result) == [
        "file 0644 0:0 /Makefile m",
        "file 0644 0:0 /files/etc/x x",
        "file 0644 0:0 /files/usr/bin/made new",
        "file 0644 0:0 /made new",
    ]
    assert result.receipt.logs == ("0",)


def test_a_failing_program_is_the_scripts_failure(failure):
    assert "run: false ended with status 1" in str(failure('run{"false"}', programs=FakePrograms()))


def test_a_machine_that_cannot_run_programs_is_not_the_scripts_failure_and_no_script_hides_it(install):
    with pytest.raises(WorldFailed) as caught:
        install('pcall(run, {"missing"})', programs=FakePrograms())
    assert caught.value.hint == "install it"


@pytest.mark.parametrize("command", ['"make && rm -rf /"', '"echo $HOME"', "{}", '""', "{{}}", "nil", "3"])
def test_a_command_that_needs_a_shell_or_is_none_is_refused(failure, command):
    assert "run: " in str(failure(f"run({command})", programs=FakePrograms()))


def test_a_star_without_build_is_built_as_it_is(script, entry, lines):
    from cosmos.nova.job import NovaJob
    from cosmos.nova.run import run_build

    job = NovaJob(star="s", script_name="install.lua", script=b"function install() end", files={}, epoch=0,
                  beside={TreePath(b"star.toml"): entry("star.toml", content=b"s")})  # fmt: skip
    assert lines(run_build(job)) == ["file 0644 0:0 /star.toml s"]


def _usr_merged(path):
    return TreePath(b"usr/" + path) if path.split(b"/")[0] in (b"bin", b"lib") else path
