"""Rendering a rootfs template: what a template may say, and what is refused with its file, line or variable."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from cosmos.cli.toml_lines import line_hint
from cosmos.errors import Malformed
from cosmos.image.template import read_template, render_template, stand_ins
from cosmos.model.image import Image
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

EPOCH = 1767225600
DECLARED = """
merged-usr = true
[variables.hostname]
type = "string"
meaning = "the system's name"
[variables.servers]
type = "strings"
default = []
meaning = "name servers"
[variables.baud]
type = "integer"
default = 115200
meaning = "a speed"
[variables.quiet]
type = "boolean"
default = false
meaning = "whether it is quiet"
[variables.network]
type = "string"
default = "dhcp"
choices = ["dhcp", "none"]
meaning = "how it gets its address"
"""


def image(**values: object) -> Image:
    """Return an image definition with these `[vars]`."""
    rows = "\n".join(f"{name} = {_toml(value)}" for name, value in values.items())
    text = f"""
        name = "small"
        version = "1.2.3"
        description = "a small one"
        arch = "x86_64"
        template = "small"
        source-date-epoch = {EPOCH}
        [stars]
        [galaxies]
        core = "."
        [vars]
        {rows}
        """
    return Image.parse(text.encode(), "image.toml")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | list) else f'"{value}"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A template that says nothing yet."""
    template = tmp_path / "small"
    (template / "root/etc").mkdir(parents=True)
    (template / "template.toml").write_text(DECLARED)
    return template


def rendered(folder: Path, **values: object) -> dict[bytes, Entry]:
    """Render `folder` for an image with a hostname and these variables; return the entries by path."""
    template = render_template(read_template(folder), image(**{"hostname": "box", **values}), source="image.toml")
    return {bytes(entry.path): entry for entry in template.entries}


def problem(folder: Path, **values: object) -> Malformed:
    """Render `folder` and return what it was refused for."""
    with pytest.raises(Malformed) as caught:
        rendered(folder, **values)
    return caught.value


def text_of(entry: Entry) -> str:
    return bytes(entry.content).decode()


def test_a_template_sees_the_variables_and_the_image(folder: Path) -> None:
    (folder / "root/etc/hello.j2").write_text(
        "{{ hostname }} {{ baud }} {{ quiet }} {{ network }}\n"
        "{% for server in servers %}\n{{ server }}\n{% endfor %}\n"
        "{{ image.name }} {{ image.version }} {{ image.arch }} {{ image.marker }}\n"
    )
    entries = rendered(folder, servers=["10.0.0.1", "10.0.0.2"], quiet=True)
    assert b"etc/hello.j2" not in entries
    assert text_of(entries[b"etc/hello"]) == (
        "box 115200 True dhcp\n10.0.0.1\n10.0.0.2\nsmall 1.2.3 x86_64 COSMOS-READY\n"
    )


def test_what_is_no_template_passes_as_it_is(folder: Path) -> None:
    script = b"#!/bin/sh\necho ${#list} '{{ not mine }}' {% \xff\x00"
    (folder / "root/etc/run").write_bytes(script)
    assert rendered(folder)[b"etc/run"].content == script


def test_a_missing_variable_is_named_with_its_meaning(folder: Path) -> None:
    with pytest.raises(Malformed) as caught:
        render_template(read_template(folder), image(), source="image.toml")
    assert str(caught.value) == "image.toml: vars.hostname: the template needs it, but the image does not set it"
    assert "the system's name" in (caught.value.hint or "")


