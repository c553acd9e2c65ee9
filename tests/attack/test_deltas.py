"""Hostile deltas, wrong bases, kills and small memory: NEW is exact, or nothing is changed."""

from __future__ import annotations

import base64
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.errors import CosmosError
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MIB
from cosmos.model.delta import DELTA_LENGTH_BYTES, DELTA_MAGIC
from cosmos.model.names import KeyName
from cosmos.model.reporter import Silent
from cosmos.release.delta.applying import apply_delta
from cosmos.release.delta.delta_file import OpenDelta
from cosmos.release.delta.old_release import OldRelease
from cosmos.trust.keys import PublicKey
from cosmos.trust.releases import ReleaseKeys
from cosmos.trust.roles import DELTA_TYPE, IN_TOTO_TYPE
from fakes.examples import tried
from fakes.galaxies import StarSpec
from fakes.huge_files import grow, hash_no_huge_file
from fakes.programs import REPO, Cosmos
from fakes.updates import Update, edited, files_of, make_update, noise

START = len(DELTA_MAGIC) + DELTA_LENGTH_BYTES


@pytest.fixture(scope="session")
def update(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., None]) -> Update:
    """OLD and NEW, which no test changes."""
    old = (StarSpec("a", "1.0.0", {"usr/bin/a": noise(1, 2000)}), StarSpec("b", "1.0.0", {"usr/bin/b": b"b"}))
    new = (StarSpec("a", "1.1.0", {"usr/bin/a": edited(noise(1, 2000), 300)}), old[1])
    return make_update(tmp_path_factory.mktemp("attack"), succeed, old, new, tables="")


@pytest.fixture(scope="session")
def delta(update: Update, succeed: Callable[..., None]) -> Path:
    """The delta from OLD to NEW, which no test changes."""
    file = update.old.parent / "d.delta"
    succeed("delta", update.old, update.new, "-o", file, "--key", update.secret_key)
    return file


def outcome(update: Update, delta: Path, out: Path, base: Path | None = None) -> int:
    """Apply the delta in this process; return the exit code that `cosmos apply` would have."""
    key = PublicKey.parse(update.public_key.read_text(), "key")
    try:
        opened = OpenDelta.open(delta, keys=[key], threshold=1)
        old = OldRelease.open(base or update.old, opened.head.old)
        apply_delta(opened, old, out, ReleaseKeys(keys=(key,)), lambda _: None, Silent())
    except CosmosError as error:
        assert not out.exists()
        return error.exit_code
    return 0


def parts(delta: Path) -> tuple[dict, bytes]:
    """Return the head and the data of a delta."""
    data = delta.read_bytes()
    length = int.from_bytes(data[len(DELTA_MAGIC) : START], "little")
    envelope = json.loads(data[START : START + length])
    return json.loads(base64.b64decode(envelope["payload"])), data[START + length :]


def signed(head: object, data: bytes, key: SecretKey, payload_type: str = DELTA_TYPE) -> bytes:
    """Return a delta with this head, signed."""
    payload = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    envelope = key.sign(payload_type, payload)
    return DELTA_MAGIC + len(envelope).to_bytes(DELTA_LENGTH_BYTES, "little") + envelope + data


@pytest.mark.objective("SO-28")
def test_a_delta_with_any_byte_changed_is_refused(update: Update, delta: Path, tmp_path: Path) -> None:
    whole = delta.read_bytes()
    file, codes = tmp_path / "d", set()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        codes.add(outcome(update, file, tmp_path / "new"))
    assert codes == {2, 4}


