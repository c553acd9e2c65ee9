"""`render` of a star: text from a star's template and a script's values, the same on every machine.

It runs in a worker (`nova.template_worker`), whose process can only compute: that confines a hostile template. The
language of templates (`nova.templating`) gives clear errors to an ordinary template, and one text everywhere. A star's
template stands alone, and the line of a block leaves a line in the text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from cosmos.limits import MAX_NOVA_RENDERED_BYTES
from cosmos.nova.templating.rendering import Rendering, Sources
from cosmos.nova.templating.scan import TemplateProblem
from cosmos.nova.templating.secret import Secret
from cosmos.nova.templating.values import Value
from cosmos.records import dataclass


def rendered(template: bytes, variables: bytes) -> bytes:
    """Return `template` filled in with `variables`, a JSON object; raises `TemplateProblem` or `MemoryError`."""
    source = _decoded(template, "it is")
    values = json.loads(_decoded(variables, "vars hold text that is"))
    if not isinstance(values, dict):
        raise TemplateProblem("vars must be a table with names for keys")
    return _encoded(Rendering(trims=False, sources=None).render("", source, values))


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedFile:
    """The text of one template. `secrets` are the secret variables in it: where each is written first, as FILE:LINE."""

    data: bytes
    secrets: Mapping[str, str]


def rendered_of_many(name: str, source: str, values: dict[str, Value], sources: Sources) -> RenderedFile:
    """Return the template `source`, called `name`, of a rootfs template, filled in with `values`.

    It may include and import others, which `sources` returns by name. The line of a block leaves no line in the text.
    Raises `TemplateProblem`, or `MemoryError`.
    """
    rendering = Rendering(trims=True, sources=sources)
    try:
        text = rendering.render(name, source, values)
        names = sorted(text.names) if isinstance(text, Secret) else ()
        return RenderedFile(data=_encoded(text), secrets={secret: rendering.places[secret] for secret in names})
    except TemplateProblem as problem:
        raise TemplateProblem(problem.text, problem.line, problem.name or name) from problem


def _encoded(text: str | Secret) -> bytes:
    try:
        made = (text.revealed() if isinstance(text, Secret) else text).encode()
    except UnicodeEncodeError as error:
        raise TemplateProblem(f"does not render: {error.reason}") from error
    if len(made) > MAX_NOVA_RENDERED_BYTES:
        raise TemplateProblem(f"it makes more than {MAX_NOVA_RENDERED_BYTES} bytes")
    return made


def _decoded(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TemplateProblem(f"{what} not UTF-8 at byte {error.start}") from error
