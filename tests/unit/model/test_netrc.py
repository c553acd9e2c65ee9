"""The file of names and passwords: what it may hold, and that no error repeats a word of it."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest

from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_NETRC_BYTES
from cosmos.model.netrc import Login, Netrc, demand_unreadable

FILE = rb"""# for the galaxies
machine galaxies.example.org login reader password s3cret
machine http://10.0.0.1:8000
    login me
    password "two words \" and \\ more"
macdef init
    machine evil.example.org login x password y

machine HTTPS.example.org:8443 login a account b password c
default login anybody password any
"""


def parsed(data: bytes) -> Netrc:
    return Netrc.parse(data, "netrc")


def test_the_logins_of_a_file_are_read_in_its_order() -> None:
    assert [(one.scheme, one.host, one.port, one.name, one.password) for one in parsed(FILE).logins] == [
        ("https", "galaxies.example.org", None, "reader", "s3cret"),
        ("http", "10.0.0.1", 8000, "me", 'two words " and \\ more'),
        ("https", "https.example.org", 8443, "a", "c"),
    ]


@pytest.mark.parametrize(
    ("scheme", "host", "port", "name"),
    [
        ("https", "galaxies.example.org", 443, "reader"),
        ("https", "Galaxies.Example.ORG", 8443, "reader"),
        ("http", "galaxies.example.org", 80, None),
        ("https", "example.org", 443, None),
        ("https", "x.galaxies.example.org", 443, None),
        ("https", "galaxies.example.org.evil.org", 443, None),
        ("http", "10.0.0.1", 8000, "me"),
        ("http", "10.0.0.1", 80, None),
        ("https", "10.0.0.1", 8000, None),
        ("https", "https.example.org", 443, None),
        ("https", "nobody.example.org", 443, None),
    ],
)
def test_a_password_is_for_the_very_server_that_its_line_names(
    scheme: str, host: str, port: int, name: str | None
) -> None:
    login = parsed(FILE).login(scheme, host, port)
    assert (login and login.name) == name


@pytest.mark.parametrize(
    "data",
    [
        b"machine a.org login x password hunter2\nhunter2\n",
        b"hunter2 a.org",
        b"machine hunter2/../x login a password b",
        b"machine a.org:99999 login hunter2 password hunter2",
        b'machine a.org login x password "hunter2',
        b'machine a.org login x password "hunter2"hunter2',
        b"machine a.org login hunter2 password",
        b"machine a.org password hunter2",
        b"machine a.org login hunter2:x password hunter2",
        b"machine a.org login x password hunter2\x1b[2J",
        b"machine a.org login x password hunter2\xff",
        b"machine",
        b"#" * (MAX_NETRC_BYTES + 1),
    ],
)
def test_a_wrong_file_is_refused_and_no_word_of_it_is_shown(data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parsed(data)
    assert "hunter2" not in f"{caught.value!r}{caught.value} {caught.value.hint}"
    assert caught.value.__cause__ is None


def test_a_password_is_not_in_the_repr_of_its_login() -> None:
    login = Login(scheme="https", host="a.org", port=None, name="x", password="hunter2")
    assert "hunter2" not in repr(login)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o606])
def test_a_file_that_others_may_read_is_refused(mode: int) -> None:
    with pytest.raises(Refused, match="other users may read it") as caught:
        demand_unreadable(stat.S_IFREG | mode, "/home/x/.netrc", Path("/home/x/.netrc"))
    assert caught.value.hint == "chmod 600 /home/x/.netrc"
    demand_unreadable(stat.S_IFREG | 0o600, "x", Path("x"))
    demand_unreadable(stat.S_IFREG | 0o400, "x", Path("x"))


def test_changed_files_give_logins_or_an_error_of_ours() -> None:
    chance = random.Random(13)
    words = [b'"', b"\\", b"\n", b"#", b"machine ", b"login ", b"macdef", b"\0", b"\xff", b"http://", b":", b"default"]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(2000):
        data = bytearray(FILE)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data))
            data[place : place + chance.choice((0, 0, 1, 20))] = chance.choice(words)
        try:
            parsed(bytes(data))
            outcomes["read"] += 1
        except Malformed as error:
            outcomes["refused"] += 1
            assert "s3cret" not in str(error)
    assert min(outcomes.values()) > 100
