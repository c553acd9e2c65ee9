"""Read and write a system's settings (`model.settings`)."""

from __future__ import annotations

from typing import Final

import tomli_w

from cosmos.device.root import LiveRoot, shown
from cosmos.errors import of_document
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.settings import Settings
from cosmos.treepath import TreePath

SETTINGS_PATH: Final = TreePath(b"etc/cosmos/config.toml")


def read_settings(root: LiveRoot) -> Settings:
    """Return the system's settings; without a file, upstream's defaults and no galaxy. Raises `Malformed`."""
    data = root.document(SETTINGS_PATH, max_bytes=MAX_DOCUMENT_BYTES)
    if data is None:
        return Settings()
    with of_document(data):
        return Settings.parse(data, shown(SETTINGS_PATH))


def write_settings(root: LiveRoot, settings: Settings) -> None:
    """Write the system's settings durably. Comments in the file are lost, because the TOML writer has none."""
    root.replace_document(SETTINGS_PATH, tomli_w.dumps(settings.to_toml()).encode())
