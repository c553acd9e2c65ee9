"""The settings of a system: where they lie, and what holds where there are none."""

from __future__ import annotations

from pathlib import Path

from cosmos.device.root import LiveRoot
from cosmos.device.settings import SETTINGS_PATH, read_settings, write_settings
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName
from cosmos.model.settings import Settings


def source(name: str, url: str) -> GalaxySource:
    return GalaxySource(name=GalaxyName.parse(name), url=url)


def test_a_system_without_settings_has_the_defaults(tmp_path: Path) -> None:
    with LiveRoot.open(tmp_path) as root:
        assert read_settings(root) == Settings()


def test_a_galaxy_is_added_last_and_renewed_in_its_place(tmp_path: Path) -> None:
    settings = Settings().with_galaxy(source("a", "/1")).with_galaxy(source("b", "/2")).with_galaxy(source("a", "/3"))
    assert [(galaxy.name, galaxy.url) for galaxy in settings.galaxies] == [("a", "/3"), ("b", "/2")]
    with LiveRoot.open(tmp_path) as root:
        write_settings(root, settings)
        assert read_settings(root) == settings
    assert (tmp_path / str(SETTINGS_PATH)).stat().st_mode & 0o777 == 0o644
