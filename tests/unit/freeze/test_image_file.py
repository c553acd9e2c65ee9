"""The pieces that lie behind the binary's launcher: what is written is read back, the same bytes each time."""

from __future__ import annotations

import marshal
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.waiting import soon


@pytest.fixture(autouse=True)
def freeze(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the scripts of freeze/ importable, as they are for each other."""
    monkeypatch.syspath_prepend(str(repo / "freeze"))


@pytest.fixture
def image_file(freeze: None) -> ModuleType:
    import image_file

    return image_file


def test_pieces_are_read_back_from_the_binary_in_the_order_of_names(image_file: ModuleType) -> None:
    pieces = {"b.so": b"\x7fELF" * 50, "a": b"", "index": marshal.dumps({})}
    image = image_file.image(pieces.items())
    assert image == image_file.image(reversed(pieces.items()))
    found = image_file.pieces_in(b"a launcher of some length" + image)
    assert found == pieces
    assert list(found) == sorted(pieces)


def test_the_image_begins_as_the_launcher_reads_it(image_file: ModuleType, repo: Path) -> None:
    image = image_file.image([("one", b"x" * 1000)])
    magic, count, name, place, packed, size, by_place = struct.unpack_from("<8sQ64sQQQQ", image)
    assert (magic, count, name.rstrip(b"\0"), size, by_place) == (b"COSMOS1\n", 1, b"one", 1000, 0)
    assert place + packed == len(image)
    assert image[place : place + 4] == b"\x28\xb5\x2f\xfd"
    header = (repo / "freeze" / "launcher" / "image.h").read_text()
    assert f"char name[{image_file.MAX_NAME_BYTES + 1}];" in header


def test_calls_of_one_place_are_the_same_bytes_and_come_back_as_they_were(image_file: ModuleType) -> None:
    code = b"\x90" * 7 + b"\xe8" + struct.pack("<i", 88) + b"\x90" * 8 + b"\xe9" + struct.pack("<i", 75) + b"\xe8\x01"
    changed = image_file.called_by_place(code)
    assert changed[8:12] == changed[21:25] == struct.pack("<I", 100)
    assert image_file.called_by_place(changed, -1) == code


@given(st.binary(max_size=400) | st.lists(st.sampled_from([b"\xe8", b"\xe9", b"\0", b"\xff"])).map(b"".join))
def test_any_bytes_come_back_from_calls_by_place(code: bytes) -> None:
    import image_file

    assert image_file.called_by_place(image_file.called_by_place(code), -1) == code


def test_a_name_that_does_not_fit_is_refused(image_file: ModuleType) -> None:
    image_file.image([("n" * 63, b"")])
    with pytest.raises(ValueError, match="at most 63 bytes"):
        image_file.image([("n" * 64, b"")])


def test_the_number_of_threads_changes_no_byte(image_file: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file.os, "sched_getaffinity", lambda _pid: range(64))
    pieces = [(f"piece {number}", bytes([number]) * 3000 * (60 - number)) for number in range(60)]
    images = []
    for threads in (1, 4):
        monkeypatch.setattr(image_file, "MAX_THREADS", threads)
        images.append(image_file.image(pieces))
    assert images[0] == images[1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_piece_that_cannot_be_compressed_stops_the_build(
    image_file: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    framed = image_file.framed
    monkeypatch.setattr(image_file, "framed", lambda name, content, _: framed(name, None if name == "b" else content))
    with pytest.raises(KeyError, match="b"):
        image_file.image([("a", b"1"), ("b", b"2"), ("c", b"3")])


def test_a_frame_that_was_made_ahead_is_taken_for_exactly_its_bytes(
    image_file: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [("libcrypto.so.3", b"\xe8\1\2\3\4" * 99), ("libc.so.6", b"c" * 500)]
    whole = image_file.image(pieces)
    for name, content in pieces:
        image_file.framed(name, content, tmp_path)
    another = image_file.framed("libc.so.6", b"another", tmp_path)
    assert another == image_file.framed("libc.so.6", b"another")
    assert image_file.image([*pieces, ("code", b"c" * 501)], tmp_path) == image_file.image(
        [*pieces, ("code", b"c" * 501)]
    )
    before = {*tmp_path.iterdir()}
    for name, value in (("__version__", "0.1"), ("ZSTD_VERSION", (1, 4, 9))):
        with monkeypatch.context() as patch:
            patch.setattr(image_file.zstandard, name, value)
            image_file.framed("libc.so.6", pieces[1][1], tmp_path)
    assert len({*tmp_path.iterdir()} - before) == 2, "a frame of another zstandard was taken"
    monkeypatch.setattr(image_file.zstandard, "ZstdCompressor", None)
    assert image_file.image(pieces, tmp_path) == whole


def test_two_pieces_of_one_name_are_refused_and_no_thread_goes_on_waiting(image_file: ModuleType) -> None:
    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="two pieces have this name"):
        image_file.image([("a", b"1"), ("a", b"2")])
    assert soon(lambda: not set(threading.enumerate()) - before)


def test_an_interrupt_leaves_what_still_waits(image_file: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = [], threading.Event()

    def slow(name: str, content: bytes, _ahead: None) -> bytes:
        begun.append(name)
        go_on.wait(60)
        return content

    def pieces() -> Iterator[tuple[str, bytes]]:
        yield from ((str(number), b"") for number in range(100))
        raise KeyboardInterrupt

    monkeypatch.setattr(image_file, "framed", slow)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        image_file.image(pieces())
    assert set(threading.enumerate()) - before
    go_on.set()
    assert soon(lambda: not set(threading.enumerate()) - before)
    assert len(begun) <= image_file.MAX_THREADS


def test_each_module_is_found_in_its_piece(image_file: ModuleType) -> None:
    names = ["cosmos.digest", "cosmos.nova", "cosmos.nova.workers", "cosmos.nova.worker", "jinja2", "cosmos.device"]
    modules = [image_file.Module(name=name, shown=f"{name}.py", code=name.encode()) for name in names]
    pieces = dict(image_file.code_pieces(modules))
    assert dict(image_file.modules_in(pieces)) == {name: name.encode() for name in names}
    assert b"jinja2" in pieces["code-seldom"]
    assert b"cosmos.digest" in pieces["code-always"]
    assert b"cosmos.nova.workers" in pieces["code-always"], "every command forks the zygotes"
    assert b"cosmos.device" in pieces["code-often"]


def test_a_zygote_of_scripts_unpacks_one_small_piece(image_file: ModuleType, repo: Path) -> None:
    """The code in the other pieces takes 2 to 3 MB of a small machine's memory for each of them."""
    code = """
import sys
sys.path[:0] = sys.argv[1:]
import cosmos.nova.workers, cosmos.sandbox.zygote
before = {*sys.modules}
import cosmos.nova.worker
print(*(name for name in {*sys.modules} - before if getattr(sys.modules[name], "__file__", "").endswith(".py")))
"""
    paths = [str(repo / "builder"), *(path for path in sys.path if path.endswith("site-packages"))]
    words = [sys.executable, "-I", "-S", "-c", code, *paths]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    imported, expected = {*done.stdout.split()} - image_file.IN_LIBPYTHON, set(image_file.WORKER)
    import interpreters

    if not sys.version.startswith(f"{interpreters.VERSION}."):  # another Python's own modules are others
        imported, expected = ({name for name in names if name[:7] == "cosmos."} for names in (imported, expected))
    assert imported == expected
    assert {image_file.code_piece(name) for name in imported} == {"code-worker"}


SOURCE = '''"""Module."""
from __future__ import annotations


class Pair:
    """Class."""

    one: int

    def only(self):
        """Method."""

    async def more(self):
        """Method."""
        assert self.one, "asserts stay"


try:
    far = lambda one: one if one else None
except ValueError:
    if far:
        pass
    else:
        def far(one: int, /, *more: int, key: str = "", **rest: str) -> int:
            """Far."""
            for one in more:
                match one:
                    case 1:
                        def near(one: int) -> None:
                            """Near."""
finally:
    def last() -> int:
        """Last."""
'''


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield code and all code in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from codes_in(one)


def test_wherever_a_function_lies_it_has_no_types_in_its_head_and_no_docstring(
    image_file: ModuleType, tmp_path: Path
) -> None:
    source = tmp_path / "pair.py"
    source.write_text(SOURCE.replace("from __future__ import annotations", ""))
    code = marshal.loads(image_file.compiled("pair", source, keeps_docstrings=False).code)
    assert {one.co_name for one in codes_in(code)} >= {"only", "more", "far", "near", "last", "<lambda>"}
    texts = {text for one in codes_in(code) for text in one.co_consts if isinstance(text, str)}
    assert not texts & {"Module.", "Class.", "Method.", "Far.", "Near.", "Last.", "return"}
    assert not any(one.co_name != "Pair" and {"int", "str"} & {*one.co_names} for one in codes_in(code))


def test_docstrings_are_left_out_but_a_class_keeps_a_short_one(image_file: ModuleType, tmp_path: Path) -> None:
    """`dataclasses` would make one at each start, which takes as long as all else that it does."""
    source = tmp_path / "pair.py"
    source.write_text(SOURCE)
    names: dict[str, object] = {"__name__": "pair"}
    exec(marshal.loads(image_file.compiled("pair", source, keeps_docstrings=False).code), names)
    pair = names["Pair"]
    assert isinstance(pair, type)
    assert (pair.__doc__, pair.only.__doc__, pair.more.__doc__, names.get("__doc__")) == (".", None, None, None)
    kept: dict[str, object] = {"__name__": "pair"}
    exec(marshal.loads(image_file.compiled("pair", source, keeps_docstrings=True).code), kept)
    assert kept["__doc__"] == "Module."


def test_code_names_no_folder_of_the_builder(image_file: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "__init__.py"
    source.write_text("def f(): pass\n")
    module = image_file.compiled("cosmos.room", source, keeps_docstrings=False)
    code = marshal.loads(module.code)
    assert isinstance(code, CodeType)
    assert code.co_filename == "cosmos/room/__init__.py"
    assert str(tmp_path).encode() not in module.code
    assert module.is_package


def test_what_an_import_makes_is_the_same_ready_made(tmp_path: Path) -> None:
    import made_at_import

    (tmp_path / "probe_of_imports.py").write_text(
        "import re\nfrom dataclasses import dataclass\nFORM = re.compile(r'(?P<year>\\d{4})-(\\d\\d)', re.ASCII)\n"
        "@dataclass(frozen=True, slots=True, kw_only=True)\nclass Point:\n    x: int\n    y: int = 2\n"
        "from cosmos import records\n@records.dataclass(frozen=True)\nclass Far:\n    miles: int\n"
        "make = records.quick(Point)\n"
    )
    code = compile("ran = 1\n" + (tmp_path / "probe_of_imports.py").read_text(), "probe.py", "exec", dont_inherit=True)
    codes = {"probe_of_imports": marshal.dumps(code), "colorsys": b"not of ours: its source lies elsewhere"}
    try:
        pieces = made_at_import.made_by_imports(["probe_of_imports", "colorsys"], tmp_path, codes)
        assert sys.modules["probe_of_imports"].ran == 1, "another code was run than the one that is given"
        point, make = sys.modules["probe_of_imports"].Point, sys.modules["probe_of_imports"].make
    finally:
        sys.modules.pop("probe_of_imports", None)
    places, patterns = marshal.loads(pieces["made"])
    made = patterns[r"(?P<year>\d{4})-(\d\d)", int(re.ASCII)]
    found = re._compiler._sre.compile(*made).fullmatch("2026-11")
    assert found is not None
    assert (found["year"], found[2]) == ("2026", "11")
    assert point(x=1) == point(x=1, y=2) == make(1, 2)
    assert {marshal.loads(pieces["methods"][place : place + size]).co_name for place, size in places.values()} == {
        "<module>"
    }
    assert len(places) >= 2  # a class each: Python 3.13 compiles all methods of a class together
    codes = [marshal.loads(pieces["methods"][place : place + size]) for place, size in places.values()]
    inside = [one for code in codes for one in code.co_consts if isinstance(one, CodeType)]
    assert any("miles" in one.co_varnames for one in inside)
    assert any(one.co_name == "make" and "__made__" in one.co_varnames for one in inside)
    assert "exec" not in vars(sys.modules["cosmos.records"])
    assert "exec" not in vars(sys.modules["dataclasses"])


def test_methods_are_looked_up_by_a_key_that_tells_texts_apart() -> None:
    import made_at_import

    assert made_at_import.key_of("def a(): pass") != made_at_import.key_of("def b(): pass")


def test_a_glibc_that_opens_libraries_otherwise_is_refused_by_the_build() -> None:
    import launching

    launching.refuse_another_glibc(b"..." + launching.OPENS + b"...")
    for loader in (b"", launching.OPENS * 2):
        with pytest.raises(launching.BuildError, match="open a library as the launcher knows it"):
            launching.refuse_another_glibc(loader)


def test_the_launcher_and_the_build_know_the_same_instructions(repo: Path) -> None:
    import launching

    [line] = re.findall(r"#define OPENS \{(.*)\}", (repo / "freeze" / "launcher" / "image.h").read_text())
    assert bytes(int(byte, 16) for byte in line.split(",")) == launching.OPENS
