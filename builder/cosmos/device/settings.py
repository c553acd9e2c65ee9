"""Where a system keeps its settings (`model.settings`), and how they are read and written."""

from __future__ import annotations

from typing import Final

import tomli_w

from cosmos.device.root import LiveRoot, shown
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.settings import Settings
from cosmos.treepath import TreePath

SETTINGS_PATH: Final = TreePath(b"etc/cosmos/config.toml")


def read_settings(root: LiveRoot) -> Settings:
    """Return the system's settings; upstream's defaults and no galaxy where it has none. Raises `Malformed`."""
    data = root.document(SETTINGS_PATH, max_bytes=MAX_DOCUMENT_BYTES)
    return Settings() if data is None else Settings.parse(data, shown(SETTINGS_PATH))


def write_settings(root: LiveRoot, settings: Settings) -> None:
    """Write the system's settings durably. What it held as comments is lost: TOML's writer knows none."""
    root.replace_document(SETTINGS_PATH, tomli_w.dumps(settings.to_toml()).encode())
