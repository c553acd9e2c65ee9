"""Compress libraries of the binary while pip still installs PyInstaller, and that looks for the binary's modules.

image_file.py takes a frame from FOLDER if there is one of exactly the bytes that it would compress, made by the same
zstandard. So a library that turns out to be another one, or none of the binary's, costs time and changes nothing. What
is given first is done first.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from image_file import framed

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compress libraries of the binary ahead.")
    parser.add_argument("folder", type=Path, help="the folder to write to")
    parser.add_argument("libraries", type=Path, nargs="+")
    options = parser.parse_args()
    os.nice(5)  # all else waits for pip and PyInstaller
    for library in options.libraries:
        framed(library.name, library.read_bytes(), options.folder)
