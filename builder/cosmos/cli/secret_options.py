"""The option that names secret variables. cli.secret_values reads their values."""

from __future__ import annotations

import click

secret_option = click.option(
    "--secret",
    "secret_words",
    multiple=True,
    metavar="NAME=FILE",
    help="The value of the template's secret variable NAME: a FILE outside the repository, fd:N, or - for stdin. "
    "One newline at its end is left out.",
)
