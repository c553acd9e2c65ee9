"""`verify` and `repair` of a system, `--from RELEASE`: only the signed release of this very system counts."""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.device import released
from cosmos.device.memory import system_trust
from cosmos.device.released import ReleaseAsked, open_release
from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe
from cosmos.device.vouching import as_onlooker
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import ImageName, KeyName
from cosmos.model.reporter import Silent
from cosmos.store.blobs import StoreFolder
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from cosmos.trust.floors import Floors
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import IN_TOTO_TYPE, TRUST_TYPE
from fakes.forgeries import EVIL, UNIVERSE
from fakes.galaxies import StarSpec, make_galaxy
from fakes.images import BASE, ImageFixture
from fakes.programs import Cosmos, Outcome
from fakes.released_systems import GREETING, ISSUE, LIBRARY, MOTD, SHARED, TOOL, ReleasedSystem, make_release
from fakes.shells import shell

SETUID = StarSpec(
    "raise",
    files={
        "usr/bin/raise": Entry(path=TreePath(b"usr/bin/raise"), kind="file", mode=0o4755, content=b"r"),
        "usr/bin/rise": Entry(path=TreePath(b"usr/bin/rise"), kind="hardlink", mode=0o4755, target=b"usr/bin/raise"),
    },
)
OWN = StarSpec("own", files={"etc/cosmos/own.conf": b"own"})
SETTINGS = "etc/cosmos/config.toml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ImageFixture:
    """The release; nobody changes it."""
    policy = 'setuid = ["raise"]\noutside = ["own"]'
    where = tmp_path_factory.mktemp("made")
    return make_release(where, (BASE, LIBRARY, SETUID, OWN), policy=policy, counter=3)


@pytest.fixture
def system(made: ImageFixture, tmp_path: Path, cosmos: Cosmos) -> ReleasedSystem:
    return ReleasedSystem(tmp_path / "there", cosmos, made)


@pytest.fixture
def trusting(system: ReleasedSystem) -> ReleasedSystem:
    """The same system after its operator has accepted the trust document of the release's maker."""
    system.accept()
    return system


def with_key(system: ReleasedSystem, command: str, *words: object) -> Outcome:
    return system.run(command, "--from", system.release, "--key", system.key, *words)


def test_what_the_image_itself_brought_comes_back_as_released(trusting: ReleasedSystem) -> None:
    """Also the stars, whose archives are in no galaxy here."""
    trusting.spoil()
    assert "release" in trusting.run("repair").fails(5).err
    bad = trusting.tree()
    told = trusting.run("repair", "--from", trusting.release, "--dry-run").ok().out
    assert "would have replaced /usr/share/motd (the image's template)" in told
    assert trusting.tree() == bad, "a rehearsal changes nothing"
    trusting.run("repair", "--from", trusting.release).ok()
    assert trusting.tree() == trusting.good
    assert (trusting.root / UNIVERSE).read_bytes() == trusting.universe
    said = trusting.run("verify", "--from", trusting.release).ok().out
    assert "of the image itself as released, are as they were installed; 4 stars as signed, 0 as recorded only" in said
    assert "nothing to repair" in trusting.run("repair", "--from", trusting.release).ok().out


def test_a_stick_that_has_the_release_in_a_folder_is_named_as_a_whole(system: ReleasedSystem) -> None:
    system.spoil()
    system.run("repair", "--from", system.where / "stick", "--key", system.key).ok()
    assert system.tree() == system.good
    shutil.copytree(system.release, system.where / "stick/again")
    two = system.run("repair", "--from", system.where / "stick", "--key", system.key).fails(2).err
    assert "want one release, found" in two


def test_the_answers_in_json_name_the_release(system: ReleasedSystem) -> None:
    (system.root / MOTD).unlink()
    row = json.loads(with_key(system, "repair", "--json").ok().out)
    assert row["restored"] == [{"path": f"/{MOTD}", "star": "the image's template", "how": "placed"}]
    assert row["release"]["folder"] == str(system.release)
    row = json.loads(with_key(system, "verify", "--json").ok().out)
    assert row["by-release"] == [
        *("base", "library", "own", "raise"),
        *("the image's finish script", "the image's template"),
    ]
    assert json.loads(system.run("verify", "--json").ok().out)["release"] is None


