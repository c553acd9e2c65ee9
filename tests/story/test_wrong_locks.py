"""A lock that does not answer its wishes is not believed: not checked, not built, not signed, not verified as good.

Each change below is one that people make: two branches merged, a block lost or doubled, a row edited by hand.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.model.release import RELEASE_ENVELOPE, Release
from cosmos.trust.roles import IN_TOTO_TYPE
from fakes.galaxies import StarSpec, make_galaxy
from fakes.images import ImageFixture, make_image, write_image
from fakes.programs import Cosmos

LockText = dict[str, Any]
Change = Callable[[LockText], None]

STARS = (
    StarSpec("b", "1.0.0", {"usr/share/b": b"1"}),
    StarSpec("b", "1.1.0", {"usr/share/b": b"2"}),
    StarSpec("b", "2.0.0", {"usr/share/b": b"3"}),
    StarSpec("a", "1.0.0", {"usr/share/a": b"a"}, {"b": "^1.1"}),
    StarSpec("c", "1.0.0", {"usr/share/c": b"c"}, conflicts={"a": "*"}),
    StarSpec("d", "1.0.0", {"usr/share/d": b"d"}),
    StarSpec("other", "1.0.0", {"usr/share/o": b"o"}, arch="aarch64"),
    StarSpec("mailer", "1.0.0", {"usr/share/m": b"m"}, any_of=["post | exim"]),
    StarSpec("exim", "4.0.0", {"usr/share/e": b"e"}, provides={"mta": ""}, conflicts={"mta": "*"}),
    StarSpec("post", "3.0.0", {"usr/share/p": b"p"}, provides={"mta": ""}, conflicts={"mta": "*"}),
)
WISHES = {"a": "*", "d": "*", "mailer": "*"}


@pytest.fixture
def image(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    made = make_image(tmp_path, STARS, WISHES)
    cosmos("freeze", made.folder, "--home", made.home).ok()
    return made


def lock_of(image: ImageFixture) -> LockText:
    return tomllib.loads((image.folder / "universe.lock.toml").read_text())


def frozen_with(image: ImageFixture, cosmos: Cosmos, wishes: dict[str, str]) -> LockText:
    """The lock of other wishes; the image's own are put back."""
    kept = (image.folder / "universe.lock.toml").read_bytes()
    write_image(image, wishes)
    (image.folder / "universe.lock.toml").unlink()
    cosmos("freeze", image.folder, "--home", image.home).ok()
    found = lock_of(image)
    write_image(image, WISHES)
    (image.folder / "universe.lock.toml").write_bytes(kept)
    return found


def row(lock: LockText, name: str) -> LockText:
    return next(star for star in lock["star"] if star["name"] == name)


def without(name: str) -> Change:
    def change(lock: LockText) -> None:
        lock["star"] = [star for star in lock["star"] if star["name"] != name]

    return change


def edited(name: str, **values: Any) -> Change:
    def change(lock: LockText) -> None:
        row(lock, name).update({key.replace("_", "-"): value for key, value in values.items()})

    return change


def doubled(lock: LockText) -> None:
    lock["star"].append(copy.deepcopy(row(lock, "d")))


def turned_round(lock: LockText) -> None:
    lock["star"].reverse()


# what was changed -> words of the one sentence that refuses it
CHANGES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "a wished star is lost": (without("d"), ("image", "wants d", "*")),
    "all stars are lost": (lambda lock: lock["star"].clear(), ("wants a", "wants d", "wants mailer")),
    "a dependency is lost": (without("b"), ("a 1.0.0", "b ^1.1")),
    "one alternative was taken and is lost": (without("post"), ("mailer 1.0.0", "post", "exim")),
    "a block stands twice": (doubled, ("d", "twice")),
    "the order is turned round": (turned_round, ("a 1.0.0 comes before b 1.1.0",)),
    "a reason is made up": (edited("b", wanted_by=["image"]), ("b 1.1.0", "wanted")),
    "a dependency is left out of its row": (edited("a", dependencies=[]), ("a 1.0.0", "depend")),
    "the machine is another": (edited("d", arch="aarch64"), ("d 1.0.0", "aarch64", "x86_64")),
}


