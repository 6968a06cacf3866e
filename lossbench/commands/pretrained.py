"""Pretrained weights: list, pull, verify, path."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from lossbench import completion
from lossbench.errors import OptionError
from lossbench.screen import console, show_weights

pretrained = typer.Typer(help="Pretrained weights: fetch, check and find them.")
Named: Any = Argument(help="Weights, by name or file: vgg16, ./mine.py.", autocompletion=completion.weights)


@pretrained.command("list")
def weights_list(json: Annotated[bool, Option("--json", help="As JSON.")] = False) -> None:
    """List all that are installed and where they lie. Nothing is fetched or checked."""
    from lossbench.weights import standings

    if json:
        print(dumps([asdict(each) for each in standings()], indent=2, default=str))
    else:
        show_weights(standings())


@pretrained.command("pull")
def weights_pull(
    names: Annotated[list[str], Named],
    file: Annotated[Path | None, Option(help="Take them out of this file, which is checked as any other.")] = None,
) -> None:
    """Fetch weights, check them and keep them as safetensors."""
    from lossbench.weights import pull

    if file and len(names) > 1:
        raise OptionError(f"--file {file} is one file. Name one of {', '.join(names)}.")
    for name in names:
        print(pull(name, file))


@pretrained.command("verify")
def weights_verify(names: Annotated[list[str] | None, Named] = None) -> None:
    """Check the hash of all that lie here, or of some. Exit code 1 if one is damaged."""
    from lossbench.weights import verify

    checked = verify(names or ())
    for path, whole in checked.items():
        console.print(f"{'ok' if whole else 'damaged'}  {path}", soft_wrap=True, highlight=False)
    if not checked:
        console.print("There are none here.")
    if not all(checked.values()):
        console.print("Remove what is damaged; lossbench weights pull NAME makes it anew.", soft_wrap=True)
        raise typer.Exit(1)


@pretrained.command("path")
def weights_path(name: Annotated[str, Named]) -> None:
    """Print where weights lie, and nothing else."""
    from lossbench.weights import path

    print(path(name))
