"""`trust.toml`: read strictly, with no key in two roles and no threshold that means nothing."""

from __future__ import annotations

import contextlib
import copy
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import GalaxyName, KeyName, StarName
from cosmos.trust.dsse import BadEnvelope, NotSigned
from cosmos.trust.roles import TRUST_TYPE, Role
from cosmos.trust.roots import TrustRoots, demand_digest, verify_roots


def secret(name: str, role: Role) -> SecretKey:
    return SecretKey(name=KeyName(name), role=role, seed=name.encode().ljust(32, b"."))


ROOT, GALAXY, RELEASE = secret("root", "root"), secret("galaxy", "galaxy"), secret("release", "release")
CAROL, DAVE = secret("carol", "author"), secret("dave", "author")
CORE, ZLIB = GalaxyName("core"), StarName("zlib")
DOCUMENT: dict[str, Any] = {
    "trust-version": 1,
    "version": 3,
    "description": "ours",
    "roles": {
        "root": {"threshold": 1, "keys": [ROOT.public.line]},
        "galaxy": {"threshold": 1, "keys": [GALAXY.public.line]},
        "release": {"threshold": 1, "keys": [RELEASE.public.line]},
        "author": {"threshold": 2},
    },
    "author": [
        {"key": CAROL.public.line, "galaxies": ["core"], "stars": ["lib*", "zli?"]},
        {"key": DAVE.public.line, "galaxies": ["c*", "extra"], "stars": ["*"]},
    ],
    "floor": {"galaxies": {"core": 7}, "stars": {"zlib": "1.3.1"}},
    "revoked": [{"key": "ed25519:" + "0" * 64, "reason": "lost", "effective-seq": 0}],
}


def parsed(change: Callable[[dict[str, Any]], object] = lambda document: None) -> TrustRoots:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return TrustRoots.parse(tomli_w.dumps(document).encode(), "trust.toml")


def test_a_document_reads_back_as_it_was_written() -> None:
    roots = parsed()
    assert TrustRoots.parse(tomli_w.dumps(roots.to_toml()).encode(), "again") == roots
    assert tomllib.loads(tomli_w.dumps(roots.to_toml())) == DOCUMENT


def test_keys_and_thresholds_are_by_role() -> None:
    roots = parsed()
    assert [roots.keys(role) for role in ("root", "galaxy", "release")] == [
        (ROOT.public,),
        (GALAXY.public,),
        (RELEASE.public,),
    ]
    assert roots.keys("author") == (CAROL.public, DAVE.public)
    assert (roots.threshold("root"), roots.threshold("author")) == (1, 2)
    assert (roots.keys("attester"), roots.threshold("attester")) == ((), 1)
    assert roots.name_of(CAROL.public.id) == "carol"
    assert roots.floors.stars == {"zlib": "1.3.1"}


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize(
    ("galaxy", "star", "names"),
    [
        ("core", "zlib", ["carol", "dave"]),
        ("core", "libc", ["carol", "dave"]),
        ("core", "zlibs", ["dave"]),
        ("core", "Zlib", ["dave"]),
        ("extra", "zlib", ["dave"]),
        ("corexx", "zlib", ["dave"]),
        ("other", "zlib", []),
        ("Core", "zlib", []),
    ],
)
def test_an_author_s_scope_is_galaxies_and_stars(galaxy: str, star: str, names: list[str]) -> None:
    assert [key.name for key in parsed().author_keys(GalaxyName(galaxy), StarName(star))] == names


@pytest.mark.objective("SO-12")
def test_revoked_beats_trusted_in_every_role() -> None:
    def revoke(document: dict[str, Any]) -> None:
        for key in (ROOT, GALAXY, CAROL):
            document["revoked"].append({"key": key.public.id, "effective-seq": 0})

    roots = parsed(revoke)
    assert (roots.keys("root"), roots.keys("galaxy"), roots.keys("author")) == ((), (), (DAVE.public,))
    assert roots.author_keys(CORE, ZLIB) == (DAVE.public,)
    assert roots.threshold("author") == 2, "a revocation does not lower what was demanded"


