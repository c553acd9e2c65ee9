"""Read the settings of a builder's home (`model.home_settings`)."""

from __future__ import annotations

from pathlib import Path

from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.home_settings import HOME_SETTINGS_FILE, HomeSettings
from cosmos.reading import read_if_there


def home_settings(home: Path) -> HomeSettings:
    """Return the settings in the home's config.toml. Raises `Malformed` and `WorldFailed`."""
    file = home / HOME_SETTINGS_FILE
    data = read_if_there(file, MAX_DOCUMENT_BYTES)
    return HomeSettings() if data is None else HomeSettings.parse(data, str(file))