def demand_refused(image: ImageFixture, cosmos: Cosmos, lock: LockText, words: tuple[str, ...]) -> None:
    """Neither checked nor built; one error that says `words` and a way out."""
    (image.folder / "universe.lock.toml").write_text(tomli_w.dumps(lock))
    for command in (("freeze", image.folder, "--check"), ("build", image.folder)):
        refused = cosmos(*command, "--home", image.home).fails(3)
        assert [word for word in words if word not in refused.err] == [], refused.err
        assert f"hint: cosmos freeze {image.folder}" in refused.err
        assert "universe.lock.toml" in refused.err
    assert not image.out.exists()


@pytest.mark.objective("SO-15")
@pytest.mark.parametrize("change", CHANGES)
def test_a_lock_that_was_changed_by_hand_is_neither_checked_nor_built(
    image: ImageFixture, cosmos: Cosmos, change: str
) -> None:
    lock = lock_of(image)
    make, words = CHANGES[change]
    make(lock)
    demand_refused(image, cosmos, lock, words)


@pytest.mark.objective("SO-15")
@pytest.mark.parametrize("lock_version", [1, 2])
@pytest.mark.parametrize("left_out", ["star", "row"])
def test_a_dependency_on_any_version_is_not_left_out(
    tmp_path: Path, cosmos: Cosmos, left_out: str, lock_version: int
) -> None:
    """`b = "*"` says nothing of a version, but it is a need as any other. A lock of version 1 carries no facts."""
    stars = [StarSpec("b", "1.0.0", {"usr/share/b": b"1"}), StarSpec("a", "1.0.0", {"usr/share/a": b"a"}, {"b": "*"})]
    image = make_image(tmp_path, stars, {"a": "*"} if left_out == "star" else {"a": "*", "b": "*"})
    cosmos("freeze", image.folder, "--home", image.home).ok()
    lock = lock_of(image)
    row(lock, "a").update({"dependencies": [], "needs": []})
    if left_out == "star":
        lock["star"] = [row(lock, "a")]
    else:
        row(lock, "b")["wanted-by"] = ["image"]
    if lock_version == 1:
        lock["lock-version"] = 1
        for star in lock["star"]:
            for key in ("needs", "provides", "conflicts", "stands-for", "version-scheme"):
                star.pop(key)
    (image.folder / "universe.lock.toml").write_text(tomli_w.dumps(lock))
    refused = cosmos("build", image.folder, "--home", image.home).fails(3 if lock_version == 1 else 4)
    assert "a 1.0.0 wants b *" in refused.err if lock_version == 1 else "says that its needs are []" in refused.err
    assert not image.out.exists()


@pytest.mark.objective("SO-15")
def test_a_wish_is_not_answered_by_a_version_that_it_does_not_allow(image: ImageFixture, cosmos: Cosmos) -> None:
    older = frozen_with(image, cosmos, {"b": "=1.0.0"})
    wishes = {"b": "^2"}
    lock = frozen_with(image, cosmos, wishes)
    lock["star"] = [row(older, "b")]
    write_image(image, wishes)
    demand_refused(image, cosmos, lock, ("image", "b ^2", "1.0.0"))


@pytest.mark.objective("SO-15")
def test_a_dependency_is_not_answered_by_a_version_that_it_does_not_allow(image: ImageFixture, cosmos: Cosmos) -> None:
    older = frozen_with(image, cosmos, {"b": "=1.0.0"})
    lock = lock_of(image)
    row(lock, "b").clear()
    lock["star"] = [star for star in lock["star"] if star]
    lock["star"].insert(0, {**row(older, "b"), "wanted-by": ["a"]})
    demand_refused(image, cosmos, lock, ("a 1.0.0", "b ^1.1", "1.0.0"))


@pytest.mark.objective("SO-15")
def test_two_merged_locks_whose_stars_conflict_are_refused(image: ImageFixture, cosmos: Cosmos) -> None:
    other = frozen_with(image, cosmos, {"c": "*"})
    wishes = {**WISHES, "c": "*"}
    lock = lock_of(image)
    lock["request"]["stars"] = wishes
    lock["star"].append(row(other, "c"))
    write_image(image, wishes)
    demand_refused(image, cosmos, lock, ("c 1.0.0", "conflicts", "a"))


