"""Capabilities, globs and receipts, each by itself."""

from __future__ import annotations

import fnmatch
import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.errors import Malformed
from cosmos.globs import Glob
from cosmos.nova.broker import Broker
from cosmos.nova.capabilities import capability_value
from cosmos.nova.indexed_tree import IndexedTree
from cosmos.nova.job import NovaJob
from cosmos.nova.meter import Meter
from cosmos.nova.receipt import Receipt
from cosmos.nova.verbs import Verbs
from cosmos.tables import Table
from cosmos.tree.entry import tree_of
from cosmos.treepath import TreePath


@pytest.mark.parametrize(
    ("text", "value"),
    [  # as setcap(8) of libcap 2.66 writes them
        ("cap_net_raw+ep", "0100000200200000000000000000000000000000"),
        ("cap_net_bind_service=+ep", "0100000200040000000000000000000000000000"),
        ("cap_net_raw=p", "0000000200200000000000000000000000000000"),
        ("cap_setuid,cap_setgid=ep", "01000002c0000000000000000000000000000000"),
        ("cap_perfmon,cap_bpf+eip", "010000020000000000000000c0000000c0000000"),
        ("all=p cap_chown-p", "00000002feffffff00000000ff01000000000000"),
    ],
)
def test_a_capability_text_is_what_the_kernel_reads(text, value):
    assert capability_value(text).hex() == value


@pytest.mark.parametrize(
    "text", ["", "cap_net_raw", "+ep", "cap_x+p", "cap_kill+z", "cap_kill+ep cap_chown+p", "kill+ep"]
)
def test_a_capability_text_without_sense_is_refused(text):
    with pytest.raises(ValueError):
        capability_value(text)


PARTS = st.text(alphabet="ab*?", min_size=1, max_size=6).filter(lambda part: "**" not in part)


@given(pattern=PARTS, name=st.text(alphabet="abc", min_size=1, max_size=8))
def test_one_component_matches_as_fnmatch_says(pattern, name):
    assert Glob.parse(pattern.encode()).matches(TreePath.parse(name)) == fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/usr/*", "usr/bin", True),
        ("/usr/*", "usr/bin/x", False),
        ("**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a/**", "a/b/c", True),
        ("a/**/c", "a/c", True),
        ("**/c/**/e", "a/b/c/d/e", True),
        ("**/c/**/e", "a/b/c/d/f", False),
        ("*/", "a", True),
    ],
)
def test_two_stars_stand_for_any_number_of_folders(pattern, path, fits):
    assert Glob.parse(pattern.encode()).matches(TreePath.parse(path)) is fits


def test_two_stars_stand_alone_or_are_refused():
    with pytest.raises(ValueError, match="must stand alone"):
        Glob.parse(b"/usr/**.so")


def test_a_hostile_glob_is_answered_at_once():
    glob = Glob.parse(b"/".join([b"**", b"*a*a*a*a*a*a*a*b"] * 6))
    path = TreePath.parse("/".join(["a" * 250] * 4))
    began = time.process_time()
    assert not glob.matches(path)
    assert time.process_time() - began < 20  # one that tries every way takes days


SCRIPT = """
function install()
  mkdir("/usr/share/x")
  copy("bin", "/usr/bin")
  write("/etc/x", "text")
  chmod("/etc/x", "0600")
  log("said", #glob("/usr/lib/*.so"), exists("/usr/lib/libc.so"))
end
"""


