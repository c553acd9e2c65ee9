"""Nova's two workers, by the names of the modules in which a zygote finds their `work`.

A caller gives one of these names to the sandbox when it starts a worker or probes its sandbox. This module imports
nothing, so that the single-file binary can fork its zygotes before it loads anything else.
"""

from __future__ import annotations

from cosmos.hints import Final

WORKER: Final = "cosmos.nova.worker"  # runs a script
TEMPLATE_WORKER: Final = "cosmos.nova.template_worker"  # renders templates
