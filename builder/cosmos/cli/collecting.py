"""How often a program looks for garbage that only a collection finds: objects in circles, of which we make hardly any.

A collection looks at every object that was made since the one before, so it costs most where objects stay: a command
that reads the records of a whole image makes a hundred thousand, and keeps them. It may have more garbage meanwhile.
Processes that run scripts and make layers collect as usual.
"""

from __future__ import annotations

import gc

from cosmos.limits import COLLECT_AFTER_OBJECTS, COLLECT_AFTER_OBJECTS_OF_AN_IMAGE, COLLECT_OLDER_AFTER


def collect_as_usual() -> None:
    """Look for garbage after some thousand new objects."""
    gc.set_threshold(COLLECT_AFTER_OBJECTS, *COLLECT_OLDER_AFTER)


def collect_seldom() -> None:
    """Look for garbage after as many new objects as the records of some hundred stars have."""
    gc.set_threshold(COLLECT_AFTER_OBJECTS_OF_AN_IMAGE, *COLLECT_OLDER_AFTER)
