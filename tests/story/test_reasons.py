"""`cosmos why IMAGE STAR|PATH` and `cosmos tree IMAGE`: why something is in an image, from the wish to the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.galaxies import StarSpec
from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos

SCRIPT = """function install()
  copy("usr", "/usr")
  symlink("/usr/bin/app", "/usr/bin/also")
end
"""
STARS = (
    StarSpec("app", "1.0.0", {"usr/bin/app": b"app"}, {"left": "*", "right": "*"}, script=SCRIPT),
    StarSpec("left", "1.1.0", {"usr/lib/left": b"left"}, {"base": "*"}),
    StarSpec("right", "1.2.0", {"usr/lib/right": b"right"}, {"base": "*"}),
    StarSpec("base", "2.0.0", {"usr/lib/base": b"base"}, {"deep": "*"}),
    StarSpec("deep", "3.0.0", {"usr/lib/deep": b"deep"}),
)


@pytest.fixture
def image(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    made = make_image(tmp_path, STARS, {"app": "*"})
    cosmos("freeze", made.folder, "--home", made.home).ok()
    return made


def test_a_star_is_explained_by_every_chain_before_anything_is_built(image: ImageFixture, cosmos: Cosmos) -> None:
    said = cosmos("why", image.folder, "base").ok().out.splitlines()
    assert said[0].startswith("star     base 2.0.0 from core, signed by ed25519:")
    assert said[1:] == ["why      image -> app -> left -> base", "why      image -> app -> right -> base"]


def test_a_tree_shows_once_what_a_star_needs(image: ImageFixture, cosmos: Cosmos) -> None:
    assert cosmos("tree", image.folder).ok().out.splitlines() == [
        "image",
        "└─ app 1.0.0",
        "   ├─ left 1.1.0",
        "   │  └─ base 2.0.0",
        "   │     └─ deep 3.0.0",
        "   └─ right 1.2.0",
        "      └─ base 2.0.0 (*)",
    ]
    rows = json.loads(cosmos("tree", image.folder, "--json").ok().out)["wishes"]["image"]
    assert [(row["depth"], row["star"], row["repeated"]) for row in rows][-1] == (2, "base", True)


def test_a_path_is_explained_by_its_layer_its_script_and_its_signer(image: ImageFixture, cosmos: Cosmos) -> None:
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    app, also = (
        json.loads(cosmos("why", place, path, "--json").ok().out)["paths"]
        for place, path in ((image.folder, "/usr/bin/app"), (image.out, "/usr/bin/also"))
    )
    assert [one["made-by"] for one in app] == ["app, install.lua:2: copy"]
    assert [one["made-by"] for one in also] == ["app, install.lua:3: symlink", "app, install.lua:2: copy"]
    assert [one["path"] for one in also] == ["/usr/bin/also", "/usr/bin/app"]
    assert app[0]["layer"] == "app-1.0.0"
    assert app[0]["star"]["chains"] == [{"wish": "image", "stars": ["app"]}]
    assert app[0]["star"]["signers"] != []
    said = cosmos("why", image.out, "/usr/lib/deep").ok().out
    assert "made by  deep, unpacked" in said
    assert "why      image -> app -> left -> base -> deep" in said
    folder = cosmos("why", image.out, "/usr/lib").ok().out
    assert "layer    directories" in folder
    assert "star " not in folder


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("lft",), 3, "did you mean left?"),
        (("/usr/bin/app",), 2, "is not an image"),
        (("a", "b"), 2, "wants one or two words, got 3"),
    ],
)
def test_what_is_not_there_has_a_way_out(
    words: tuple[str, ...], code: int, said: str, image: ImageFixture, cosmos: Cosmos
) -> None:
    assert said in cosmos("why", image.folder, *words).fails(code).err


def test_a_path_alone_names_both_ways_out(cosmos: Cosmos) -> None:
    said = cosmos("why", "/usr/bin/sh").fails(2).err
    assert "cosmos owns /usr/bin/sh, or for an image: cosmos why IMAGE /usr/bin/sh" in said


def test_a_folder_without_a_lock_is_named(tmp_path: Path, cosmos: Cosmos) -> None:
    assert "has no universe.lock.toml" in cosmos("tree", tmp_path).fails(2).err


def test_what_a_lock_names_and_does_not_have_is_left_out(image: ImageFixture, cosmos: Cosmos) -> None:
    """Nobody has judged the lock yet: `freeze --check` and a build refuse it."""
    lock = image.folder / "universe.lock.toml"
    lock.write_text(lock.read_text().replace('"deep",', '"shallow",'))
    said = cosmos("why", image.folder, "base").ok().out
    assert "why      image -> app -> left -> base" in said
    tree = cosmos("tree", image.folder).ok().out
    assert "base 2.0.0" in tree and "shallow" not in tree


@pytest.mark.parametrize(
    ("path", "said"), [("/usr/../x", "has the component '..'"), ("/" + "a" * 1025, "has 1025 bytes, the limit is 1024")]
)
def test_what_is_no_path_of_any_image_is_told_with_the_way_to_those_that_are(
    image: ImageFixture, cosmos: Cosmos, path: str, said: str
) -> None:
    failed = cosmos("why", image.folder, path).fails(2).err
    assert f"error: {path}: " in failed and said in failed
    assert f"hint: cosmos ls {image.folder}" in failed