def test_changed_configuration_of_the_image_stays_unless_it_is_asked_for(system: ReleasedSystem) -> None:
    (system.root / ISSUE).write_bytes(b"mine")
    assert "kept /etc/issue (the image's finish script): was modified" in with_key(system, "repair").ok().out
    assert (system.root / ISSUE).read_bytes() == b"mine"
    with_key(system, "repair", "--configuration").ok()
    assert system.tree() == system.good


# --- what was forged on the system


FORGERIES: dict[str, tuple[Callable[[ReleasedSystem], None], str]] = {
    "a file of the template and its row": (
        lambda system: system.forge(MOTD),
        f"/{MOTD} (the image's template): its record in universe.toml says digest {Digest.of(EVIL)}",
    ),
    "a file of the finish script and its row": (
        lambda system: system.forge(GREETING),
        f"/{GREETING} (the image's finish script): its record in universe.toml says digest {Digest.of(EVIL)}",
    ),
    "a file of a star and its row": (
        lambda system: system.forge(TOOL),
        f"/{TOOL} (base): its record in universe.toml says digest {Digest.of(EVIL)}",
    ),
    "a star's archive": (
        lambda system: system.edit(
            lambda text: re.sub(r'(\[installed\.base\].*?license = ")[^"]*', r"\g<1>none", text, flags=re.S)
        ),
        "installed.base: says license none, but the release says MIT",
    ),
    "a row that is left out": (
        lambda system: system.edit(lambda text: re.sub(rf'\s*"file [^"]* {MOTD} -",', "", text)),
        f"/{MOTD} (the image's template): its release brings it, but universe.toml leaves it out",
    ),
    "a whole layer that is left out": (
        lambda system: system.edit(lambda text: re.sub(r"\[layer\.finish\].*?\n\]\n", "", text, flags=re.S)),
        f"/{GREETING} (the image's finish script): its release brings it, but universe.toml leaves it out",
    ),
    "a row more": (
        lambda system: system.edit(lambda text: re.sub(rf'("file [^"]* ){MOTD} -",', r'\g<0> \1usr/door -",', text)),
        "/usr/door (the image's template): its record in universe.toml has it, but its release does not bring it",
    ),
    "the mode of a folder": (
        lambda system: system.edit(lambda text: text.replace("dir 0750 0 0 0 ", "dir 0777 0 0 0 ")),
        "/srv/data (the image's template): its record in universe.toml says mode 0777, but its release brings 0750",
    ),
}


@pytest.mark.objective("SO-03")
@pytest.mark.parametrize("what", FORGERIES)
def test_what_was_forged_together_with_its_record_is_found_and_put_right(system: ReleasedSystem, what: str) -> None:
    forge, sentence = FORGERIES[what]
    forge(system)
    assert sentence in with_key(system, "verify").fails(7).err
    assert "corrected the record of" in with_key(system, "repair").ok().out
    assert system.tree() == system.good
    assert (system.root / UNIVERSE).read_bytes() == system.universe
    with_key(system, "verify").ok()


@pytest.mark.objective("SO-03")
def test_a_star_that_claims_to_be_installed_again_is_judged_by_the_release_all_the_same(system: ReleasedSystem) -> None:
    system.forge(TOOL)
    lines = f'url = ""\nstatement = "{Digest.of(EVIL)}"\nsigners = []\nentries = ['
    system.edit(lambda text: re.sub(r"(\[installed\.base\].*?)entries = \[", rf"\g<1>{lines}", text, flags=re.S))
    assert f"/{TOOL} (base): has other bytes" in with_key(system, "verify").fails(7).err


# --- releases that are not what they say


def flip(system: ReleasedSystem) -> None:
    (image,) = system.release.glob("*.tar.zst")
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1
    image.write_bytes(data)


def forge_description(system: ReleasedSystem) -> None:
    file = system.release / "RELEASE.json"
    file.write_text(file.read_text().replace('"1.0.0"', '"1.0.1"', 1))


def sign_as_thief(system: ReleasedSystem) -> None:
    """Put another file into the release, and sign a RELEASE.json that names it with a strange key."""
    forge_description(system)
    thief = SecretKey.generate(KeyName("thief"), "release")
    data = (system.release / "RELEASE.json").read_bytes()
    (system.release / "RELEASE.json.dsse").write_bytes(thief.sign(IN_TOTO_TYPE, data))


def leave_unsigned(system: ReleasedSystem) -> None:
    (system.release / "RELEASE.json.dsse").unlink()


def add_a_file(system: ReleasedSystem) -> None:
    (system.release / "more").write_bytes(b"more")


def without_image(system: ReleasedSystem) -> None:
    (image,) = system.release.glob("*.tar.zst")
    image.unlink()


