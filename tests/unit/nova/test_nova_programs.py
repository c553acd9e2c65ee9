"""What a receipt says of a program that `run()` started, and how long all programs of a script may take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.nova import meter
from cosmos.nova.broker import SIGNATURES, Broker
from cosmos.nova.job import NovaJob
from cosmos.nova.meter import Meter
from cosmos.nova.verbs import Verbs
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath


class Idle:
    """Programs that do nothing, with tools of `digest`."""

    def __init__(self, digest: Digest | None) -> None:
        self.digest = digest

    def run(self, words, env, tree):
        return RunOutcome(status=0, tree=tree, tools=self.digest)


@pytest.mark.parametrize("digest", [None, Digest.of(b"tools")])
def test_a_receipt_says_which_tools_a_program_had(install, digest):
    event = install('run{"make"}', programs=Idle(digest)).receipt.events[-1]
    assert event.verb == "run"
    assert event.facts["tools"] == (digest or "host")


def test_the_programs_of_one_script_have_their_time_together(failure, monkeypatch):
    monkeypatch.setattr(meter, "MAX_NOVA_PROGRAMS_SECONDS", 0)
    assert "its programs took more than 0 seconds together" in str(failure('run{"x"}', programs=Idle(None)))


class Leaving:
    """Programs that see `seen` and leave `left(tree)`."""

    def __init__(self, left) -> None:
        self.left = left
        self.seen: dict[TreePath, Entry] = {}

    def run(self, words, env, tree):
        self.seen = dict(tree)
        return RunOutcome(status=0, tree=self.left(tree))


SECRET = {"root": [Entry(path=TreePath(b"etc/secret"), kind="dir", mode=0o700, uid=7)]}
WRITES = 'write("/etc/secret/key", "k") run{"make"}'


def test_a_program_sees_another_stars_folder_with_its_mode_and_leaves_it_to_that_star(install):
    programs = Leaving(dict)
    result = install(WRITES, programs=programs, **SECRET)
    assert programs.seen[TreePath(b"etc/secret")] == SECRET["root"][0]
    assert list(result.entries) == [TreePath(b"etc/secret/key")]


def test_a_folder_that_a_program_makes_where_another_star_has_one_is_as_that_one_is(install):
    made = Entry(path=TreePath(b"etc/secret"), kind="dir", mode=0o755, mtime=3)
    open_to_all = replace(made, mode=0o1777)
    result = install('run{"make"}', programs=Leaving(lambda tree: {made.path: made}), **SECRET)
    assert result.entries == {made.path: SECRET["root"][0]}
    result = install('run{"make"}', programs=Leaving(lambda tree: {made.path: open_to_all}), **SECRET)
    assert result.entries == {made.path: open_to_all}, "a mode that the program chose is for the policy to judge"


def test_what_a_program_saw_of_other_stars_folders_is_in_the_receipt(install):
    result = install(WRITES, programs=Leaving(dict), **SECRET)
    reads = [event.facts for event in result.receipt.events if event.verb == "read"]
    assert {"path": "etc/secret", "saw": "dir 0700 7:0"} in reads


WORDS = {
    'run{"x", true}': "word 2 of the command may not be a boolean",
    'run{"x", nil, "y"}': "word 2 of the command may not be a nil",
    'run{"x", {}}': "word 2 of the command may not be a table",
    'run{"x", [3] = "z"}': "a list of words without a gap or a key",
    'run{"make", jobs = 2}': "a list of words without a gap or a key",
    "run(true)": "the command may not be a boolean",
    "run(nil)": "wants the program and its arguments",
    "run()": "wants the program and its arguments",
    "run{}": "wants the program and its arguments",
    'run("a", "b")': "takes one command",
    'run({"a"}, nil)': "takes one command",
}


@pytest.mark.parametrize(("call", "said"), WORDS.items(), ids=WORDS)
def test_a_command_that_is_no_list_of_words_is_an_error_of_the_script_with_its_line(failure, call, said):
    error = str(failure(call, programs=Idle(None)))
    assert said in error
    assert ":1: run: " in error


def test_words_that_are_numbers_are_the_same_on_each_machine(install):
    event = install('run(table.pack("x", 0/0, -(0/0), 3, 1.5))', programs=Idle(None)).receipt.events[-1]
    assert event.facts["words"] == ["x", "nan", "nan", "3", "1.5"]


VALUES = [b"", b"x", b"words", b"line", 0, 1, -1, 2**62, 1.5, float("nan"), True, False, None]


@settings(max_examples=400)
@example(verb=b"run", args=[b"words", b"x", None, b"y"])
@example(verb=b"run", args=[b"words", b"x", True])
@given(verb=st.sampled_from(sorted(SIGNATURES)), args=st.lists(st.sampled_from(VALUES), max_size=5))
def test_no_arguments_of_a_worker_that_was_taken_over_make_an_error_of_our_own(verb, args):
    job = NovaJob(star="x", script_name="x", script=b"", files={}, epoch=0, programs=Idle(None))
    meter = Meter()
    verbs = Verbs(job, "install", meter, lambda shown, text, variables: b"")
    broker = Broker(job, verbs, meter)
    broker.call(verb, tuple(args))
    broker.reraise()