def test_an_unknown_variable_is_named_with_those_that_there_are(folder: Path) -> None:
    error = problem(folder, hostnam="typo")
    assert str(error).startswith("image.toml: vars.hostnam: ")
    assert "hostname" in (error.hint or "")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("hostname", 7, "want a string"),
        ("baud", "fast", "want an integer"),
        ("baud", True, "want an integer"),
        ("quiet", 1, "want true or false"),
        ("servers", "10.0.0.1", "want an array of strings"),
        ("servers", [1], "want an array of strings"),
        ("network", "static", "want one of dhcp, none"),
        ("hostname", r"two\nlines", "want one line"),
        ("servers", [r"two\nlines"], "want one line"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(folder: Path, name: str, value: object, words: str) -> None:
    if isinstance(value, list) and value == [r"two\nlines"]:
        value = ["two\nlines"]
    image_ = image(hostname="box")
    given = {**image_.vars, name: value.replace(r"\n", "\n") if isinstance(value, str) else value}
    broken = Image.parse(_definition(given), "image.toml")
    with pytest.raises(Malformed, match=f"image.toml: vars.{name}: {words}"):
        render_template(read_template(folder), broken, source="image.toml")


def _definition(values: dict[str, object]) -> bytes:
    import tomli_w

    document = {
        "name": "small",
        "version": "1.2.3",
        "arch": "x86_64",
        "template": "small",
        "source-date-epoch": EPOCH,
        "stars": {},
        "galaxies": {"core": "."},
        "vars": values,
    }
    return tomli_w.dumps(document).encode()


def test_an_undefined_name_is_told_with_file_and_line(folder: Path) -> None:
    (folder / "root/etc/hello.j2").write_text("one\ntwo\n{{ hostnam }}\n")
    assert str(problem(folder)) == "small/root/etc/hello.j2:3: does not render: 'hostnam' is undefined"


def test_a_template_that_does_not_parse_is_told_with_file_and_line(folder: Path) -> None:
    (folder / "root/etc/hello.j2").write_text("one\n{% if %}\n")
    assert str(problem(folder)).startswith("small/root/etc/hello.j2:2: does not parse: ")


def test_a_template_that_fails_midway_is_told_with_file_and_line(folder: Path) -> None:
    (folder / "root/etc/hello.j2").write_text("{{ 1 }}\n{{ 1 // 0 }}\n")
    assert str(problem(folder)).startswith("small/root/etc/hello.j2:2: does not render: ")


def test_an_error_in_an_included_file_names_that_file(folder: Path) -> None:
    (folder / "root/etc/part.j2").write_text("fine\n{{ missing }}\n")
    (folder / "root/etc/hello.j2").write_text("{% include 'etc/part.j2' %}")
    assert str(problem(folder)).startswith("small/root/etc/part.j2:2: ")


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ users.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ image.update({'name': 'other'}) }}",
        "{% include '/etc/passwd' %}",
        "{% include '../template.toml' %}",
        "{{ [1, 2, 3] | random }}",
        "{{ lipsum() }}",
    ],
)
def test_a_template_does_not_leave_its_sandbox(folder: Path, attack: str) -> None:
    (folder / "root/etc/hello.j2").write_text(attack)
    problem(folder)


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        ("{{ hostname.upper }}", "text has no attribute 'upper'"),
        ('{% for key in image.keys() - ["arch"] %}{{ key }}{% endfor %}', "a template calls range(), namespace()"),
        ("{{ hostname.encode('utf-7') }}", "a template calls range(), namespace()"),
        ("{{ [hostnam, 1] }}", "'hostnam' is undefined"),
        ("{% include 'etc/hello.j2' %}", "etc/hello.j2 includes itself"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "it is nested, or calls itself, too deeply"),
        ("{% for a in [1] %}" * 21 + "{% endfor %}" * 21, "blocks are nested more than 20 deep"),
        ("{% if 1 %}" * 100 + "{% endif %}" * 100, "blocks are nested more than 20 deep"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "it takes more than"),
        ("{{ 'x' * 10 ** 9 }}", "it makes more than 4194304 bytes"),
        ("{{ users[0].name }}", "a list with 0 elements has none at 0"),
    ],
)
def test_what_differs_from_builder_to_builder_or_has_no_end_is_told_with_file_and_line(
    folder: Path, attack: str, why: str
) -> None:
    (folder / "root/etc/hello.j2").write_text(f"one\n{attack}\n")
    error = problem(folder)
    assert re.match(rf"small/root/etc/hello\.j2:2: does not (parse|render): {re.escape(why)}", str(error))
    assert error.exit_code == 2


def test_modes_come_from_the_executable_bit_and_not_from_the_builder(folder: Path) -> None:
    for name, mode in (("plain", 0o640), ("script", 0o700)):
        (folder / "root/etc" / name).write_text("x")
        (folder / "root/etc" / name).chmod(mode)
    (folder / "root/etc").chmod(0o700)
    entries = rendered(folder)
    assert [entries[path].mode for path in (b"etc", b"etc/plain", b"etc/script")] == [0o755, 0o644, 0o755]
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, EPOCH)}