BAD_RELEASES: dict[str, tuple[Callable[[ReleasedSystem], None], int, str]] = {
    "a flipped byte in the image": (flip, 7, "but the release names sha256:"),
    "a description that was changed": (forge_description, 4, "RELEASE.json"),
    "a description that a thief has signed": (sign_as_thief, 4, "RELEASE.json"),
    "a release that nobody signed": (leave_unsigned, 4, "is not signed"),
    "a file more": (add_a_file, 7, "more: is not part of the release"),
    "the image is away": (without_image, 7, "is missing"),
}


@pytest.mark.objective("SO-25")
@pytest.mark.parametrize("what", BAD_RELEASES)
@pytest.mark.parametrize("command", ["verify", "repair"])
def test_nothing_is_believed_of_a_release_that_is_not_as_it_was_signed(
    system: ReleasedSystem, command: str, what: str
) -> None:
    spoil, code, sentence = BAD_RELEASES[what]
    system.spoil()
    bad = system.tree()
    spoil(system)
    refused = with_key(system, command).fails(code).err
    assert sentence in refused
    assert MOTD not in refused, "nothing was judged by it"
    assert system.tree() == bad


@pytest.mark.objective("SO-25")
@pytest.mark.parametrize("what", ["another image's name", "other contents"])
def test_a_good_release_of_another_system_is_refused(system: ReleasedSystem, tmp_path: Path, what: str) -> None:
    """Both are signed by the right key."""
    system.spoil()
    bad = system.tree()
    if what == "other contents":
        stars = (replace(BASE, version="1.3.0"), LIBRARY)
        other = make_release(tmp_path / "other", stars, signers=system.signers, motd="older\n")
        shutil.rmtree(system.release)
        shutil.copytree(other.out, system.release)
        sentence = "is not the release of this system: it has the content root sha256:"
    else:
        system.edit(lambda text: text.replace('image = "small"', 'image = "large"'))
        sentence = "is not the release of this system: it has the image small"
    for command in ("verify", "repair"):
        assert sentence in with_key(system, command).fails(4).err
    assert system.tree() == bad