@pytest.mark.objective("SO-15")
def test_a_star_that_nobody_wants_is_refused(image: ImageFixture, cosmos: Cosmos) -> None:
    other = frozen_with(image, cosmos, {"exim": "*"})
    lock = frozen_with(image, cosmos, {"a": "*"})
    lock["star"].append(row(other, "exim"))
    write_image(image, {"a": "*"})
    demand_refused(image, cosmos, lock, ("exim 4.0.0", "nobody"))


@pytest.mark.objective("SO-04")
def test_a_star_of_another_machine_is_refused_although_it_is_signed_and_listed(
    image: ImageFixture, cosmos: Cosmos
) -> None:
    write_image(image, {"other": "*"})
    definition = image.folder / "image.toml"
    definition.write_text(definition.read_text().replace('arch = "x86_64"', 'arch = "aarch64"'))
    (image.folder / "universe.lock.toml").unlink()
    cosmos("freeze", image.folder, "--home", image.home).ok()
    lock = lock_of(image)
    lock["request"]["arch"] = "x86_64"
    write_image(image, {"other": "*"})
    demand_refused(image, cosmos, lock, ("other 1.0.0", "aarch64", "x86_64"))


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("a", "needs", ["b *"], "needs"),
        ("exim", "conflicts", [], "conflicts"),
        ("exim", "provides", [], "provides"),
        ("d", "stands-for", ["a"], "stands-for"),
        ("d", "signers", ["ed25519:" + "0" * 64], "signed it"),
    ],
)
@pytest.mark.objective("SO-06")
def test_a_row_that_says_what_nobody_signed_is_refused(
    image: ImageFixture, cosmos: Cosmos, name: str, key: str, value: list[str], said: str
) -> None:
    wishes = {"d": "*", "exim": "*", "b": "^1.1"} if name != "a" else {"a": "*"}
    lock = frozen_with(image, cosmos, wishes)
    write_image(image, wishes)
    row(lock, name)[key] = value
    (image.folder / "universe.lock.toml").write_text(tomli_w.dumps(lock))
    refused = cosmos("build", image.folder, "--home", image.home)
    assert refused.code == 4, refused.err
    assert said in refused.err
    assert "cosmos freeze" in refused.err
    assert not image.out.exists()


@pytest.mark.objective("SO-05")
def test_a_star_of_a_galaxy_that_does_not_answer_for_its_name_is_not_built(tmp_path: Path, cosmos: Cosmos) -> None:
    b = StarSpec("b", "1.0.0", {"usr/share/b": b"1"})
    image = make_image(tmp_path, [b], {"b": "*"}, tables='more = "../more"')
    make_galaxy(tmp_path / "more", "more", [replace(b, version="9.0.0")], image.signers)
    definition = image.folder / "image.toml"
    text = definition.read_text()
    turned = text.replace('core = "../galaxy"\nmore = "../more"', 'more = "../more"\ncore = "../galaxy"')
    assert turned != text
    definition.write_text(turned)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    lock = lock_of(image)
    assert row(lock, "b")["version"] == "9.0.0"
    definition.write_text(text)
    lock["galaxy"].reverse()
    lock["request"]["galaxies"] = {galaxy["name"]: galaxy["url"] for galaxy in lock["galaxy"]}
    (image.folder / "universe.lock.toml").write_text(tomli_w.dumps(lock))
    refused = cosmos("build", image.folder, "--home", image.home).fails(3)
    assert "b-9.0.0: is locked from galaxy more, but galaxy core comes first and answers for b" in refused.err
    assert not image.out.exists()


def test_a_wish_is_not_answered_by_what_the_star_of_that_name_says_it_provides(tmp_path: Path, cosmos: Cosmos) -> None:
    stars = [StarSpec("b", "1.0.0", {"usr/share/b": b"1"}, provides={"b": "2.0.0"})]
    image = make_image(tmp_path, stars, {"b": "*"})
    cosmos("freeze", image.folder, "--home", image.home).ok()
    lock = lock_of(image)
    lock["request"]["stars"] = {"b": "^2"}
    write_image(image, {"b": "^2"})
    demand_refused(image, cosmos, lock, ("image wants b ^2", "b 1.0.0"))