def test_paths_give_modes_owners_folders_links_and_devices(folder: Path) -> None:
    (folder / "root/etc/shadow").write_text("root:!::::::\n")
    (folder / "template.toml").write_text(
        DECLARED
        + """
        [[group]]
        name = "shadow"
        gid = 42
        [[group]]
        name = "web"
        gid = 33
        [[user]]
        name = "web"
        uid = 33
        group = "web"
        home = "/srv"
        shell = "/bin/false"
        password = "locked"
        [paths]
        "etc/shadow" = { mode = "0640", group = "shadow" }
        "srv/www" = { kind = "dir", mode = "2775", user = "web", group = "web" }
        "init" = { kind = "symlink", target = "usr/bin/busybox" }
        "dev/console" = { kind = "char", mode = "0600", major = 5, minor = 1 }
        """
    )
    entries = rendered(folder)
    seen = {path: (e.kind, e.mode, e.uid, e.gid, e.target, e.rdev) for path, e in entries.items()}
    assert seen[b"etc/shadow"] == ("file", 0o640, 0, 42, b"", None)
    assert seen[b"srv"] == ("dir", 0o755, 0, 0, b"", None)
    assert seen[b"srv/www"] == ("dir", 0o2775, 33, 33, b"", None)
    assert seen[b"init"] == ("symlink", 0o777, 0, 0, b"usr/bin/busybox", None)
    assert seen[b"dev/console"] == ("char", 0o600, 0, 0, b"", (5, 1))


def test_a_merged_usr_is_links_and_a_map_for_the_stars(folder: Path) -> None:
    template = render_template(read_template(folder), image(hostname="box"), source="image.toml")
    entries = {bytes(entry.path): entry for entry in template.entries}
    assert template.merged_usr
    assert {bytes(a): bytes(b) for a, b in template.path_map.items()} == {
        b"bin": b"usr/bin",
        b"lib": b"usr/lib",
        b"lib64": b"usr/lib64",
        b"sbin": b"usr/sbin",
    }
    assert entries[b"bin"].target == b"usr/bin"
    assert entries[b"usr/lib64"].kind == "dir"
    assert list(template.entries) == sorted(template.entries, key=lambda entry: entry.path)


def test_without_a_merged_usr_nothing_is_mapped(folder: Path) -> None:
    (folder / "template.toml").write_text(DECLARED.replace("merged-usr = true", "merged-usr = false"))
    template = render_template(read_template(folder), image(hostname="box"), source="image.toml")
    assert (template.merged_usr, dict(template.path_map)) == (False, {})
    assert [bytes(entry.path) for entry in template.entries] == [b"etc"]


def test_a_file_below_what_becomes_a_link_is_refused(folder: Path) -> None:
    (folder / "root/sbin").mkdir()
    (folder / "root/sbin/x").write_text("x")
    assert "belongs below usr/sbin" in str(problem(folder))


