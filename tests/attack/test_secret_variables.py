"""A secret variable is in the image and nowhere else: not in a store, a manifest, a command line or an error."""

from __future__ import annotations

import base64
import io
import os
import re
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard

from cosmos.digest import Digest
from fakes.images import APP, BASE, ImageFixture, make_image
from fakes.programs import Cosmos

MARK = f"{os.getpid():08}"  # of this run: the processes of another one are seen as well
VALUE = f'correct horse "battery" <staple> {MARK}\nand a second line, für alle {MARK}'
MADE = "# {{ image.name }}\npsk={{ wifi_psk }}\nurl={{ wifi_psk|urlencode }}\njson={{ wifi_psk|tojson }}\n"
OUTPUTS = '[[output]]\nformat = "tar.zst"\n[[output]]\nformat = "cpio.zst"\n'
PROGRAM = "from cosmos.cli.cosmos.main import main; main()"
PRIVATE = '"etc/wifi.conf" = { mode = "0600" }'


def forms(value: str) -> list[bytes]:
    """Every form in which the value might lie about, as a whole and by its lines."""
    texts = [value.encode(), *(line.encode() for line in value.splitlines())]
    return [
        form
        for text in texts
        for form in (
            text,
            text.hex().encode(),
            base64.b64encode(text).rstrip(b"="),
            base64.urlsafe_b64encode(text).rstrip(b"="),
            base64.b64encode(text[1:]).rstrip(b"=")[:-1],
            base64.b64encode(text[2:]).rstrip(b"=")[:-1],
            quote(text.decode()).encode(),
            Digest.of(text).hex.encode(),
            bytes.fromhex(Digest.of(text).hex),
        )
    ]


def image_with_a_secret(
    where: Path, made: str = MADE, paths: str = PRIVATE, tables: str = OUTPUTS, more: str = ""
) -> ImageFixture:
    image = make_image(where, (BASE, APP), tables=tables, more=more)
    template = image.folder / "template"
    (template / "template.toml").write_text(
        'merged-usr = true\n[variables.wifi_psk]\ntype = "secret"\n'
        f'meaning = "the passphrase of the network"\n[paths]\n{paths}\n'
    )
    (template / "root/etc/wifi.conf.j2").write_text(made)
    return image


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The file with the value, outside of all that is kept with the image."""
    file = tmp_path / "outside" / "psk"
    file.parent.mkdir(mode=0o700)
    file.write_text(VALUE + "\n")
    file.chmod(0o600)
    return file


def readings(file: Path) -> Iterator[bytes]:
    """Yield what somebody finds in a file: its bytes, and what is packed in it."""
    data = file.read_bytes()
    yield data
    for start in (found.start() for found in re.finditer(re.escape(zstandard.FRAME_HEADER), data)):
        try:
            with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data[start:])) as stream:
                yield stream.read()
        except zstandard.ZstdError:
            continue


def holders(folder: Path, value: str, but: Path) -> dict[str, bytes]:
    """Return the files below `folder` that hold the value in some form, or whose name does."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file == but or file.is_symlink() or not file.is_file():
            continue
        texts = [*readings(file), str(file).encode()]
        hits = [form for form in forms(value) if any(form in text for text in texts)]
        if hits:
            found[str(file.relative_to(folder))] = hits[0]
    return found


