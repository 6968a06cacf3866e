"""Plugins: plugins, plugins show, check, new."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from lossbench import completion
from lossbench.screen import console, show_plugin, show_plugins, show_result, show_verdict

listed = typer.Typer()


@listed.callback(invoke_without_command=True)
def plugins(
    context: typer.Context,
    verbose: Annotated[bool, Option("--verbose", help="Options, names asked for, references: imports all.")] = False,
    json: Annotated[bool, Option("--json", help="As JSON.")] = False,
) -> None:
    """List what is installed, one sentence each. Nothing of it is imported."""
    from lossbench.catalogue import details, entries, plain

    if context.invoked_subcommand:
        return
    if json:
        print(dumps([plain(entry, verbose=verbose) for entry in entries()], indent=2))
    elif verbose:
        for entry in entries():
            show_plugin(entry, details(entry.kind, entry.name))
    else:
        show_plugins(entries())


@listed.command("show")
def plugins_show(
    plugin: Annotated[str, Argument(help="A plugin, by name or file.", autocompletion=completion.plugins)],
    json: Annotated[bool, Option("--json", help="As JSON.")] = False,
) -> None:
    """Show all of a plugin: options, what it asks for, references; a loss and a recipe may have one name."""
    from lossbench.catalogue import named

    found = named(plugin)
    if json:
        print(dumps([asdict(entry) | asdict(details) for entry, details in found], indent=2))
        return
    for entry, details in found:
        show_plugin(entry, details)


def check(
    loss: Annotated[str, Argument(help="A loss, by name or file: tv, ./mine.py.", autocompletion=completion.losses)],
    assign: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="An option of it: tv.power=2.")
    ] = None,
    recipe: Annotated[
        str | None, Option(help="Whose names and networks it is tried with. (default: one that has what it asks for)")
    ] = None,
    size: Annotated[int, Option(help="Side of the images, px.", min=16, max=1024)] = 64,
) -> None:
    """Try whether a loss is sound. Exit code 1 if it is not."""
    from lossbench.config import parse_assignment
    from lossbench.testing import examine

    name = Path(loss).stem
    options = {key.removeprefix(f"{name}."): value for key, value in map(parse_assignment, assign or [])}
    results = []
    for result in examine(loss, options=options, recipe=recipe, size=size):
        results.append(result)
        show_result(result)
    raise typer.Exit(show_verdict(name, results))


def new(
    name: Annotated[str, Argument(help="What the loss is called, such as soft_edges, or a file: ./soft_edges.py.")],
    out: Annotated[Path | None, Option(help="Where the package goes. (default: lossbench-NAME)")] = None,
) -> None:
    """Begin a package for a loss of your own, or around one: the loss, its tests, what installs it."""
    from lossbench.scaffold import scaffold

    folder, loss = scaffold(name, out)
    word = loss.stem.removeprefix("lossbench_")
    console.print(
        f"{folder} is a package. Its loss is {loss}; put what you know of its values into tests/.", soft_wrap=True
    )
    for line in (f'pip install -e "{folder}[test]"', f"pytest {folder}", f"lossbench run --plugins cycle,idt,{word}"):
        console.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)