@pytest.mark.parametrize("name", ["hello", "hello.j2"])
def test_one_file_may_not_be_there_as_it_is_and_as_a_template(folder: Path, name: str) -> None:
    for twin in (name, f"{name}.j2"):
        (folder / "root/etc" / twin).write_text("x")
    assert str(problem(folder)) == f"small/root/etc/{name}: is there twice: as a file and as a template"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('"etc/no" = { mode = "0600" }', "no such file below root/"),
        ('"etc/hello" = { kind = "dir" }', "is already below root/, as a file"),
        ('"etc/hello" = { mode = "rw" }', 'want an octal mode such as "0755"'),
        ('"etc/hello" = { mode = "0600", user = "jane" }', "no [[user]] or no [[group]] declares the owner jane:root"),
        ('"/etc/hello" = { mode = "0600" }', "starts with a slash"),
        ('"../x" = { kind = "dir" }', "has the component '..'"),
        ('"dev/null" = { kind = "char", mode = "0666" }', "major: missing"),
        ('"dev/null" = { kind = "char", major = 1, minor = 3 }', "mode: missing"),
        ('"x" = { kind = "symlink", target = "y", mode = "0777" }', "a link has no mode of its own"),
        ('"x" = { kind = "dir", color = "red" }', "unknown key"),
    ],
)
def test_a_declared_path_that_makes_no_sense_is_refused(folder: Path, rows: str, words: str) -> None:
    (folder / "root/etc/hello").write_text("x")
    (folder / "template.toml").write_text(f"{DECLARED}\n[paths]\n{rows}\n")
    assert words in str(problem(folder))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('[[group]]\nname = "a"\ngid = 1\n[[group]]\nname = "a"\ngid = 2', "group: two share one name"),
        ('[[group]]\nname = "a"\ngid = 1\n[[group]]\nname = "b"\ngid = 1', "group: two share one number"),
        ('[[group]]\nname = "a"\ngid = 1\nmembers = ["jane"]', "no [[user]] declares the member jane"),
        ('[[group]]\nname = "A b"\ngid = 1', "want a name of"),
        ('[variables.image]\ntype = "string"\nmeaning = "x"', "variables.image: want a name"),
        ('[variables.x]\ntype = "string"', "variables.x.meaning: missing"),
        ('[variables.x]\ntype = "float"\nmeaning = "x"', "variables.x.type: want one of"),
        ('[variables.x]\ntype = "string"\ndefault = 1\nmeaning = "x"', "variables.x.default: want a string"),
        ('[variables.x]\ntype = "integer"\nchoices = ["1"]\nmeaning = "x"', "only a string has choices"),
        ('[[mount]]\ndevice = "proc"\nat = "/my proc"\ntype = "proc"', "mount[0].at: want one word"),
        ("colour = 1", "colour: unknown key"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(folder: Path, rows: str, words: str) -> None:
    text = f"{rows}\n{DECLARED}" if rows.startswith("colour") else f"{DECLARED}\n{rows}\n"
    (folder / "template.toml").write_text(text)
    error = problem(folder)
    assert error.where == "small/template.toml"
    assert words in str(error)


@pytest.mark.parametrize("smuggled", [":", r"\nroot2::0:0::/:/bin/sh", r"\r", r"\u0000"])
@pytest.mark.parametrize("field", ["name", "about", "home", "shell", "password"])
def test_a_user_cannot_smuggle_a_second_account(folder: Path, field: str, smuggled: str) -> None:
    user = {"name": "a", "about": "a", "home": "/", "shell": "/bin/sh", "password": "locked"}
    user[field] += f"{smuggled}x"
    rows = "".join(f'{name} = "{value}"\n' for name, value in user.items())
    group = '[[group]]\nname = "a"\ngid = 1\n'
    (folder / "template.toml").write_text(f'{DECLARED}\n{group}[[user]]\nuid = 1\ngroup = "a"\n{rows}')
    assert f"user[0].{field}: want" in str(problem(folder))


@pytest.mark.parametrize("password", ["hunter2", "/etc/passwd", "", "$", "Locked", "$6$salt$ha:sh", "a b"])
def test_a_password_that_is_no_hash_is_refused_and_not_shown(folder: Path, password: str) -> None:
    """/etc/shadow would have it in plain text, and nobody could log in with it; with "", everybody could."""
    write_password(folder, password)
    error = problem(folder)
    assert "user[0].password: want locked, empty or a crypt(5) hash" in str(error)
    lines = (folder / "template.toml").read_text().splitlines()
    assert line_hint(error) == f"mend line {len(lines)}"
    assert error.also == ()


@pytest.mark.parametrize(
    "password", ["locked", "empty", "!", "*", "$6$salt$ha/sh.", "$y$j9T$a$b", "!$1$a$b", "abJnggxhB/yWI"]
)
def test_what_crypt_makes_is_a_password(folder: Path, password: str) -> None:
    write_password(folder, password)
    rendered(folder, hostname="x")


def write_password(folder: Path, password: str) -> None:
    user = f'name = "a"\nuid = 1\ngroup = "a"\nhome = "/"\nshell = "/bin/sh"\npassword = "{password}"\n'
    (folder / "template.toml").write_text(f'{DECLARED}\n[[group]]\nname = "a"\ngid = 1\n[[user]]\n{user}')


@pytest.mark.parametrize(
    "rows", ['name = "a:x"', 'name = "a"\nmembers = ["b:"]', 'name = "a"\nmembers = ["b\\nc::1:"]']
)
def test_a_group_cannot_smuggle_a_second_group(folder: Path, rows: str) -> None:
    (folder / "template.toml").write_text(f"{DECLARED}\n[[group]]\ngid = 1\n{rows}\n")
    assert "want a name of" in str(problem(folder))


def test_a_template_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="is not there"):
        render_template(read_template(tmp_path / "none"), image(), source="image.toml")