@pytest.mark.objective("SO-28")
def test_nothing_of_an_altered_delta_is_decompressed(
    update: Update, delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cosmos.release.delta import applying

    monkeypatch.setattr(applying, "patched", lambda *_: pytest.fail("it was decompressed"))
    _, data = parts(delta)
    whole = delta.read_bytes()
    for place in range(-len(data), 0, 37):
        changed = bytearray(whole)
        changed[place] ^= 1
        (tmp_path / "d").write_bytes(changed)
        assert outcome(update, tmp_path / "d", tmp_path / "new") == 4


@pytest.mark.objective("SO-28")
def test_a_delta_that_is_cut_at_any_length_is_refused(update: Update, delta: Path, tmp_path: Path) -> None:
    whole = delta.read_bytes()
    file, codes = tmp_path / "d", set()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        codes.add(outcome(update, file, tmp_path / "new"))
    file.write_bytes(whole + b"\0")
    assert outcome(update, file, tmp_path / "new") == 2
    assert codes == {2}


@pytest.mark.objective("SO-28")
@pytest.mark.parametrize("who", ["a stranger", "the galaxy", "the release key, for another kind of document"])
def test_a_delta_that_no_release_key_signed_as_a_delta_is_refused(
    update: Update, delta: Path, tmp_path: Path, who: str
) -> None:
    head, data = parts(delta)
    keys = update.image.signers
    key = {"a stranger": SecretKey.generate(KeyName.parse("x"), "release"), "the galaxy": keys["galaxy"]}.get(
        who, keys["release"]
    )
    kind = IN_TOTO_TYPE if who.endswith("document") else DELTA_TYPE
    if who == "the galaxy":
        with pytest.raises(CosmosError):
            signed(head, data, key, kind)
        return
    (tmp_path / "d").write_bytes(signed(head, data, key, kind))
    assert outcome(update, tmp_path / "d", tmp_path / "new") == 4


LIES: dict[str, Callable[[dict], object]] = {
    "a newer format": lambda head: head.update(format=2),
    "an unknown key": lambda head: head.update(more=1),
    "a layer that is too large": lambda head: new_layer(head).update({"unpacked-bytes": 1 << 40}),
    "a layer larger than a patch may make": lambda head: new_layer(head).update({"unpacked-bytes": 1 << 31}),
    "a layer of another size": lambda head: new_layer(head).update({"unpacked-bytes": 10_240}),
    "a frame of another size": lambda head: new_layer(head).update({"packed-bytes": 1}),
    "another digest": lambda head: new_layer(head).update(digest=Digest.of(b"")),
    "a reference that is not there": lambda head: new_layer(head).update(reference=99),
    "another reference": lambda head: new_layer(head).update(reference=0),
    "another layer's name": lambda head: new_layer(head).update(name="b-1.0.0"),
    "a layer's name that no star has": lambda head: new_layer(head).update(name="c-1.0.0"),
    "layers that are not there": lambda head: head["layers"].append({"keep": [50, 1]}),
    "a million layers": lambda head: head["layers"].append({"keep": [0, 99_999]}),
    "layers below nought": lambda head: head["layers"].append({"keep": [-1, 1]}),
    "a layer twice": lambda head: head["layers"].append({"keep": [0, 1]}),
    "no layers": lambda head: head.update(layers=[]),
    "documents that are too large": lambda head: head["documents"]["files"][0].update(bytes=1 << 29),
    "documents of another size": lambda head: head["documents"]["files"][0].update(bytes=1),
    "a document that climbs": lambda head: head["documents"]["files"][0].update(name="../x"),
    "a document twice": lambda head: head["documents"]["files"].append(head["documents"]["files"][0]),
    "an old document that climbs": lambda head: head["documents"].update(reference=["../../release.key"]),
    "an old document that is not there": lambda head: head["documents"].update(reference=["nothing"]),
    "other old documents": lambda head: head["documents"].update(reference=["manifest.txt"]),
    "no description": lambda head: head["documents"]["files"][0].update(name="README"),
    "another release": lambda head: head["to"].update(release=Digest.of(b"")),
    "signatures of no file": lambda head: head["envelopes"][0].update(of="nothing"),
    "another zstd": lambda head: head.update(zstd="1.4.0"),
    "another level": lambda head: head.update(level=1),
}


def new_layer(head: dict) -> dict:
    """Return the layer of a head that is a patch for the star a."""
    return next(layer for layer in head["layers"] if layer.get("name") == "a-1.1.0")


@pytest.mark.objective("SO-28")
@pytest.mark.parametrize("lie", LIES)
def test_a_signed_head_that_lies_makes_nothing(update: Update, delta: Path, tmp_path: Path, lie: str) -> None:
    """Also a release key's owner cannot make `apply` hold more, write elsewhere, or make another release."""
    head, data = parts(delta)
    LIES[lie](head)
    (tmp_path / "d").write_bytes(signed(head, data, update.image.signers["release"]))
    code = outcome(update, tmp_path / "d", tmp_path / "new")
    assert code in (2, 4, 5, 7) and (code == 5) == (lie == "another zstd"), code


def test_a_patch_in_a_delta_has_so_many_bytes_and_no_more(
    update: Update, delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cosmos.release.delta import applying

    largest = max(layer["bytes"] for layer in parts(delta)[0]["layers"] if "reference" in layer)
    monkeypatch.setattr(applying, "MAX_PATCHED_BYTES", largest - 1)
    assert outcome(update, delta, tmp_path / "new") == 4
    monkeypatch.setattr(applying, "MAX_PATCHED_BYTES", largest)
    assert outcome(update, delta, tmp_path / "new") == 0


@pytest.mark.objective("SO-28")
def test_a_wrong_or_damaged_base_is_told_and_changes_nothing(
    update: Update, delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outcome(update, delta, tmp_path / "new", update.new) == 7
    image = next(update.old.glob("*.tar.zst")).name
    for place in (10, 2000, -10):
        base = shutil.copytree(update.old, tmp_path / f"base{place}")
        data = bytearray((base / image).read_bytes())
        data[place] ^= 1
        (base / image).write_bytes(data)
        before = files_of(base)
        assert outcome(update, delta, tmp_path / "new", base) == 7
        assert files_of(base) == before
    hash_no_huge_file(monkeypatch)
    grow(base / image)
    assert outcome(update, delta, tmp_path / "new", base) == 7
    (base / image).unlink()
    assert outcome(update, delta, tmp_path / "new", base) == 7
    assert not list(tmp_path.glob(".new*")), "where nothing was made, nothing waits"


def test_what_cannot_be_read_or_is_damaged_is_named_with_a_way_out(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    """A disk that failed in the middle was told as `cosmos: input/output error`."""
    words = ("-o", tmp_path / "new", "--key", update.public_key)
    memory, base = tmp_path / "memory", shutil.copytree(update.old, tmp_path / "base")
    memory.symlink_to("/proc/self/mem")  # a read of its first page fails
    assert f"{memory}: input/output error" in cosmos("apply", memory, "--from", base, *words).fails(5).err
    lock = base / "universe.lock.toml"
    lock.write_bytes(lock.read_bytes() + b"\n")
    said = cosmos("apply", delta, "--from", base, *words).fails(7).err
    assert "one is damaged there" in said and "universe.lock.toml" in said and "cosmos verify OLD" in said
    (base / "RELEASE.json").unlink()
    (base / "RELEASE.json").symlink_to("/proc/self/mem")
    assert f"{base}/RELEASE.json: input/output error" in cosmos("apply", delta, "--from", base, *words).fails(5).err


@pytest.mark.objective("SO-28")
def test_a_release_that_was_there_stays_when_a_delta_is_refused(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    out = shutil.copytree(update.old, tmp_path / "out")
    before = files_of(out)
    data = bytearray(delta.read_bytes())
    data[-5] ^= 1
    (tmp_path / "d").write_bytes(data)
    cosmos("apply", tmp_path / "d", "--from", out, "-o", out, "--key", update.public_key).fails(4)
    stranger = SecretKey.generate(KeyName.parse("x"), "release").public
    (tmp_path / "x.pub").write_text(stranger.to_text())
    cosmos("apply", delta, "--from", out, "-o", out, "--key", tmp_path / "x.pub").fails(4)
    assert files_of(out) == before


DRIVER = """
import json, os, sys
sys.path.insert(0, {builder!r})
import cosmos.cli.cosmos.apply  # once, and not in each process
from cosmos.cli.cosmos.main import program
from cosmos.cli.endings import run
left = [0]
def dying(function):
    def called(*words, **named):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), 9)
        return function(*words, **named)
    return called
for name in ("fsync", "replace", "open", "unlink", "rename", "rmdir", "fchmod", "mkdir"):
    setattr(os, name, dying(getattr(os, name)))
for line in iter(sys.stdin.readline, ""):
    number, *words = json.loads(line)
    child = os.fork()
    if child == 0:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        left[0] = number
        run(program, "cosmos", words)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def killed_at() -> Iterator[Callable[..., int]]:
    """Run `cosmos` with these words in a process that dies at its n-th such call (0: at none); return the exit code.

    The processes are forked from one that has imported the program.
    """
    code = DRIVER.format(builder=str(REPO / "builder"))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as driver:
        asked, told = driver.stdin, driver.stdout
        assert asked is not None and told is not None

        def run(number: int, *words: object) -> int:
            asked.write(json.dumps([number, *map(str, words)]) + "\n")
            return int(told.readline())

        yield run
        asked.close()


@pytest.mark.slow
@pytest.mark.objective("SO-28")
@pytest.mark.parametrize(
    "step", [pytest.param(23, id="some"), pytest.param(3, id="every third", marks=pytest.mark.exhaustive)]
)
def test_a_kill_at_a_write_leaves_the_old_or_the_new_release_and_the_next_run_ends(
    update: Update, delta: Path, tmp_path: Path, killed_at: Callable[..., int], step: int
) -> None:
    """Each call that opens, writes out, renames or removes a file is the last one, once."""
    old, new = files_of(update.old), files_of(update.new)

    def run(number: int, out: Path) -> int:
        return killed_at(number, "apply", delta, "--from", update.old, "-o", out, "--key", update.public_key)

    place = shutil.copytree(update.old, tmp_path / "whole" / "out")
    assert run(0, place) == 0 and files_of(place) == new
    kills, number = 0, 1
    while True:
        out = shutil.copytree(update.old, tmp_path / f"k{number}" / "out")
        code = run(number, out)
        assert files_of(out) in (old, new), number
        if code == 0:
            break
        assert code == -signal.SIGKILL, (number, code)
        kills += 1
        assert run(0, out) == 0, number
        assert files_of(out) == new, number
        left = [file for file in out.parent.iterdir() if file != out]
        assert all(file.is_dir() and not any(file.iterdir()) for file in left), number  # a draft that was not begun
        shutil.rmtree(out.parent)
        number += 1 if number < 8 else step  # the many opens of imports and of files that are only read
    assert kills > 10


@pytest.mark.objective("SO-28")
def test_a_killed_run_s_layers_are_taken_and_damaged_ones_are_made_again(
    update: Update, delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cosmos.release.delta import applying

    made: list[str] = []
    real = applying._patched

    def counted(layer: object, *rest: object) -> bytes:
        made.append(layer.name)
        return real(layer, *rest)

    monkeypatch.setattr(applying, "_patched", counted)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(applying, "write_files", fail)
        with pytest.raises(KeyboardInterrupt):
            outcome(update, delta, tmp_path / "new")
    first = list(made)
    assert "a-1.1.0" in first
    kept = sorted(file for file in (tmp_path / ".new.part").iterdir() if file.name != "lock")
    kept[0].write_bytes(kept[0].read_bytes()[:-1] + b"?")  # as many bytes as before
    grow(kept[1])
    hash_no_huge_file(monkeypatch)
    made.clear()
    assert outcome(update, delta, tmp_path / "new") == 0
    assert len(made) == 2 and len(kept) == len(first)
    assert files_of(tmp_path / "new") == files_of(update.new)


@pytest.mark.slow
@pytest.mark.objective("SO-28")
def test_memory_is_bounded_by_the_largest_layer_and_not_by_the_image(
    succeed: Callable[..., None], tmp_path: Path
) -> None:
    """An image of 80 MiB in layers of 8 MiB is updated in 140 MiB of address space, Python in it."""
    size = 8 * MIB
    old = tuple(StarSpec(f"s{seed}", "1.0.0", {f"usr/bin/s{seed}": noise(seed, size)}) for seed in range(10))
    new = (
        tuple(StarSpec(f"s{seed}", "1.1.0", {f"usr/bin/s{seed}": edited(noise(seed, size), MIB)}) for seed in range(2))
        + old[2:]
    )
    tables = '[[output]]\nformat = "tar.zst"\nlevel = 1\n'
    update = make_update(tmp_path / "x", succeed, old, new, tables=tables)
    succeed("delta", update.old, update.new, "-o", tmp_path / "d", "--key", update.secret_key)
    words = ["apply", tmp_path / "d", "--from", update.old, "-o", tmp_path / "new", "--key", update.public_key]
    program = (
        f"import sys; sys.path.insert(0, {str(REPO / 'builder')!r}); "
        "from cosmos.cli.cosmos.main import main; sys.argv[0] = 'cosmos'; main()"
    )

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (140 * MIB, 140 * MIB))

    ran = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)], preexec_fn=limited, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert files_of(tmp_path / "new") == files_of(update.new)


contents = st.dictionaries(
    st.sampled_from(["usr/bin/a", "usr/bin/b", "usr/lib/c", "etc/d", "usr/share/e"]),
    st.binary(max_size=300),
    max_size=4,
)
systems = st.dictionaries(st.sampled_from(["one", "two1", "two2", "three"]), contents, min_size=1, max_size=4)


@pytest.mark.slow
@pytest.mark.objective("SO-28")
@tried(same=6, new=40)
@given(systems, systems, st.integers(0, 2**32))
def test_any_two_images_give_a_delta_that_makes_the_second_out_of_the_first(
    succeed: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
    one: dict[str, dict[str, bytes]],
    other: dict[str, dict[str, bytes]],
    seed: int,
) -> None:
    where = tmp_path_factory.mktemp("any")
    chance = random.Random(seed)
    old, new = (
        tuple(
            StarSpec(name, f"1.{chance.randrange(3)}.{turn}", {f"{path}-{name}": data for path, data in files.items()})
            for name, files in sorted(system.items())
        )
        for turn, system in ((0, one), (1, other))
    )
    update = make_update(
        where, succeed, old, new, tables=chance.choice(["", '[[output]]\nformat = "tar.zst"\nlevel = 19\n'])
    )
    succeed("delta", update.old, update.new, "-o", where / "d", "--key", update.secret_key)
    assert outcome(update, where / "d", where / "made") == 0
    assert files_of(where / "made") == files_of(update.new)
    shutil.rmtree(where)


def test_two_runs_into_one_place_do_not_mix(update: Update, delta: Path, tmp_path: Path) -> None:
    """The second one says that the first is at work."""
    from cosmos.release.delta.work import work_beside

    with work_beside(tmp_path / "new"):
        assert outcome(update, delta, tmp_path / "new") == 5
    assert outcome(update, delta, tmp_path / "new") == 0
    assert not os.path.lexists(tmp_path / ".new.part")


@pytest.mark.parametrize("laid", ["a link", "a folder of another user"])
def test_a_stranger_s_work_folder_leads_no_write_elsewhere(
    update: Update, delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, laid: str
) -> None:
    """In a shared folder, such as /tmp, anybody may lay `.NEW.part` before the command begins."""
    place, elsewhere = tmp_path / ".new.part", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if laid == "a link":
        place.symlink_to(elsewhere)
    else:
        place.mkdir()
        real = Path.lstat

        def of_another(path: Path) -> os.stat_result:
            about = real(path)
            return os.stat_result([*about[:4], about.st_uid + 1, *about[5:]]) if path == place else about

        monkeypatch.setattr(Path, "lstat", of_another)
    assert outcome(update, delta, tmp_path / "new") == 5
    assert not list(elsewhere.iterdir()) and not list(place.iterdir())


def test_the_command_that_removes_such_a_folder_can_be_pasted(
    update: Update, delta: Path, cosmos: Cosmos, tmp_path: Path
) -> None:
    """`rm -r /srv/my images/.new.part` would remove /srv/my."""
    (tmp_path / "my images").mkdir()
    place = tmp_path / "my images" / ".new.part"
    place.symlink_to(tmp_path)
    words = ("apply", delta, "--from", update.old, "-o", tmp_path / "my images" / "new", "--key", update.public_key)
    assert f"hint: rm -r '{place}'" in cosmos(*words).fails(5).err


def test_a_misspelt_star_to_be_carried_whole_is_named(update: Update, cosmos: Cosmos, tmp_path: Path) -> None:
    words = ("delta", update.old, update.new, "-o", tmp_path / "d", "--key", update.secret_key)
    assert "has no star aa" in cosmos(*words, "--whole", "aa").fails(2).err
    assert not (tmp_path / "d").exists()