def test_a_receipt_tells_what_was_read_and_done_in_order(script, entry):
    root = [entry("usr", "dir"), entry("usr/lib/libc.so"), entry("etc", "symlink", target=b"conf")]
    receipt = script(SCRIPT, files=[entry("bin/a"), entry("bin/b")], root=root).receipt
    document = json.loads(receipt.to_bytes())
    assert {key: document[key] for key in ("receipt-version", "script", "function")} == {
        "receipt-version": 1, "script": "install.lua", "function": "install",
    }  # fmt: skip
    done = [event for event in document["events"] if event["do"] not in ("read", "glob")]
    assert done == [
        {"do": "mkdir", "path": "usr/share/x", "mode": "0755", "line": 3},
        {"do": "copy", "path": "usr/bin", "from": "files/bin", "entries": 2, "line": 4},
        {"do": "write", "path": "conf/x", "mode": "0644", "size": 4, "line": 5,
         "digest": "sha256:982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"},
        {"do": "chmod", "path": "conf/x", "mode": "0600", "line": 6},
        {"do": "log", "text": "said\t1\ttrue"},
    ]  # fmt: skip
    reads = {event["path"]: event["saw"] for event in document["events"] if event["do"] == "read"}
    assert reads["usr"] == "dir 0755 0:0"
    assert reads["etc"] == "symlink conf"
    assert reads["usr/lib/libc.so"] == "file"
    assert reads["usr/share"] == "absent"  # so that nothing below it needs saying
    assert receipt.to_bytes() == json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def test_a_receipt_has_the_line_of_the_script_from_which_a_verb_was_called(script):
    text = """
local function wrote(path)
  local done = write(path, "x")
  return done
end
function install()
  wrote("/a")
  load("\\n\\n\\n\\nwrite('/b', 'x')", "=elsewhere")()
  pcall(write, "/c", "x")
  mkdir("/d") mkdir("/e")
end
"""
    events = script(text).receipt.events
    lines = {event.facts["path"]: event.facts.get("line") for event in events if event.verb in ("write", "mkdir")}
    assert lines["a"] == 3  # where the verb stands, not where the function is called
    assert lines["b"] == 8  # a chunk of its own has lines of its own: the line that runs it
    assert (lines["d"], lines["e"]) == (10, 10)
    assert lines["c"] == 9


@pytest.mark.parametrize("line", [None, True, 1.5, -1, 0, 2**40, b"7"])
def test_a_line_that_a_taken_worker_made_up_is_left_out(line):
    job = NovaJob(star="x", script_name="x", script=b"", files={}, epoch=0)
    meter = Meter()
    verbs = Verbs(job, "install", meter, lambda shown, text, variables: b"")
    assert Broker(job, verbs, meter).call(b"mkdir", (b"/a", None), line) == (True, None)
    assert "line" not in verbs.events[-1].facts


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"unrelated/path": "file"}, True),
        ({"usr/lib/libz.so": "file"}, False),
        ({"usr/share/x": "file"}, False),
        ({"usr": "symlink"}, False),
        ({"usr/lib/libc.so": None}, False),
    ],
)
def test_a_receipt_holds_exactly_while_its_reads_do(script, entry, change, holds):
    root = [entry("usr", "dir"), entry("usr/lib/libc.so")]
    receipt = script(SCRIPT, files=[entry("bin/a")], root=root).receipt
    tree = tree_of(root)
    for path, kind in change.items():
        tree.pop(TreePath.parse(path), None)
        if kind is not None:
            tree[TreePath.parse(path)] = entry(path, kind, target=b"x" if kind == "symlink" else b"")
    assert (receipt.changed(IndexedTree(tree), None) is None) is holds


def test_a_finish_script_reads_its_own_input_only(script, entry):
    receipt = script('function install() log(exists("/x")); glob("/*") end', own=[entry("x")], free="any").receipt
    assert [event.verb for event in receipt.events] == ["log", "glob"]
    assert receipt.changed(IndexedTree({}), None) is None


def test_a_receipt_with_a_waiver_has_a_number_of_its_own_so_that_an_old_reader_refuses_it():
    waived = Receipt(script="install.lua", function="install", unsteady=True)
    assert waived.to_json()["receipt-version"] == 2
    assert Receipt.read(Table(waived.to_json(), "x")) == waived
    plain = replace(waived, unsteady=False)
    assert "unsteady" not in plain.to_json()
    assert Receipt.read(Table(plain.to_json(), "x")) == plain


@pytest.mark.parametrize("change", [{"receipt-version": 1}, {"unsteady": False}, {"receipt-version": 3}])
def test_a_receipt_whose_waiver_and_number_differ_is_refused(change):
    waived = Receipt(script="install.lua", function="install", unsteady=True)
    with pytest.raises(Malformed):
        Receipt.read(Table({**waived.to_json(), **change}, "x"))