def test_the_rescue_template_renders_and_locks_every_account(repo: Path) -> None:
    definition = Image.parse((repo / "images/rescue/image.toml").read_bytes(), "image.toml")
    template = render_template(read_template(repo / "rootfs-templates/rescue"), definition, source="image.toml")
    entries = {bytes(entry.path): entry for entry in template.entries}
    assert text_of(entries[b"etc/hostname"]) == "rescue\n"
    assert text_of(entries[b"etc/shadow"]) == "root:!::0:99999:7:::\nnobody:!::0:99999:7:::\n"
    assert text_of(entries[b"etc/passwd"]).startswith("root:x:0:0:root:/root:/bin/sh\n")
    assert entries[b"root/.ssh/authorized_keys"].size == 0
    modes = {path.decode(): oct(entries[path].mode) for path in (b"tmp", b"root", b"etc/shadow", b"etc/init.d/rcS")}
    assert modes == {"tmp": "0o1777", "root": "0o700", "etc/shadow": "0o640", "etc/init.d/rcS": "0o755"}
    assert entries[b"dev/console"].rdev == (5, 1)
    assert TreePath(b"bin") in template.path_map


def test_the_same_template_renders_to_the_same_entries(repo: Path) -> None:
    definition = Image.parse((repo / "images/rescue/image.toml").read_bytes(), "image.toml")
    files = read_template(repo / "rootfs-templates/rescue")
    once, again = (render_template(files, definition, source="image.toml") for _ in range(2))
    assert once == again


@pytest.mark.parametrize("name", [".j2", "..j2", "...j2"])
def test_a_template_of_which_no_name_is_left_is_named(tmp_path: Path, name: str) -> None:
    root = tmp_path / "template" / "root"
    root.mkdir(parents=True)
    (tmp_path / "template" / "template.toml").write_text("merged-usr = false\n")
    (root / name).write_text("x")
    with pytest.raises(Malformed, match=re.escape(f"template/root/{name}: without .j2 is no path")):
        render_template(read_template(tmp_path / "template"), image(), source="image.toml")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('default = "in the open"', "variables.psk.default: a secret has no default"),
        ('choices = ["a", "b"]', "variables.psk.choices: only a string has choices"),
    ],
)
def test_a_secret_variable_has_no_default_and_no_choices(folder: Path, line: str, words: str) -> None:
    (folder / "template.toml").write_text(f'{DECLARED}[variables.psk]\ntype = "secret"\nmeaning = "x"\n{line}\n')
    assert words in str(problem(folder))


def test_a_template_renders_with_stand_ins_as_with_any_other_secret(folder: Path) -> None:
    declared = '[variables.psk]\ntype = "secret"\nmeaning = "x"\n[paths]\n"etc/psk" = { mode = "0600" }\n'
    (folder / "template.toml").write_text(DECLARED + declared)
    (folder / "root/etc/psk.j2").write_text("psk={{ psk }}")
    files = read_template(folder)
    made = render_template(files, image(hostname="box"), source="image.toml", secrets=stand_ins(files))
    assert (made.secrets, made.secret_files) == (("psk",), {TreePath(b"etc/psk"): ("psk",)})
    with pytest.raises(Malformed, match=r"variables\.psk: is a secret, and its value is not given"):
        render_template(files, image(hostname="box"), source="image.toml")


@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_what_is_neither_a_file_nor_a_folder_nor_a_link_is_named_with_the_way_out(folder: Path, kind: str) -> None:
    place = folder / "root/etc/odd"
    os.mknod(place, 0o600 | (stat.S_IFIFO if kind == "fifo" else stat.S_IFSOCK))
    error = problem(folder)
    assert str(error) == f"{place}: is neither a file, a folder nor a link"
    assert error.hint == "declare devices in [paths]"


def test_a_text_template_that_is_not_utf_8_is_named_with_its_byte(folder: Path) -> None:
    (folder / "root/etc/hello.j2").write_bytes(b"one \xff")
    assert str(problem(folder)) == "small/root/etc/hello.j2: is not UTF-8 at byte 4"
