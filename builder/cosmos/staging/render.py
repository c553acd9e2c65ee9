"""Render a star's own Jinja2 template for the verb `render`: text from text and values, nothing else within reach.

KNOWN GAP: it runs in the builder, not in the script's worker, and a template that loops in loops is bounded by Jinja2's
sandbox (100,000 turns a range) and by the size of what it writes, not by time: a hostile one can make a build hang.
"""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cosmos.canon import Json
from cosmos.limits import MIB

_MAX_RENDERED_BYTES = 4 * MIB  # a configuration file has kilobytes


def render_text(template: bytes, values: Mapping[str, Json]) -> bytes:
    """Return `template` with `values`; raises `ValueError` that says what is wrong with it."""
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    del environment.globals["lipsum"]  # random text
    del environment.filters["random"]
    rendered: list[bytes] = []
    left = _MAX_RENDERED_BYTES
    try:
        for piece in environment.from_string(template.decode("utf-8")).generate(dict(values)):
            rendered.append(piece.encode())
            left -= len(rendered[-1])
            if left < 0:
                raise ValueError(f"writes more than {_MAX_RENDERED_BYTES} bytes")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 at byte {error.start}") from error
    except (TemplateError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"does not render: {error}") from error
    return b"".join(rendered)
