"""`cosmos completion` and `stellar completion`: the script by which a shell completes words on the Tab key."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from cosmos.cli.terminal import say

SHELLS: Final = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes this program's words on the Tab key in SHELL.

    \b
    bash   eval "$(cosmos completion bash)", in ~/.bashrc
    zsh    eval "$(cosmos completion zsh)", in ~/.zshrc
    fish   cosmos completion fish >~/.config/fish/completions/cosmos.fish
    """
    program = ctx.find_root().info_name or ""
    made = get_completion_class(shell)
    if made is not None:  # it is one of SHELLS
        say(made(ctx.find_root().command, {}, program, f"_{program.upper()}_COMPLETE").source())
