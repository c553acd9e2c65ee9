"""Options, and kinds of paths, that commands of both programs share."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.completing import Known, Named, holds_image, holds_release, is_public_key, is_secret_key

_LOOK = "check its spelling, and the folder that you are in"
PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_PATH = Named(_LOOK, exists=True)
EXISTING_FILE = Named(_LOOK, exists=True, dir_okay=False)
EXISTING_FOLDER = Named(_LOOK, exists=True, file_okay=False)
SECONDS = click.FloatRange(min=0, min_open=True)

IMAGE = Known(holds_image)
RELEASE = Known(holds_release, "to make a release: cosmos build IMAGE", exists=True, file_okay=False)
SECRET_KEY = Known(is_secret_key, "to make a key: cosmos key new NAME --role ROLE", exists=True, dir_okay=False)
PUBLIC_KEY = Known(
    is_public_key, "name the NAME.pub that cosmos key new wrote beside NAME.key", exists=True, dir_okay=False
)

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
