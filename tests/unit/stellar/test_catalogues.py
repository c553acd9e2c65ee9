"""The catalogue of a galaxy's folder: written before its index, named by it, kept while a reader may want it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.model.catalogue import Catalogue
from cosmos.model.galaxy import CataloguePin
from cosmos.model.reporter import Silent
from cosmos.stellar import catalogues
from cosmos.stellar.add_star import add_star
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.index_galaxy import Indexed, index_galaxy, sign_galaxy
from fakes.galaxies import StarSpec, index_by_stellar, make_galaxy, make_signers
from fakes.publishing import author, built, galaxy_key


def indexed(galaxy: GalaxyFolder, *, sign: bool = True, number: int | None = None) -> Indexed:
    keys = [galaxy_key()] if sign else []
    return index_galaxy(galaxy, authors=[], galaxies=keys, today="2026.02.03", reporter=Silent(), number=number)


def added(galaxy: GalaxyFolder, name: str) -> Indexed:
    add_star(galaxy, built(name), [author()])
    return indexed(galaxy)


def names(galaxy: GalaxyFolder) -> set[str]:
    return {file.name for file in (galaxy.root / "catalogues").iterdir()}


def file_of(galaxy: GalaxyFolder, done: Indexed) -> Path:
    assert done.index.catalogue is not None
    return galaxy.catalogue_file(done.index.catalogue)


def test_the_index_names_a_catalogue_of_its_stars(galaxy: GalaxyFolder) -> None:
    add_star(galaxy, built("a"), [author()])
    done = added(galaxy, "b")
    data = file_of(galaxy, done).read_bytes()
    assert done.index.catalogue == CataloguePin(digest=Digest.of(data), size_bytes=len(data))
    assert [row.name for row in Catalogue.parse(data, "x").stars] == ["a", "b"]
    assert galaxy.index().catalogue == done.index.catalogue


def test_a_reader_finds_a_catalogue_although_others_were_published_since(galaxy: GalaxyFolder) -> None:
    """It had read the index, was held up, and asked for the catalogue two publications later."""
    files = [file_of(galaxy, added(galaxy, name)).name for name in ("a", "b", "c", "d")]
    assert names(galaxy) == set(files)


def test_the_catalogue_of_the_index_before_stays_and_older_ones_go(
    galaxy: GalaxyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogues, "KEPT", 1)
    files = [file_of(galaxy, added(galaxy, name)).name for name in ("a", "b", "c")]
    assert names(galaxy) == set(files[1:])
    assert not indexed(galaxy).is_changed
    assert names(galaxy) == set(files[1:]), "a run that changes nothing removes nothing"


def test_the_catalogue_of_an_index_that_waits_for_signatures_stays(galaxy: GalaxyFolder) -> None:
    now = file_of(galaxy, added(galaxy, "a"))
    add_star(galaxy, built("b"), [author()])
    waiting = indexed(galaxy, sign=False)
    assert waiting.missing == 1
    assert names(galaxy) == {now.name, file_of(galaxy, waiting).name}
    sign_galaxy(galaxy, authors=[], galaxies=[galaxy_key()], reporter=Silent())
    assert galaxy.index() == waiting.index


@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_an_index_whose_catalogue_is_not_there_is_not_signed_and_indexing_mends_it(
    galaxy: GalaxyFolder, harm: str
) -> None:
    done = added(galaxy, "a")
    file = file_of(galaxy, done)
    good = file.read_bytes()
    if harm == "changed":
        file.write_bytes(good.replace(b"any", b"x86_64"))
    else:
        file.unlink()
    with pytest.raises(Refused, match="is missing or was changed, but the index names it") as error:
        sign_galaxy(galaxy, authors=[], galaxies=[galaxy_key()], reporter=Silent())
    assert "stellar index-galaxy" in str(error.value.hint)
    assert not indexed(galaxy).is_changed
    assert file.read_bytes() == good


def test_a_catalogue_that_another_stellar_wrote_is_no_change(galaxy: GalaxyFolder) -> None:
    """The next stellar may describe stars in other bytes. The stars are the same, so the galaxy keeps its index."""
    index = added(galaxy, "a").index
    assert index.catalogue is not None
    other = galaxy.catalogue_file(index.catalogue).read_bytes() + b"# another hand\n"
    pin = CataloguePin.of(other)
    galaxy.catalogue_file(pin).write_bytes(other)
    for file in (galaxy.index_file, galaxy.snapshot_file(1)):
        text = file.read_text().replace(str(index.catalogue.digest), str(pin.digest))
        file.write_text(text.replace(f"size-bytes = {index.catalogue.size_bytes}", f"size-bytes = {pin.size_bytes}"))
    assert not indexed(galaxy).is_changed
    galaxy.catalogue_file(pin).unlink()
    assert indexed(galaxy).index.seq == 2, "bytes that nobody can make again are replaced by the next index"


def test_a_galaxy_without_a_catalogue_gets_one_with_its_next_change_or_when_asked(tmp_path: Path) -> None:
    made = make_galaxy(tmp_path / "galaxy", "core", [StarSpec("tool")], make_signers())
    galaxy = GalaxyFolder(root=made.path)
    assert index_by_stellar(made, None).index.catalogue is None
    assert not (galaxy.root / "catalogues").exists()
    asked = index_by_stellar(made, 1)
    assert (asked.index.seq, asked.index.format, asked.index.catalogue is not None) == (2, 1, True)
    assert not index_by_stellar(made, 1).is_changed
