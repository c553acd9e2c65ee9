"""What the operator demands and waives, each judged by one function, in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cosmos.errors import NoSolution, Refused, ScriptFailed
from cosmos.image.acquiring import acquire_lock
from cosmos.image.flow import build_image
from cosmos.image.freeze import freeze
from cosmos.image.policy import demand_signable, demand_signed_lock, demand_vouched
from cosmos.image.workshop.layers import Workshop
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from cosmos.trust.badges import BADGES_SUFFIX, Claim, add_badge
from cosmos.trust.roles import IN_TOTO_TYPE, LOCK_TYPE
from cosmos.trust.roots import RoleKeys
from fakes.carriers import MemoryCarrier
from fakes.galaxies import StarSpec, galaxy_files, make_signers
from fakes.worlds import OUT, MemoryWorld, memory_definition, memory_options

WISH = {"nano": "^7"}


def attested(world: MemoryWorld, *names: str) -> list[SecretKey]:
    """Pin these attesters."""
    keys = [SecretKey.generate(KeyName.parse(name), "attester") for name in names]
    row = RoleKeys(threshold=1, keys=tuple(key.public for key in keys))
    world.pinned = replace(world.pinned, roles={**world.pinned.roles, "attester": row})
    return keys


@pytest.mark.objective("SO-03")
def test_a_lock_needs_no_signature_where_none_is_demanded_but_one_that_is_there_must_be_good(
    world: MemoryWorld,
) -> None:
    definition = memory_definition(stars=WISH)
    demand_signed_lock(definition, world, b"lock", None)
    good = world.signers["release"].sign(LOCK_TYPE, b"lock")
    demand_signed_lock(definition, world, b"lock", good)
    with pytest.raises(Refused):
        demand_signed_lock(definition, world, b"other", good)


@pytest.mark.objective("SO-25")
def test_a_lock_that_must_be_signed_must_be_signed_by_a_release_key(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH, policy={"signed-lock": True})
    demand_signed_lock(definition, world, b"lock", world.signers["release"].sign(LOCK_TYPE, b"lock"))
    with pytest.raises(Refused, match="is not signed"):
        demand_signed_lock(definition, world, b"lock", None)
    stranger = make_signers("others")["release"].sign(LOCK_TYPE, b"lock")
    with pytest.raises(Refused):
        demand_signed_lock(definition, world, b"lock", stranger)


@pytest.mark.objective("SO-25")
def test_a_signed_release_of_unsigned_stars_is_refused_before_anything_is_fetched(world: MemoryWorld) -> None:
    galaxies = {"core": {"url": "memory", "allow-unsigned": True}}
    specs = [StarSpec("zlib", signed=False), StarSpec("nano", "7.2.0", dependencies={"zlib": "*"})]
    world.galaxies["core"] = MemoryCarrier(galaxy_files("core", specs, world.signers))
    definition = memory_definition(stars=WISH, galaxies=galaxies)
    lock = freeze(definition, world).lock
    world.galaxies["core"].reads.clear()
    with pytest.raises(Refused, match="nobody signed zlib, so the release cannot be signed"):
        build_image(definition, world, memory_options(key=world.signers["release"]))
    assert (world.galaxies["core"].reads, world.releases) == ([], {})
    waived = memory_definition(stars=WISH, galaxies=galaxies, policy={"unsigned-release": True})
    demand_signable(waived, {star.name: star.signers for star in lock.stars})
    assert build_image(waived, world, memory_options(key=world.signers["release"])).signed
    assert "RELEASE.json.dsse" in world.releases[OUT]


def test_a_release_that_nobody_signs_may_hold_unsigned_stars(world: MemoryWorld) -> None:
    galaxies = {"core": {"url": "memory", "allow-unsigned": True}}
    world.galaxies["core"] = MemoryCarrier(
        galaxy_files("core", [StarSpec("nano", "7.0.0", signed=False)], world.signers)
    )
    definition = memory_definition(stars=WISH, galaxies=galaxies)
    freeze(definition, world)
    assert not build_image(definition, world, memory_options()).signed


def test_the_size_budget_is_the_sum_of_all_files_and_its_last_byte_counts(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    freeze(definition, world)
    build_image(definition, world, memory_options())
    size = sum(int(line.split(b" ")[4]) for line in world.releases[OUT]["manifest.txt"].splitlines())
    allowed = memory_definition(stars=WISH, policy={"size-budget-bytes": size})
    build_image(allowed, world, memory_options())
    refused = memory_definition(stars=WISH, policy={"size-budget-bytes": size - 1})
    with pytest.raises(
        NoSolution, match=f"the image's files have {size} bytes, but policy.size-budget-bytes is {size - 1}"
    ) as caught:
        build_image(refused, world, memory_options())
    assert caught.value.hint == "leave out a star, or raise the budget; the biggest stars are zlib, nano"


def test_what_stars_may_not_do_is_told_of_all_of_them_at_once(world: MemoryWorld) -> None:
    setuid = Entry(path=TreePath(b"usr/bin/su"), kind="file", mode=0o4755)
    owned = Entry(path=TreePath(b"usr/share/x"), kind="file", mode=0o644, uid=7)
    specs = [StarSpec("login", files={"usr/bin/su": setuid}), StarSpec("data", files={"usr/share/x": owned})]
    world.galaxies["core"] = MemoryCarrier(galaxy_files("core", specs, world.signers))
    wishes = {"login": "*", "data": "*"}
    freeze(memory_definition(stars=wishes), world)
    with pytest.raises(
        ScriptFailed, match=r"2 stars: .*data: /usr/share/x belongs to 7:0.*login: /usr/bin/su runs"
    ) as caught:
        build_image(memory_definition(stars=wishes), world, memory_options())
    assert 'setuid = ["login"]' in (caught.value.hint or "")
    assert 'chown = ["data"]' in (caught.value.hint or "")
    policy = {"setuid": ["login"], "chown": ["data"]}
    build_image(memory_definition(stars=wishes, policy=policy), world, memory_options())


@pytest.mark.objective("SO-14")
@pytest.mark.parametrize(("passed", "is_enough"), [(2, True), (1, False), (0, False)])
def test_as_many_pinned_attesters_as_the_policy_says_must_have_passed_every_star(
    passed: int, is_enough: bool, world: MemoryWorld
) -> None:
    definition = memory_definition(stars={"zlib": "*"}, policy={"badges": {"test": 2}})
    lock = freeze(definition, world).lock
    (star,) = lock.stars
    stranger = SecretKey.generate(KeyName.parse("stranger"), "attester")
    badges = b""
    for key in [*attested(world, "ann", "bob")[:passed], stranger]:
        claim = Claim(kind="test", name="zlib", digest=star.archive, result="PASSED")
        badges = add_badge(badges, key.sign(IN_TOTO_TYPE, claim.to_bytes()), "badges")
    world.galaxies["core"].files[f"stars/zlib-1.3.1{BADGES_SUFFIX}"] = badges
    acquired = acquire_lock(lock, definition, world).stars
    if is_enough:
        demand_vouched(definition.image.policy, acquired, world)
        return
    with pytest.raises(Refused, match=r"zlib-1\.3\.1: policy\.badges wants 2 pinned attesters .* got (1|none) of"):
        demand_vouched(definition.image.policy, acquired, world)


@pytest.mark.objective("SO-14")
def test_every_star_that_lacks_its_badges_is_named_in_one_refusal(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH, policy={"badges": {"test": 1}})
    attested(world, "ann")
    lock = freeze(definition, world).lock
    with pytest.raises(Refused) as caught:
        demand_vouched(definition.image.policy, acquire_lock(lock, definition, world).stars, world)
    assert "zlib-1.3.1" in str(caught.value)
    assert "nano-7.2.0" in str(caught.value)


BIG = StarSpec("big", files={"usr/a": b"a" * 5000})
OTHER = StarSpec("other", files={"usr/b": b"b" * 5000}, dependencies={"big": "*"})


def staged_under(world: MemoryWorld, budget: int) -> list[str]:
    """Return the stars that were staged by a build that its size budget refuses."""
    world.galaxies["core"] = MemoryCarrier(galaxy_files("core", [BIG, OTHER], world.signers))
    definition = memory_definition(stars={"other": "*"}, policy={"size-budget-bytes": budget})
    freeze(definition, world)
    made: list[str] = []
    with pytest.MonkeyPatch.context() as patched, pytest.raises(NoSolution, match=r"policy\.size-budget-bytes is"):
        make = Workshop.make
        patched.setattr(Workshop, "make", lambda self, name, layers: made.append(name) or make(self, name, layers))
        build_image(definition, world, memory_options())
    return made


def test_a_build_over_the_size_budget_stops_before_it_unpacks_the_next_star(world: MemoryWorld) -> None:
    assert staged_under(world, 4999) == ["big"]
    assert staged_under(world, 9999) == ["other"], "big is in the store; both together are over the budget"
