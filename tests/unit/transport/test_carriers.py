"""One promise for every carrier: the folder, HTTP, and the fake that other tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos import reading
from cosmos.content import FileRange
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.transport.carrier import Carrier, NotThere
from cosmos.transport.http import HttpCarrier
from cosmos.transport.local import LocalCarrier
from cosmos.transport.opening import is_network, open_carrier
from fakes.carriers import MemoryCarrier
from fakes.http_servers import serving

FILES = {
    "meta.toml": b"name = 'core'\n",
    "stars/libstdc++-6.0+b1.toml": b"plus",
    "packages/a b%20c#d?e&f~g;h.tar.zst": b"odd",
    "packages/caf\u00e9.tar.zst": b"not ascii",
    "packages/empty.tar.zst": b"",
    "packages/big-1.0.0.tar.zst": bytes(range(256)) * 8192,
}


@pytest.fixture(params=["local", "file", "http", "http below a folder", "memory"])
def carrier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Carrier]:
    """A galaxy that holds `FILES`."""
    if request.param == "memory":
        yield MemoryCarrier(FILES)
        return
    root = tmp_path / "a galaxy" / "core"
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    if request.param == "local":
        yield open_carrier("a galaxy/core", tmp_path, tmp_path / "partial")
    elif request.param == "file":
        yield open_carrier(f"file://{tmp_path}/a%20galaxy/core", Path("elsewhere"), tmp_path / "partial")
    elif request.param == "http":
        with serving(root) as address:
            yield open_carrier(f"{address}/", tmp_path, tmp_path / "partial")
    else:
        with serving(tmp_path) as address:
            yield open_carrier(f"{address}/a%20galaxy/core", tmp_path, tmp_path / "partial")


@pytest.mark.parametrize("path", list(FILES))
def test_a_file_comes_as_it_is_whatever_its_name(carrier: Carrier, path: str) -> None:
    told: list[int] = []
    assert carrier.read(path, max_bytes=4 << 20) == FILES[path]
    assert carrier.read_exactly(path, size_bytes=len(FILES[path]), progress=told.append) == FILES[path]
    assert told[-1:] == [len(FILES[path])] or not FILES[path]
    assert told == sorted(told)


def test_a_large_archive_stays_on_the_disk(carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(carrier, MemoryCarrier):
        return
    monkeypatch.setattr(reading, "MAX_CONTENT_IN_MEMORY_BYTES", 1000)
    path = "packages/big-1.0.0.tar.zst"
    content = carrier.read_exactly(path, size_bytes=len(FILES[path]), progress=lambda done: None)
    assert isinstance(content, FileRange)
    assert content == FILES[path]


def test_a_bound_is_exact(carrier: Carrier) -> None:
    size = len(FILES["meta.toml"])
    assert carrier.read("meta.toml", max_bytes=size) == FILES["meta.toml"]
    with pytest.raises(Refused, match=f"has more than {size - 1} bytes"):
        carrier.read("meta.toml", max_bytes=size - 1)


@pytest.mark.parametrize("off", [-1, 1])
def test_a_file_of_another_size_than_pinned_is_refused(carrier: Carrier, off: int) -> None:
    size = len(FILES["meta.toml"])
    with pytest.raises(Refused, match=f"want {size + off} bytes, got {size}"):
        carrier.read_exactly("meta.toml", size_bytes=size + off, progress=lambda done: None)


def test_a_missing_file_is_not_there_and_is_named(carrier: Carrier) -> None:
    for path in ("nothing.toml", "stars/nothing.toml", "nowhere/nothing.toml"):
        with pytest.raises(NotThere, match=f"{path}: there is no such file"):
            carrier.read(path, max_bytes=10)
        with pytest.raises(NotThere, match=path):
            carrier.read_exactly(path, size_bytes=3, progress=lambda done: None)


@pytest.mark.parametrize(
    "path", ["../meta.toml", "stars/../../x", "/etc/passwd", "", ".", "stars//a", "stars/", "a\\b", "a\0b", "./../x"]
)
def test_a_path_that_leaves_the_galaxy_is_refused(carrier: Carrier, path: str) -> None:
    with pytest.raises(Refused, match="does not stay inside the galaxy"):
        carrier.read(path, max_bytes=10)


def test_what_is_local_is_known(tmp_path: Path) -> None:
    assert open_carrier("galaxy", tmp_path, tmp_path).is_local
    assert open_carrier("file:///galaxy", tmp_path, tmp_path).is_local
    assert not open_carrier("http://example.org/galaxy", tmp_path, tmp_path).is_local
    assert not is_network("galaxy")
    assert is_network("https://example.org")


def test_a_relative_folder_starts_from_its_base_and_an_absolute_one_does_not(tmp_path: Path) -> None:
    assert open_carrier("../galaxy", tmp_path / "image", tmp_path).address == f"{tmp_path}/image/../galaxy"
    assert open_carrier("/media/stick", tmp_path, tmp_path).address == "/media/stick"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.org/galaxy",
        "deb:busybox",
        "git+ssh://example.org",
        "http://",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http://user:hunter2@example.org/",
        "http://example.org/?galaxy=core",
        "http://example.org/#core",
        "http://exa mple.org/",
        "http://example.org/\r\nX: y",
        "file://elsewhere/galaxy",
        "file:///galaxy?x",
        "file://galaxy",
        "a\0b",
    ],
)
def test_an_address_that_is_none_is_malformed(tmp_path: Path, url: str) -> None:
    with pytest.raises(Malformed) as caught:
        open_carrier(url, tmp_path, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_folder_that_is_away_asks_for_the_stick(tmp_path: Path) -> None:
    with pytest.raises(WorldFailed, match="no galaxy is there") as caught:
        LocalCarrier(tmp_path / "stick").read("meta.toml", max_bytes=10)
    assert "mounted" in str(caught.value.hint)


def test_a_server_that_is_away_is_an_outage_after_two_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cosmos.transport.http._PAUSE_SECONDS", 0.3)
    pauses: list[float] = []
    carrier = HttpCarrier("http://127.0.0.1:9", tmp_path, pause=pauses.append)
    with pytest.raises(WorldFailed, match="cannot be reached: connection refused"):
        carrier.read("meta.toml", max_bytes=10)
    assert pauses == [0.6, 1.2]