def at(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def without(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


MALFORMED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "another format": (at("trust-version", value=3), "trust-version: want at most 2"),
    "no format": (without("trust-version"), "trust-version: missing"),
    "no version": (without("version"), "version: missing"),
    "version 0": (at("version", value=0), "version: want 1"),
    "no roles": (without("roles"), "roles: missing"),
    "no root": (without("roles", "root"), r"roles\.root: missing"),
    "an unknown key": (at("verison", value=1), "verison: unknown key"),
    "an unknown role": (at("roles", "auditor", value={"threshold": 1, "keys": []}), r"roles\.auditor: unknown key"),
    "an unknown key in a role": (at("roles", "root", "x", value=1), r"roles\.root\.x: unknown key"),
    "a threshold of 0": (at("roles", "root", "threshold", value=0), "want 1 to 1"),
    "a negative threshold": (at("roles", "root", "threshold", value=-1), "want 0"),
    "a threshold above the keys": (
        at("roles", "galaxy", "threshold", value=2),
        "want 1 to 1, the number of keys, got 2",
    ),
    "an author threshold above the authors": (at("roles", "author", "threshold", value=3), "want 1 to 2"),
    "an author threshold of 0": (at("roles", "author", "threshold", value=0), "want 1 to 2"),
    "no author threshold": (without("roles", "author"), r"roles\.author: missing"),
    "a threshold that is true": (at("roles", "root", "threshold", value=True), "want an integer, got true or false"),
    "no keys": (at("roles", "root", "keys", value=[]), "want 1 to 0"),
    "a key of another form": (
        at("roles", "root", "keys", 0, value="ed25519 x"),
        r"roles\.root\.keys\[0\]: want cosmos-key-v1",
    ),
    "a key of small order": (
        at("roles", "root", "keys", 0, value="cosmos-key-v1 ed25519 x " + "A" * 43 + "="),
        "want a canonical point of prime order",
    ),
    "one key twice in a role": (
        at("roles", "galaxy", "keys", value=[GALAXY.public.line, GALAXY.public.line]),
        "key galaxy is listed twice in the role galaxy",
    ),
    "one key in two roles": (
        at("roles", "release", "keys", 0, value=GALAXY.public.line.replace("galaxy", "other-name")),
        "key other-name is listed in two roles, galaxy and release",
    ),
    "a root key that is an author's": (at("author", 0, "key", value=ROOT.public.line), "two roles, root and author"),
    "one author twice": (at("author", 0, "key", value=DAVE.public.line), "key dave is listed twice in the role author"),
    "no galaxies": (without("author", 0, "galaxies"), r"author\[0\]\.galaxies: missing"),
    "an empty scope": (at("author", 0, "stars", value=[]), r"author\[0\]\.stars: is empty"),
    "a glob with a class": (at("author", 0, "stars", value=["[a-z]*"]), "want a name, in which"),
    "a glob with a slash": (at("author", 0, "galaxies", value=["a/b"]), "want a name, in which"),
    "a floor of 0": (at("floor", "galaxies", "core", value=0), r"floor\.galaxies\.core: want 1"),
    "a floor that is no version": (
        at("floor", "stars", "zlib", value="1_0"),
        r"floor\.stars\.zlib: want a Debian",
    ),
    "a floor of something else": (at("floor", "release", value=1), r"floor\.release: unknown key"),
    "a floor for no galaxy": (at("floor", "galaxies", "a/b", value=1), r"floor\.galaxies\.a/b: want letters"),
    "a revocation before the start": (at("revoked", 0, "effective-seq", value=-1), r"effective-seq: want 0 to"),
    "one key revoked twice": (
        at("revoked", value=[{"key": "ed25519:" + "0" * 64, "effective-seq": seq} for seq in (0, 7)]),
        "revoked: names one key twice",
    ),
    "a recovery that lies ahead": (
        at("recovered", value={"galaxies": {"core": 4}}),
        r"recovered\.galaxies\.core: want 1",
    ),
    "a recovery of something else": (at("recovered", value={"keys": {}}), r"recovered\.keys: unknown key"),
    "a revocation without its extent": (without("revoked", 0, "effective-seq"), "effective-seq: missing"),
    "a revocation of no key": (at("revoked", 0, "key", value="ed25519:00"), r"revoked\[0\]\.key: want ed25519:"),
}


@pytest.mark.parametrize(("change", "problem"), MALFORMED.values(), ids=MALFORMED)
def test_another_form_is_refused_with_its_place(change: Callable[[dict[str, Any]], None], problem: str) -> None:
    with pytest.raises(Malformed, match=rf"^trust\.toml: .*{problem}"):
        parsed(change)


def test_a_document_may_be_without_authors_galaxies_and_releases() -> None:
    document = {"trust-version": 1, "version": 1, "roles": {"root": DOCUMENT["roles"]["root"]}}
    roots = TrustRoots.parse(tomli_w.dumps(document).encode(), "trust.toml")
    assert (roots.keys("galaxy"), roots.author_keys(CORE, ZLIB)) == ((), ())
    assert roots.to_toml() == document


@given(st.binary(max_size=300))
def test_any_bytes_are_a_document_or_a_clean_refusal(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        TrustRoots.parse(data, "trust.toml")


VALUES = st.recursive(
    st.booleans() | st.integers(-2, 2**70) | st.text(max_size=6) | st.sampled_from([ROOT.public.line, "core", "*"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["key", "keys", "threshold", "x"]), inner)
    ),
    max_leaves=6,
)
PLACES = [
    (),
    ("roles",),
    ("roles", "root"),
    ("roles", "author"),
    ("author", 0),
    ("floor",),
    ("floor", "stars"),
    ("revoked", 0),
]


@given(st.sampled_from(PLACES), st.data(), VALUES)
def test_any_value_at_any_place_is_a_document_or_a_clean_refusal(
    path: tuple[Any, ...], data: st.DataObject, value: Any
) -> None:
    place: Any = DOCUMENT
    for step in path:
        place = place[step]
    key = data.draw(st.sampled_from([*place]))
    with contextlib.suppress(Malformed):
        parsed(at(*path, key, value=value))


DATA = tomli_w.dumps(DOCUMENT).encode()


def test_an_envelope_by_the_document_s_own_root_keys_is_taken() -> None:
    assert verify_roots(DATA, ROOT.sign(TRUST_TYPE, DATA), "trust.toml") == parsed()
    assert verify_roots(DATA, None, "trust.toml") == parsed()


@pytest.mark.objective("SO-11")
def test_an_envelope_by_another_key_or_over_other_bytes_is_refused() -> None:
    with pytest.raises(NotSigned):
        verify_roots(DATA, secret("mallory", "root").sign(TRUST_TYPE, DATA), "trust.toml")
    with pytest.raises(BadEnvelope, match="another document"):
        verify_roots(DATA, ROOT.sign(TRUST_TYPE, DATA + b"\n"), "trust.toml")


def test_the_digest_is_over_the_exact_bytes() -> None:
    demand_digest(DATA, Digest.of(DATA), "trust.toml")
    with pytest.raises(Refused, match=r"^trust\.toml: want sha256:.*, but the file is sha256:"):
        demand_digest(DATA + b"\n", Digest.of(DATA), "trust.toml")
