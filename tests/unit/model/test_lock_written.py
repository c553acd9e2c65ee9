"""A lock, whatever is in it, is written as tomli_w writes it, and is read back as the same lock."""

from __future__ import annotations

from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from cosmos import plain_toml
from cosmos.digest import Digest
from cosmos.model.constraint import Constraint
from cosmos.model.demand import parse_need
from cosmos.model.facts import Facts
from cosmos.model.lock import BuildPins, Lock, LockedGalaxy, LockedStar, LockedTrust, Request
from cosmos.model.names import Arch, GalaxyName, ImageName, StarName
from cosmos.model.version import Version

NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9+_-]{0,12}\Z").map(StarName.parse)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text('ab"\\\t\n\x7fü', max_size=6)
DIGESTS = st.binary(max_size=2).map(Digest.of)
COUNTS = st.integers(0, 1 << 31)
LIMITS = st.sampled_from(["*", "^1.2", ">=1, <2", "=1.0-3~deb12u1", ">>1:2"]).map(Constraint.parse)
NEEDS = st.sampled_from(["libc6 >=2.36", "a | b ^1", "c"]).map(parse_need)
VERSIONS = st.sampled_from(
    [Version.parse("1.2.3-rc.1+b2"), Version.parse("1:2.0-1~x", "debian"), Version.parse("0.0.1")]
)
WISHES = st.dictionaries(NAMES, LIMITS, max_size=3)


@st.composite
def locks(draw: Any) -> Lock:
    """Return locks as they are frozen: with facts, and each row's galaxy among those of the request."""
    galaxies = draw(st.dictionaries(NAMES.map(GalaxyName), TEXTS, min_size=1, max_size=2))
    arch = Arch("x86_64")
    star = st.builds(
        LockedStar,
        name=NAMES,
        version=VERSIONS,
        arch=st.just(arch),
        type=st.sampled_from(["normal", "nebula"]),
        galaxy=st.sampled_from(sorted(galaxies)),
        file=st.just("packages/a b.tar"),
        archive=DIGESTS,
        size_bytes=COUNTS,
        unpacked_bytes=COUNTS,
        statement=DIGESTS,
        script=st.none() | DIGESTS,
        signers=st.lists(TEXTS, min_size=1, max_size=2, unique=True).map(tuple),
        dependencies=st.lists(NAMES, max_size=3, unique=True).map(tuple),
        wanted_by=st.lists(TEXTS, max_size=3, unique=True).map(tuple),
        facts=st.builds(
            Facts,
            arch=st.just(arch),
            needs=st.lists(NEEDS, max_size=2).map(tuple),
            provides=st.dictionaries(NAMES, st.tuples(VERSIONS | st.none()), max_size=2),
            conflicts=st.lists(NEEDS.map(lambda need: need[0]), max_size=2).map(tuple),
            replaces_whole=st.frozensets(NAMES, max_size=2),
        ),
    )
    stars = tuple(draw(st.lists(star, max_size=3)))
    return Lock(
        request=Request(
            image=ImageName("image"),
            arch=arch,
            stars=draw(WISHES),
            constellations=draw(st.dictionaries(TEXTS, WISHES, max_size=2)),
            galaxies=galaxies,
        ),
        build=BuildPins(cosmos=draw(TEXTS), zstd=draw(TEXTS), layer_format=1, level=9, source_date_epoch=draw(COUNTS)),
        galaxies=tuple(
            LockedGalaxy(
                name=name, url=url, version=draw(TEXTS), seq=draw(COUNTS), index=draw(DIGESTS), allow_unsigned=False
            )
            for name, url in galaxies.items()
        ),
        stars=stars,
        trust=LockedTrust(version=3, digest=draw(DIGESTS)),
        downgraded=dict.fromkeys([star.name for star in stars[:1]], "999999:1"),
    )


@given(locks())
def test_a_lock_is_written_as_tomli_w_writes_it_and_read_back_as_it_was(lock: Lock) -> None:
    wanted = tomli_w.dumps(lock.to_toml())
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(tomli_w, "dumps")  # no lock is left to it
        text = plain_toml.plain_text(lock.to_toml())
    assert text == wanted
    assert Lock.parse(text.encode(), "universe.lock.toml") == lock