def test_a_system_that_no_release_made_has_none(system: ReleasedSystem, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    system.cosmos("init", "--root", tmp_path / "bare", "--arch", "x86_64").ok()
    words = ("verify", "--root", tmp_path / "bare", "--from", system.release, "--key", system.key)
    assert "does not say which release it was made from" in system.cosmos(*words).fails(4).err


@pytest.mark.objective("SO-25")
@pytest.mark.parametrize("name", ["*.tar.zst", "universe.lock.toml"])
def test_a_release_that_is_exchanged_after_it_was_verified_is_refused(
    trusting: ReleasedSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A stick may show one file to the judge and another one to the reader."""
    evil = make_release(tmp_path / "evil", (BASE,), signers=trusting.signers, motd="evil\n")
    verify = released.verify_release_folder

    def then_exchange(*words: object, **named: object) -> object:
        verdict = verify(*words, **named)  # type: ignore[arg-type]  # whatever it was called with
        shutil.copy(next(evil.out.glob(name)), next(trusting.release.glob(name)))
        return verdict

    monkeypatch.setattr(released, "verify_release_folder", then_exchange)
    asked, store = ReleaseAsked(folder=trusting.release), StoreFolder(tmp_path / "store")
    with LiveRoot.open(trusting.root) as root, pytest.raises(Refused, match="was changed while it was read"):
        open_release(root, asked, read_universe(root), store, system_trust(root), as_onlooker(root), Silent())


def test_without_anchors_and_without_a_key_no_release_is_believed(system: ReleasedSystem) -> None:
    refused = system.run("verify", "--from", system.release).fails(4).err
    assert "no key of a release's signer is known" in refused
    assert "--key PUB" in refused
    assert "belong to a release" in system.run("verify", "--key", system.key).fails(2).err


def newer_trust(system: ReleasedSystem, **changes: object) -> None:
    file = system.where / "2.toml"
    file.write_text(tomli_w.dumps(replace(system.signers.roots(), version=2, **changes).to_toml()))
    Path(f"{file}.dsse").write_bytes(system.signers["root"].sign(TRUST_TYPE, file.read_bytes()))
    system.run("trust", "update", file).ok()


@pytest.mark.objective("SO-12")
def test_nothing_is_restored_of_a_star_that_is_not_trusted_now(trusting: ReleasedSystem) -> None:
    trusting.spoil()
    newer_trust(trusting, revoked=(Revoked(key=trusting.signers["author"].public.id, reason="stolen"),))
    words = ("repair", "--from", trusting.release)
    refused = trusting.run(*words).fails(4).err
    assert "is not trusted now" in refused
    assert "--accept-revoked base" in refused
    accepted = [word for name in ("base", "library", "own", "raise") for word in ("--accept-revoked", name)]
    told = trusting.run(*words, *accepted).fails(4)
    assert "whose key was revoked (stolen)" in told.err
    assert (trusting.root / TOOL).read_bytes() == EVIL
    assert (trusting.root / MOTD).read_bytes() == b"welcome\n", "the image's own layers are the release's signer's"


def test_a_release_below_the_floor_restores_nothing(trusting: ReleasedSystem) -> None:
    trusting.spoil()
    newer_trust(trusting, floors=Floors(releases={ImageName("small"): 4}))
    refused = trusting.run("repair", "--from", trusting.release).fails(4).err
    assert "counter 3 lies below the floor of 4" in refused


def test_verify_writes_nothing_and_repair_remembers_the_release(trusting: ReleasedSystem) -> None:
    state = trusting.root / "var/lib/cosmos/trust-state.toml"
    before = state.read_bytes()
    trusting.run("verify", "--from", trusting.release).ok()
    assert state.read_bytes() == before
    trusting.run("repair", "--from", trusting.release).ok()
    assert "small" in state.read_text()


# --- the operator's policy


def demand(system: ReleasedSystem, *lines: str) -> None:
    file = system.root / SETTINGS
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(("[policy]", *lines, "")))


def test_a_star_of_the_release_gets_back_only_what_the_policy_allows(system: ReleasedSystem) -> None:
    for name in ("raise", "rise"):
        (system.root / "usr/bin" / name).unlink()
    (system.root / MOTD).unlink()
    refused = with_key(system, "repair").fails(7).err
    assert "/usr/bin/raise runs with its owner's or group's rights (4755), and the operator's policy" in refused
    assert not (system.root / "usr/bin/raise").exists()
    assert not (system.root / "usr/bin/rise").exists(), "the other name of a file does not come back without it"
    assert (system.root / MOTD).exists()
    demand(system, 'setuid = ["raise"]')
    with_key(system, "repair").ok()
    assert stat.S_IMODE((system.root / "usr/bin/raise").stat().st_mode) == 0o4755
    assert (system.root / "usr/bin/raise").stat().st_nlink == 2


def test_a_star_of_the_release_gets_nothing_back_among_cosmos_s_own_files(system: ReleasedSystem) -> None:
    """An installation refuses it, too: whom a system trusts lies there."""
    (system.root / "etc/cosmos/own.conf").unlink()
    demand(system, 'outside = ["own"]')
    assert "only cosmos itself writes into /etc/cosmos" in with_key(system, "repair").fails(7).err
    assert not (system.root / "etc/cosmos/own.conf").exists()


@pytest.mark.parametrize("demanded", ["log = true", "badges = { test = 1 }"])
def test_a_star_without_its_log_proof_or_its_badges_gets_nothing_back(trusting: ReleasedSystem, demanded: str) -> None:
    trusting.spoil()
    demand(trusting, demanded)
    refused = trusting.run("repair", "--from", trusting.release).fails(4).err
    assert "policy." in refused
    assert (trusting.root / TOOL).read_bytes() == EVIL
    assert (trusting.root / MOTD).read_bytes() == b"welcome\n", "the policy is about stars"


def test_a_system_that_changed_since_is_judged_by_its_release_and_by_archives(trusting: ReleasedSystem) -> None:
    """One star was updated, one uninstalled and installed again, one uninstalled, and one is new."""
    newer = replace(BASE, version="1.3.0", files={TOOL: b"newer", "usr/share/doc/base": b"x"})
    later = StarSpec("later", files={"usr/lib/library/later": b"l"}, dependencies={"library": "*"})
    galaxy = make_galaxy(trusting.where / "galaxy", "core", (newer, LIBRARY, later), trusting.signers)
    trusting.run("add-galaxy", "core", galaxy.path).ok()
    trusting.run("update", "base").ok()
    trusting.run("uninstall", "library", "--force").ok()
    trusting.run("uninstall", "raise", "--force").ok()
    trusting.run("install", "later").ok()
    good = trusting.tree()
    words = ("--from", trusting.release)
    assert "4 stars as signed, 0 as recorded only" in trusting.run("verify", *words).ok().out
    assert "nothing to repair" in trusting.run("repair", *words).ok().out
    trusting.spoil()
    trusting.run("repair", *words).ok()
    assert trusting.tree() == good
    galaxy.path.rename(trusting.where / "gone")
    shutil.rmtree(trusting.root / "var/cache")
    for path in (TOOL, SHARED, MOTD):
        (trusting.root / path).unlink()
    refused = trusting.run("repair", *words).fails(5).err
    assert "no signed statement of it is at hand; the release has 1.2.0 from another archive" in refused
    assert not (trusting.root / TOOL).exists()
    assert (trusting.root / SHARED).exists(), "the release has the archive of the star that was installed again"
    assert (trusting.root / MOTD).exists()


def test_a_path_of_the_image_that_a_star_brings_now_is_left_to_the_star(trusting: ReleasedSystem) -> None:
    """Somebody removed the file, and then installed a star with a file of that name."""
    star = StarSpec("later", files={MOTD: b"later", "usr/share/later": b"l"})
    galaxy = make_galaxy(trusting.where / "galaxy", "core", (star,), trusting.signers)
    (trusting.root / MOTD).unlink()
    trusting.run("add-galaxy", "core", galaxy.path).ok()
    trusting.run("install", "later").ok()
    for spoil in (lambda: None, (trusting.root / MOTD).unlink, lambda: (trusting.root / MOTD).write_bytes(EVIL)):
        spoil()
        refused = trusting.run("repair", "--from", trusting.release).fails(7).err
        assert "it belongs to later, too" in refused
        assert (trusting.root / MOTD).read_bytes() == b"later"


def test_a_path_of_the_image_that_a_record_gives_to_a_star_comes_back_at_once(system: ReleasedSystem) -> None:
    (system.root / MOTD).write_bytes(EVIL)
    system.edit(lambda text: text.replace('    "/usr/bin/tool",\n', f'    "/usr/bin/tool",\n    "/{MOTD}",\n'))
    with_key(system, "repair").ok()
    assert system.tree() == system.good


# --- scripts that ran programs


@pytest.fixture
def ran(tmp_path: Path, cosmos: Cosmos) -> ReleasedSystem:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not there")
    body = "mkdir('/usr/lib/made') run{'/bin/sh', '-c', 'echo made >usr/lib/made/it'}"
    runs = StarSpec("runs", files={"given": b"g"}, dependencies={"shell": "*"}, script=f"function install() {body} end")
    policy = 'run = ["runs"]\noutside = ["runs", "shell"]'
    return ReleasedSystem(
        tmp_path / "there", cosmos, make_release(tmp_path / "made", (BASE, shell(), runs), policy=policy)
    )


def test_a_star_whose_script_ran_programs_is_judged_by_its_layer_in_the_release(ran: ReleasedSystem) -> None:
    ran.accept()
    ran.run("add-galaxy", "core", ran.where.parent / "made/galaxy").ok()
    made = ran.root / "usr/lib/made/it"
    told = ran.run("verify").ok()
    assert "2 stars as signed, 1 as recorded only" in told.out
    assert "runs: as recorded only: its script cannot be run again here" in told.err
    assert "its layer as it was made is in the release that this system was made from: --from RELEASE" in told.err
    ran.forge("usr/lib/made/it")
    ran.run("verify").ok()
    refused = ran.run("verify", "--from", ran.release).fails(7).err
    assert "/usr/lib/made/it (runs): has other bytes" in refused
    made.unlink()
    assert "--from RELEASE" in ran.run("repair").fails(5).err
    assert not made.exists()
    ran.run("repair", "--from", ran.release).ok()
    assert made.read_bytes() == b"made\n"
    assert (ran.root / UNIVERSE).read_bytes() == ran.universe
    assert "3 stars as signed, 0 as recorded only" in ran.run("verify", "--from", ran.release).ok().out


# --- hostile trees


@pytest.mark.objective("SO-18")
def test_a_folder_of_the_image_that_became_a_link_leads_no_repair_anywhere(system: ReleasedSystem) -> None:
    outside = system.where / "outside"
    outside.mkdir()
    shutil.rmtree(system.root / "usr/share")
    (system.root / "usr/share").symlink_to(outside)
    assert "its folder /usr/share is a symlink: move it away" in with_key(system, "repair").fails(7).err
    assert list(outside.iterdir()) == []
    (system.root / "usr/share").unlink()
    with_key(system, "repair").ok()
    assert system.tree() == system.good
