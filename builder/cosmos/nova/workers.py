"""Nova's two workers, by the names of the modules in which a zygote finds their `work`.

The sandbox is told these names: whoever starts a worker, or asks whether its sandbox holds, says which one. Nothing is
imported here, so that the single-file binary can fork its zygotes before all else.
"""

from __future__ import annotations

from typing import Final

WORKER: Final = "cosmos.nova.worker"  # runs a script
TEMPLATE_WORKER: Final = "cosmos.nova.template_worker"  # renders templates
