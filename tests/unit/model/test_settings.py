"""config.toml: upstream's format, read strictly."""

from __future__ import annotations

import pytest
import tomli_w

from cosmos.errors import Malformed, NoSolution
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.powers import POWERS, Powers
from cosmos.model.settings import Settings
from cosmos.treepath import ROOT, TreePath

EXAMPLE = b"""
install_dir = "/"
cache_dir = "/var/cache/cosmos"

[galaxies]
core = "/mnt/usb/galaxies/core"
extra = "http://10.0.0.1:8000"
mine = { url = "/srv/mine", allow-unsigned = true }

[policy]
run = ["fontconfig"]
setuid = ["sudo", "su"]
"""


def source(name: str, url: str, *, allow_unsigned: bool = False) -> GalaxySource:
    return GalaxySource(name=GalaxyName.parse(name), url=url, allow_unsigned=allow_unsigned)


def test_the_example_of_the_format_reads_in_its_order() -> None:
    settings = Settings.parse(EXAMPLE, "config.toml")
    assert settings.install_dir == ROOT
    assert settings.cache_dir == TreePath(b"var/cache/cosmos")
    assert settings.galaxies == (
        source("core", "/mnt/usb/galaxies/core"),
        source("extra", "http://10.0.0.1:8000"),
        source("mine", "/srv/mine", allow_unsigned=True),
    )
    assert settings.powers.of(StarName("sudo")) == ("setuid",)
    assert settings.powers.of(StarName("fontconfig")) == ("run",)


def test_what_is_written_reads_back() -> None:
    settings = Settings.parse(EXAMPLE, "config.toml")
    assert Settings.parse(tomli_w.dumps(settings.to_toml()).encode(), "config.toml") == settings


def test_the_file_that_upstreams_init_writes_is_taken() -> None:
    upstream = (
        b'install_dir = "/"\ncache_dir = "/var/cache/cosmos"\n\n[galaxies]\ncore = "file:///mnt/usb/galaxies/core"\n'
    )
    settings = Settings.parse(upstream, "config.toml")
    assert settings.galaxies == (source("core", "file:///mnt/usb/galaxies/core"),)
    assert settings.powers == Powers(), "it allows nothing"


@pytest.mark.parametrize("key", ["install_dir", "cache_dir"])
def test_a_folder_below_galaxies_is_told_from_a_galaxy(key: str) -> None:
    document = f'[galaxies]\ncore = "/g"\n{key} = "/"\n'.encode()
    with pytest.raises(Malformed, match=f"galaxies.{key}") as caught:
        Settings.parse(document, "config.toml")
    assert "above the line [galaxies]" in (caught.value.hint or "")


@pytest.mark.parametrize("power", POWERS)
def test_a_line_of_the_policy_below_galaxies_is_told_from_a_galaxy(power: str) -> None:
    with pytest.raises(Malformed, match=f"galaxies.{power}") as caught:
        Settings.parse(f'[galaxies]\ncore = "/g"\n{power} = ["sudo"]\n'.encode(), "config.toml")
    assert "below a line [policy]" in (caught.value.hint or "")
    assert Settings.parse(f'[galaxies]\n{power} = "/g"\n'.encode(), "config.toml").galaxies == (source(power, "/g"),)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ("instal_dir = '/'", "instal_dir: unknown key"),
        ("install_dir = 'opt'", "install_dir: want an absolute path"),
        ("install_dir = '/a/../../b'", "install_dir: "),
        ("cache_dir = '/'", "cache_dir: the whole system"),
        ("[galaxies]\ncore = 7", "galaxies.core: want a string"),
        ("[galaxies]\n'../x' = '/g'", "galaxies"),
        ("[policy]\nsetuid = 'sudo'", "policy.setuid: want an array"),
        ("[policy]\nsetuid = ['Su do']", "policy.setuid[0]: "),
        ("[policy]\nsetuid = true", "policy.setuid: want an array"),
        ("[policy]\nset-uid = ['sudo']", "policy.set-uid: unknown key"),
        ("[policy]\nowners = {}", "policy.owners: unknown key"),
        ("policy = ['sudo']", "policy: want a table"),
        ("setuid = ['sudo']", "setuid: unknown key"),
        ("[galaxies]\ncore = { url = '/g', unsigned = true }", "galaxies.core.unsigned: unknown key"),
    ],
)
def test_a_slip_names_its_path(document: str, path: str) -> None:
    with pytest.raises(Malformed) as caught:
        Settings.parse(document.encode(), "config.toml")
    assert path in str(caught.value)


def test_a_galaxy_that_is_not_there_cannot_be_removed() -> None:
    settings = Settings().with_galaxy(source("core", "/1"))
    with pytest.raises(NoSolution, match="there is: core"):
        settings.without_galaxy(GalaxyName("cor"))
    assert settings.without_galaxy(GalaxyName("core")).galaxies == ()
