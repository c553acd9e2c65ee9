"""Kernel modules say what they need; nothing that they hold is believed past its bounds."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.errors import CosmosError, Malformed, NoSolution
from cosmos.tree.modinfo import ModuleInfo, Modules, built_in, is_module, modinfo, module_name
from cosmos.treepath import TreePath
from fakes.modules import make_module

FOLDER = TreePath(b"lib/modules/6.1")


def modules(builtin: tuple[str, ...] = (), **needs: str) -> Modules:
    """`a="b c"`: module a needs b and c; a word with a + is a soft need, with an = an alias."""
    files = {}
    for name, text in needs.items():
        words = text.split()
        files[path(name)] = ModuleInfo(
            name=name,
            depends=tuple(word for word in words if word[0] not in "+="),
            softdeps=tuple(word[1:] for word in words if word[0] == "+"),
            aliases=tuple(word[1:] for word in words if word[0] == "="),
        )
    return Modules(files=files, builtin=frozenset(builtin))


def path(name: str) -> TreePath:
    return FOLDER.joined(b"kernel", name.encode() + b".ko")


def names(paths: tuple[TreePath, ...]) -> list[str]:
    return [module_name(one) for one in paths]


def test_a_module_says_its_name_and_what_it_needs() -> None:
    data = make_module(
        name="virtio-net", depends="net_failover,virtio-ring", softdep="pre: crc32c post: x", alias="virtio:d1"
    )
    assert modinfo(data, "x.ko") == ModuleInfo(
        name="virtio_net",
        depends=("net_failover", "virtio_ring"),
        softdeps=("crc32c", "x"),
        aliases=("virtio:d1",),
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is cut short"),
        (b"\x7fELF\x02\x01" + bytes(200), "not a 64-bit"),
        (b"\x7fELF\x01\x01" + bytes(200), "not a 64-bit"),
        (make_module(name="x")[:-20], "is cut short"),
        (make_module(section=".other", name="x"), r"has no section \.modinfo"),
    ],
)
def test_what_is_no_module_is_malformed(data: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        modinfo(data, "x.ko")


def test_a_module_s_table_of_sections_has_its_names_and_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    good = make_module(name="x")
    count, names_row = struct.unpack_from("<HH", good, 60)
    lying = bytearray(good)
    struct.pack_into("<H", lying, 62, count)  # one beyond the last
    with pytest.raises(Malformed, match=rf"^x\.ko: has {count} ELF sections, and their names in number {count}$"):
        modinfo(bytes(lying), "x.ko")
    monkeypatch.setattr("cosmos.tree.modinfo._MAX_SECTIONS", count)
    assert modinfo(good, "x.ko").name == "x"
    monkeypatch.setattr("cosmos.tree.modinfo._MAX_SECTIONS", count - 1)
    with pytest.raises(Malformed, match=rf"^x\.ko: has {count} ELF sections, and their names in number {names_row}$"):
        modinfo(good, "x.ko")


def test_what_a_module_says_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(b"name=x\0")
    monkeypatch.setattr("cosmos.tree.modinfo._MAX_MODINFO_BYTES", size)
    assert modinfo(make_module(name="x"), "x.ko").name == "x"
    with pytest.raises(Malformed, match=rf"^x\.ko: \.modinfo has {size + 1} bytes, the limit is {size}$"):
        modinfo(make_module(name="xy"), "x.ko")


def test_modules_dep_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    have = modules(a="b", b="")
    kept = have.with_needs(["a"])
    size = len(have.dependency_file(kept, FOLDER))
    monkeypatch.setattr("cosmos.tree.modinfo._MAX_DEPENDENCY_FILE_BYTES", size)
    assert len(have.dependency_file(kept, FOLDER)) == size
    monkeypatch.setattr("cosmos.tree.modinfo._MAX_DEPENDENCY_FILE_BYTES", size - 1)
    with pytest.raises(Malformed, match=f"b.ko: modules.dep would have more than {size - 1} bytes"):
        have.dependency_file(kept, FOLDER)


@given(st.integers(0, 63), st.integers(0, 2**64 - 1))
def test_offsets_that_lie_are_found_out(place: int, value: int) -> None:
    data = bytearray(make_module(name="x", depends="y"))
    struct.pack_into("<Q", data, min(place, 56), value)
    try:
        modinfo(bytes(data), "x.ko")
    except CosmosError as error:
        assert "x.ko" in str(error)


def test_names_are_read_from_files_whatever_they_are_compressed_with() -> None:
    assert module_name(TreePath(b"a/snd-hda.ko.zst")) == "snd_hda"
    assert [is_module(TreePath(name)) for name in (b"a.ko", b"a.ko.xz", b"a.kos", b"ko")] == [True, True, False, False]


def test_wanted_modules_bring_all_that_they_need() -> None:
    have = modules(a="b", b="c d", c="", d="c", e="")
    assert names(have.with_needs(["a"])) == ["a", "b", "c", "d"]
    assert names(have.with_needs(["d", "e"])) == ["c", "d", "e"]


def test_hyphens_and_underscores_are_one() -> None:
    assert names(modules(dm_mod="").with_needs(["dm-mod"])) == ["dm_mod"]


def test_what_is_built_in_counts_as_there() -> None:
    have = modules(("ext4", "c"), a="c")
    assert names(have.with_needs(["ext4", "a"])) == ["a"]
    assert built_in(b"kernel/fs/ext4/ext4.ko\nkernel/lib/crc-t10dif.ko\n") == {"ext4", "crc_t10dif"}


def test_a_missing_module_is_named_with_who_wants_it() -> None:
    with pytest.raises(NoSolution, match="nosuch: the recipe wants this kernel module"):
        modules(a="").with_needs(["nosuch"])
    with pytest.raises(NoSolution, match="gone: module b wants this kernel module"):
        modules(a="b", b="gone").with_needs(["a"])


def test_soft_needs_are_taken_where_they_are_there_also_by_alias() -> None:
    have = modules(a="+crc32c +nosuch +plain", crc32c_generic="=crc32c", crc32c_intel="=crc32c", plain="z", z="")
    assert names(have.with_needs(["a"])) == ["a", "crc32c_generic", "crc32c_intel", "plain", "z"]


def test_modules_dep_lists_all_needs_so_that_loading_from_right_to_left_works() -> None:
    have = modules(a="b c", b="c", c="d", d="")
    text = have.dependency_file(have.with_needs(["a"]), FOLDER).decode()
    rows = dict(line.split(":") for line in text.splitlines())
    assert rows["kernel/d.ko"] == ""
    for line, needs in rows.items():
        loaded: list[str] = []
        for needed in [*reversed(needs.split()), line]:
            assert set(rows[needed].split()) <= set(loaded), (line, needed)
            loaded.append(needed)
    assert set(rows["kernel/a.ko"].split()) == {"kernel/b.ko", "kernel/c.ko", "kernel/d.ko"}


def test_a_circle_of_needs_is_an_error() -> None:
    have = modules(a="b", b="a")
    with pytest.raises(NoSolution, match="needs itself"):
        have.dependency_file(have.with_needs(["a"]), FOLDER)


def test_aliases_and_soft_needs_are_written_for_modprobe() -> None:
    have = modules(a="=pci:v1 +b", b="")
    kept = have.with_needs(["a"])
    assert have.alias_file(kept) == b"alias pci:v1 a\n"
    assert have.soft_dependency_file(kept) == b"softdep a pre: b\n"