class Watched:
    """Runs the program as a user does, and keeps what can be seen from outside: command lines, environments, output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: set[bytes] = set()

    def run(self, *words: object, code: int = 0, stdin: bytes | None = None) -> str:
        (self.folder / "tmp").mkdir(exist_ok=True)
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(self.folder / "tmp")}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, words)],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=environ,
            preexec_fn=allow_core_files,
        )
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended,))
        watcher.start()
        try:
            out, err = process.communicate(stdin)
        finally:
            ended.set()
            watcher.join()
        self.seen |= {out, err}
        assert process.returncode == code, err.decode()
        return (out + err).decode()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(0.1):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    for name in ("cmdline", "environ"):
                        try:
                            self.seen.add((entry / name).read_bytes())
                        except OSError:
                            continue

    def found(self, value: str) -> list[bytes]:
        seen = b"\0".join(self.seen)
        return [form for form in forms(value) if form in seen]


def allow_core_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


@pytest.mark.objective("SO-26")
def test_a_secret_variable_is_in_the_image_and_in_nothing_else(tmp_path: Path, secret: Path) -> None:
    image = image_with_a_secret(tmp_path / "site")
    watched = Watched(tmp_path)
    home = ("--home", image.home)
    watched.run("freeze", image.folder, *home)
    given = ("--secret", f"wifi_psk={secret}")
    watched.run("build", image.folder, *home, "--key", image.secret_key, "--explain", *given)
    watched.run("build", image.folder, *home, "--key", image.secret_key, "--json", *given, "--out", tmp_path / "again")
    watched.run("verify", image.out, "--key", image.public_key)
    watched.run("lint", image.out)
    watched.run("rebuild", image.out, *home, "--key", image.public_key, *given)
    assert watched.found(VALUE) == []
    name = "small-1.0.0-x86_64"
    expected = [f"{out}/{name}{suffix}" for out in ("again", "site/image/out") for suffix in (".cpio.zst", ".tar.zst")]
    assert sorted(holders(tmp_path, VALUE, secret)) == expected
    for file in expected:
        assert stat.S_IMODE((tmp_path / file).stat().st_mode) == 0o600, file
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.objective("SO-26")
def test_the_wrong_secret_at_a_rebuild_shows_neither_of_the_two(tmp_path: Path, secret: Path) -> None:
    image = image_with_a_secret(tmp_path / "site")
    watched = Watched(tmp_path)
    home = ("--home", image.home)
    watched.run("freeze", image.folder, *home)
    watched.run("build", image.folder, *home, "--secret", f"wifi_psk={secret}")
    wrong = f"not the passphrase that it was built with {MARK}"
    for words in ((), ("--json",)):
        said = watched.run("rebuild", image.out, *home, "--secret", "wifi_psk=-", *words, code=7, stdin=wrong.encode())
        assert "etc/wifi.conf" in said
        assert "it holds a secret, so its contents are not shown" in said
    assert watched.found(VALUE) == []
    assert watched.found(wrong) == []


@pytest.mark.objective("SO-26")
@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("\n{{ wifi_psk.upper() }}", "a template calls range()"),
        ("\n{% include wifi_psk %}", "the secret wifi_psk has no elements"),
        ("\n{{ {'a': 1}[wifi_psk] }}", "the secret wifi_psk is no key of a mapping"),
        (
            "\n{{ wifi_psk|int(base=99) }}",
            "can be written whole, but not put through the filter int",
        ),
        ("\n{{ wifi_psk|upper }}", "but not put through the filter upper"),
        ("\n{{ (wifi_psk ~ 'x')[0] }}", "the secret wifi_psk has no element"),
        ("\n{% if wifi_psk == 'x' %}y{% endif %}", "but not compared"),
        ("\n{{ wifi_psk ~ nope }}", "'nope' is undefined"),
        ("{{ wifi_psk }}\n{{ 1 // 0 }}", "it divides by zero"),
        ("\n{{ wifi_psk ~ ('x' * 5000000) }}", "bytes"),
    ],
)
def test_a_failing_template_repeats_nothing_of_a_secret(
    tmp_path: Path, secret: Path, cosmos: Cosmos, made: str, words: str
) -> None:
    image = image_with_a_secret(tmp_path / "site", made)
    said = cosmos("build", image.folder, "--home", image.home, "--secret", f"wifi_psk={secret}").fails(2)
    assert "template/root/etc/wifi.conf.j2:2: does not render: " in said.err
    assert words in said.err
    assert [form for form in forms(VALUE) if form in (said.out + said.err).encode()] == []
    assert holders(tmp_path, VALUE, secret) == {}


@pytest.mark.objective("SO-26")
@pytest.mark.parametrize("mode", ["0644", "0640", "0604", "0620", "0601", "0755", "4610", None])
def test_a_secret_never_lands_in_a_file_on_which_others_have_rights(
    tmp_path: Path, secret: Path, cosmos: Cosmos, mode: str | None
) -> None:
    paths = "" if mode is None else f'"etc/wifi.conf" = {{ mode = "{mode}" }}'
    image = image_with_a_secret(tmp_path / "site", "a\n{{ 'x' ~ wifi_psk|e }}", paths)
    cosmos("freeze", image.folder, "--home", image.home).fails(2)  # no value is needed to see it
    said = cosmos("build", image.folder, "--home", image.home, "--secret", f"wifi_psk={secret}").fails(2).err
    assert "template/root/etc/wifi.conf.j2:2: writes the secret wifi_psk into /etc/wifi.conf, on which others" in said
    assert f"({mode or '0644'})" in said
    assert '"etc/wifi.conf" = { mode = "0600" }' in said


@pytest.mark.objective("SO-26")
def test_a_secret_that_comes_by_another_file_is_followed_into_the_file_that_others_read(
    tmp_path: Path, secret: Path, cosmos: Cosmos
) -> None:
    image = image_with_a_secret(tmp_path / "site", "{% macro psk() %}{{ wifi_psk }}{% endmacro %}{{ psk() }}")
    (image.folder / "template/root/etc/motd.j2").write_text(
        "{% import 'etc/wifi.conf.j2' as wifi with context %}\n\n{{ wifi.psk()|indent }}"
    )
    said = cosmos("build", image.folder, "--home", image.home, "--secret", f"wifi_psk={secret}").fails(2).err
    assert "template/root/etc/wifi.conf.j2:1: writes the secret wifi_psk into /etc/motd" in said


@pytest.mark.objective("SO-26")
def test_a_finish_script_opens_no_file_with_a_secret_to_others(tmp_path: Path, secret: Path, cosmos: Cosmos) -> None:
    image = image_with_a_secret(tmp_path / "site", more='finish = "finish.lua"')
    script = image.folder / "finish.lua"
    given = ("--home", image.home, "--secret", f"wifi_psk={secret}")
    script.write_text('function install() chmod("/etc/wifi.conf", "0640") end')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    said = cosmos("build", image.folder, *given).fails(6).err
    assert "gives others than its owner rights on /etc/wifi.conf (0640), which holds a secret: wifi_psk" in said
    script.write_text('function install() chmod("/etc/wifi.conf", "0400") end')
    cosmos("build", image.folder, *given).ok()
    assert VALUE in cosmos("cat", image.out, "etc/wifi.conf").ok().out
    script.write_text('function install() write("/etc/wifi.conf", "nothing") chmod("/etc/wifi.conf", "0644") end')
    cosmos("build", image.folder, *given).ok()
    assert stat.S_IMODE((image.out / "small-1.0.0-x86_64.tar.zst").stat().st_mode) == 0o644
    assert cosmos("cat", image.out, "etc/wifi.conf").ok().out == "nothing"


@pytest.mark.objective("SO-26")
def test_a_file_with_a_secret_is_not_laid_beside_the_image(tmp_path: Path, secret: Path, cosmos: Cosmos) -> None:
    beside = '[[output]]\nformat = "file"\npath = "etc/wifi.conf"\nas = "wifi"\n'
    image = image_with_a_secret(tmp_path / "site", tables=OUTPUTS + beside)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    said = cosmos("build", image.folder, "--home", image.home, "--secret", f"wifi_psk={secret}").fails(2).err
    assert "output wifi: /etc/wifi.conf holds a secret" in said
    assert not image.out.exists()


@pytest.mark.objective("SO-26")
def test_no_file_of_a_kept_root_is_open_to_others_while_it_is_written(
    tmp_path: Path, secret: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_with_a_secret(tmp_path / "site")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    modes, real = [], Path.chmod

    def watched(path: Path, mode: int) -> None:
        if path.name == "wifi.conf":
            modes.append(stat.S_IMODE(path.stat().st_mode))
        real(path, mode)

    monkeypatch.setattr(Path, "chmod", watched)
    kept = tmp_path / "kept"
    given = ("--secret", f"wifi_psk={secret}", "--keep-root", kept)
    cosmos("build", image.folder, "--home", image.home, *given).ok()
    assert modes == [0o600]
    assert VALUE in (kept / "etc/wifi.conf").read_text()
    assert (kept / "etc/hostname").stat().st_mode & 0o777 == 0o644


@pytest.mark.objective("SO-26")
def test_a_secret_in_image_toml_is_refused_and_not_repeated(tmp_path: Path, secret: Path, cosmos: Cosmos) -> None:
    image = image_with_a_secret(tmp_path / "site", tables=f'{OUTPUTS}[vars]\nwifi_psk = "in the open"\n')
    for words in (("freeze", image.folder), ("build", image.folder, "--secret", f"wifi_psk={secret}")):
        said = cosmos(*words, "--home", image.home).fails(2)
        assert "image.toml: vars.wifi_psk: is a secret, and must not stand in this file" in said.err
        assert "in the open" not in said.out + said.err


@pytest.mark.objective("SO-26")
def test_a_build_without_its_secret_names_template_variable_and_option(
    tmp_path: Path, secret: Path, cosmos: Cosmos
) -> None:
    image = image_with_a_secret(tmp_path / "site")
    cosmos("freeze", image.folder, "--home", image.home).ok()  # it needs no value
    said = cosmos("build", image.folder, "--home", image.home).fails(2).err
    assert "template/template.toml: variables.wifi_psk: is a secret, and its value is not given" in said
    assert "--secret wifi_psk=FILE, the passphrase of the network" in said
    given = ("--secret", f"wifi_psk={secret}")
    more = cosmos("build", image.folder, "--home", image.home, *given, "--secret", f"other={secret}").fails(2).err
    assert "--secret: other: the template template declares no such secret" in more


@pytest.mark.objective("SO-26")
def test_a_release_names_its_secret_and_is_rebuilt_with_the_same_value_alone(
    tmp_path: Path, secret: Path, cosmos: Cosmos
) -> None:
    image = image_with_a_secret(tmp_path / "site")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    given = ("--secret", f"wifi_psk={secret}")
    signed = ("--home", image.home, "--key", image.secret_key)
    cosmos("build", image.folder, *signed, *given).ok()
    assert '"secrets": [\n' in (image.out / "RELEASE.json").read_text()
    cosmos("verify", image.out, "--key", image.public_key).ok()
    judged = ("--home", image.home, "--key", image.public_key)
    said = cosmos("rebuild", image.out, *judged).fails(2).err
    assert "was built with the secret wifi_psk, and without its value nobody can build the same" in said
    assert "--secret wifi_psk=FILE" in said
    row = cosmos("rebuild", image.out, *judged, *given, "--json").json()
    assert row["same"] is True


@pytest.mark.objective("SO-26")
def test_a_short_secret_is_warned_of_and_not_shown(tmp_path: Path, secret: Path, cosmos: Cosmos) -> None:
    image = image_with_a_secret(tmp_path / "site")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    words = ("build", image.folder, "--home", image.home, "--secret", f"wifi_psk={secret}")
    secret.write_text("fifteen letters\n")
    said = cosmos(*words).ok()
    assert "warning: the secret wifi_psk has fewer than 16 bytes" in said.err
    assert "fifteen" not in said.out + said.err
    secret.write_text("sixteen letters!\n")
    assert "fewer than" not in cosmos(*words).ok().err


def test_an_image_with_a_secret_is_the_same_again_and_the_value_keeps_its_lines(
    tmp_path: Path, secret: Path, cosmos: Cosmos
) -> None:
    image = image_with_a_secret(tmp_path / "site", "{{ wifi_psk }}|")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    words = ("build", image.folder, "--home", image.home, "--secret", f"wifi_psk={secret}")
    cosmos(*words).ok()
    assert cosmos("cat", image.out, "etc/wifi.conf").ok().out == f"{VALUE}|"
    manifest = (image.out / "manifest.txt").read_text().splitlines()
    assert [line.split(" ")[1:4] for line in manifest if " etc/wifi.conf " in line] == [["0600", "0", "0"]]
    assert cosmos(*words, "--json").json()["changed"] is False
