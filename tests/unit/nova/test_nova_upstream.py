"""Upstream's own documented scripts run unchanged, with upstream's two layouts of an archive."""

from __future__ import annotations

import pytest

from cosmos.errors import ScriptFailed

TOOL = """
function build()
  run({"make"})
end

function install()
  copy("bin/tool", "/usr/bin/tool")
  symlink("/usr/bin/tool", "/usr/bin/t")
end
"""

WANTED_TOOL = ["file 0755 0:0 /usr/bin/tool ELF", "symlink 0777 0:0 /usr/bin/t -> /usr/bin/tool"]


def test_the_example_of_a_tool_installs_from_files(script, entry, lines):
    assert sorted(lines(script(TOOL, files=[entry("bin/tool", content=b"ELF", mode=0o755)]))) == WANTED_TOOL


def test_the_example_of_a_tool_installs_from_the_archives_root(script, entry, lines):
    assert sorted(lines(script(TOOL, beside=[entry("bin/tool", content=b"ELF", mode=0o755)]))) == WANTED_TOOL


def test_the_hello_world_example_installs(script, entry, lines):
    text = """
function install()
  mkdir("/usr/share/hello")
  copy("hello.txt", "/usr/share/hello/hello.txt")
end
"""
    assert lines(script(text, files=[entry("hello.txt", content=b"hi")])) == [
        "dir 0755 0:0 /usr",
        "dir 0755 0:0 /usr/share",
        "dir 0755 0:0 /usr/share/hello",
        "file 0644 0:0 /usr/share/hello/hello.txt hi",
    ]


def test_the_example_with_0o755_is_answered_with_how_to_write_it(script, entry):
    text = 'function install()\n  copy("bin/hello", "/usr/bin/hello")\n  chmod("/usr/bin/hello", 0o750)\nend\n'
    with pytest.raises(ScriptFailed) as caught:
        script(text, files=[entry("bin/hello")])
    assert "busybox: install.lua:3: malformed number" in str(caught.value)
    assert '"0750"' in str(caught.value.hint)
    assert caught.value.exit_code == 6


def test_install_root_may_be_written_before_a_path(install, entry, lines):
    body = 'copy("files/bin/x", install_root .. "/usr/bin/x"); copy("bin/x", "usr/bin/y"); mkdir(install_root .. "opt")'
    assert lines(install(body, files=[entry("bin/x", content=b"x")])) == [
        "dir 0755 0:0 /opt",
        "file 0644 0:0 /usr/bin/x x",
        "file 0644 0:0 /usr/bin/y x",
    ]


def test_a_copy_into_a_path_with_a_slash_at_its_end_keeps_the_name(install, entry, lines):
    assert lines(install('copy("conf.toml", "/etc/cosmos/")', files=[entry("conf.toml", content=b"c")])) == [
        "file 0644 0:0 /etc/cosmos/conf.toml c"
    ]


def test_what_lies_below_files_is_found_before_what_lies_beside(install, entry, lines):
    files, beside = [entry("x", content=b"inner")], [entry("x", content=b"outer"), entry("y", content=b"beside")]
    assert lines(install('copy("x", "/x"); copy("y", "/y")', files=files, beside=beside)) == [
        "file 0644 0:0 /x inner",
        "file 0644 0:0 /y beside",
    ]


def test_a_script_without_install_is_refused_by_name(script):
    with pytest.raises(ScriptFailed, match=r"busybox: install\.lua: defines no install\(\)"):
        script("x = 1")


def test_verbs_may_be_used_outside_of_a_function_as_upstream_runs_the_whole_script(script, lines):
    assert lines(script('mkdir("/opt")\nfunction install() end')) == ["dir 0755 0:0 /opt"]
