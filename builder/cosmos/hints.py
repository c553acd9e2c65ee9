"""The names of annotations, for the modules that a zygote loads (`cosmos.sandbox.zygote`).

To load `typing` takes a megabyte, and `dataclasses` a further one. Each worker that is forked maps it and unmaps it
again, which is a tenth of its time. So these modules use neither. At run time these names stand for nothing: what an
annotation says is for the type checker alone.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any as Any
    from typing import Final as Final
    from typing import Literal as Literal
    from typing import NoReturn as NoReturn
    from typing import Self as Self
    from typing import TypeAlias as TypeAlias
else:

    class _Name:
        """Stands for each name at run time."""

        def __class_getitem__(cls, _what):
            return cls

    Any = Final = Literal = NoReturn = Self = TypeAlias = _Name
