"""The two readers of messages: in whatever pieces bytes come, each message is read once, whole and alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.sandbox import locked
from cosmos.sandbox.conversation import Conversation, Patience
from cosmos.sandbox.exit_status import BROKEN
from cosmos.sandbox.wire import BrokenProtocol, frame, opened
from fakes.waiting import forked

VALUES = st.lists(st.one_of(st.binary(max_size=9), st.integers(-9, 9), st.none(), st.booleans()), max_size=3)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a channel."""
    ours, its = socket.socketpair()
    with ours, its:
        yield ours, its


def listening(channel: socket.socket, seconds: float = 60) -> Conversation:
    """The trusted side of `channel`, whose control socket nobody answers."""
    return Conversation(channel, socket.socketpair()[0], Patience(seconds=seconds))


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_the_trusted_side_reads_messages_in_any_pieces(messages: list[list[object]], data: st.DataObject) -> None:
    ours, its = socket.socketpair()
    with ours, its:
        worker, rest = listening(ours), b"".join(frame(b"C", values) for values in messages)  # type: ignore[arg-type]  # plain values
        expected, got = [(b"C", tuple(values)) for values in messages], []
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            its.send(rest[:size])
            rest = rest[size:]
            if not rest:
                its.shutdown(socket.SHUT_WR)
        for _ in messages:
            got.append(worker.receive(b"C"))
        assert got == expected
        with pytest.raises(EOFError):
            worker.receive(b"C")


def test_a_message_over_the_limit_is_refused_though_its_bytes_have_come(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, its = ends
    its.send(frame(b"C", [b"x" * 100]))
    with pytest.raises(BrokenProtocol, match="the message has 106 bytes, the limit is 50"):
        listening(ours).receive(b"C", 50)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"CS" + bytes(3), "the message ends within a length"),
        (b"CS\xff\xff\xff\xff", "a string is longer than its message"),
        (b"CI" + bytes(7), "the message ends within a number"),
        (b"CD" + bytes(7), "the message ends within a number"),
        (b"C?", r"no value begins with b'\?'"),
        (b"", "the message is of kind b''"),
    ],
)
def test_a_message_that_is_cut_within_a_value_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(BrokenProtocol, match=said):
        opened(body, b"C")


def test_a_worker_that_sends_no_more_than_a_part_is_waited_for_no_longer_than_the_patience(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, its = ends
    its.send(frame(b"C", [b"x" * 100])[:-1])
    with pytest.raises(TimeoutError):
        listening(ours, 0.05).receive(b"C")


def test_a_worker_that_takes_nothing_is_waited_for_no_longer_than_the_patience(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, _ = ends
    with pytest.raises(TimeoutError):
        listening(ours, 0.05).send(b"A", (b"x" * (8 << 20),))


def test_a_worker_reads_a_message_in_any_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, its = ends
    for size in (0, 1, 959, 960, 961, 100_000):
        whole = frame(b"A", [b"x" * size])
        for cut in (1, 4, 5, len(whole) - 1):
            writer = forked(lambda whole=whole, cut=cut: (ours.sendall(whole[:cut]), ours.sendall(whole[cut:])))
            assert locked.read(its.fileno()) == whole[4:]
            os.waitpid(writer, 0)


def test_a_worker_ends_if_it_is_sent_what_it_has_not_asked_for(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, its = ends
    ours.sendall(frame(b"A", [1]) * 2)
    worker = forked(lambda: locked.read(its.fileno()))
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == BROKEN