@pytest.mark.objective("SO-15")
@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("request", "galaxies"), {"core": "http://elsewhere.example"}, "request.galaxies"),
        (("request", "galaxies"), {"more": "../more", "core": "../galaxy"}, "request.galaxies"),
        (("downgraded",), {"ghost": "1.0.0"}, "downgraded.ghost"),
        (("downgraded",), {"d": ""}, "downgraded.d"),
        (("downgraded",), {"d": "9.0.0\n"}, "downgraded.d"),
    ],
)
def test_a_lock_does_not_contradict_itself(
    image: ImageFixture, cosmos: Cosmos, place: tuple[str, ...], value: dict[str, str], said: str
) -> None:
    make_galaxy(image.folder.parent / "more", "more", STARS[:1], image.signers)
    write_image(image, WISHES, tables='more = "../more"')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    lock = lock_of(image)
    table = lock
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = value
    (image.folder / "universe.lock.toml").write_text(tomli_w.dumps(lock))
    for command in (("freeze", image.folder, "--check"), ("build", image.folder)):
        refused = cosmos(*command, "--home", image.home).fails(2).err
        assert f"universe.lock.toml: {said}" in refused
        assert f"cosmos freeze {image.folder}" in refused


@pytest.mark.parametrize("limit", [" >=1 , <2 ", ">=1,\n<2", "x", "X", " * "])
def test_a_constraint_is_locked_however_it_is_spaced(tmp_path: Path, cosmos: Cosmos, limit: str) -> None:
    stars = [StarSpec("b", "1.0.0", {"usr/share/b": b"1"}), StarSpec("a", "1.0.0", {"usr/share/a": b"a"}, {"b": limit})]
    image = make_image(tmp_path, stars, {"a": "*"})
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()


@pytest.mark.objective("SO-15")
def test_a_signed_release_whose_lock_is_wrong_is_not_verified_as_good(image: ImageFixture, cosmos: Cosmos) -> None:
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    cosmos("verify", image.out, "--key", image.public_key, "--home", image.home).ok()
    lock = lock_of(image)
    without("d")(lock)
    (image.out / "universe.lock.toml").write_text(tomli_w.dumps(lock))
    _sign_again(image)
    refused = cosmos("verify", image.out, "--key", image.public_key, "--home", image.home).fails(3)
    assert "wants d" in refused.err


def _sign_again(image: ImageFixture) -> None:
    """Sign the release as it lies there: its maker was deceived."""
    release = Release.parse((image.out / "RELEASE.json").read_bytes(), "RELEASE.json")
    subjects = tuple(
        replace(
            subject,
            digest=Digest.of((image.out / subject.name).read_bytes()),
            size_bytes=(image.out / subject.name).stat().st_size,
        )
        for subject in release.subjects
    )
    data = replace(release, subjects=subjects).to_bytes()
    (image.out / "RELEASE.json").write_bytes(data)
    (image.out / RELEASE_ENVELOPE).write_bytes(image.signers["release"].sign(IN_TOTO_TYPE, data))


@pytest.mark.objective("SO-15")
def test_a_lock_of_version_1_is_built_and_judged_by_what_was_signed(image: ImageFixture, cosmos: Cosmos) -> None:
    lock = lock_of(image)
    lock["lock-version"] = 1
    for star in lock["star"]:
        for key in ("version-scheme", "needs", "provides", "conflicts", "stands-for"):
            del star[key]
    file = image.folder / "universe.lock.toml"
    file.write_text(tomli_w.dumps(lock))
    cosmos("build", image.folder, "--home", image.home).ok()
    file.write_text(tomli_w.dumps({**lock, "star": [*lock["star"], row(lock, "d")]}))
    assert "the lock has d twice" in cosmos("freeze", image.folder, "--check", "--home", image.home).fails(3).err
    without("b")(lock)
    row(lock, "a")["dependencies"] = []
    file.write_text(tomli_w.dumps(lock))
    refused = cosmos("build", image.folder, "--home", image.home).fails(3)
    assert "b ^1.1" in refused.err
    cosmos("freeze", image.folder, "--home", image.home).ok()  # keeps every version, and writes version 2
    assert lock_of(image)["lock-version"] == 2
