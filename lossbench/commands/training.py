"""Training: run, replay, show."""

from __future__ import annotations

import sys
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from typer import Argument, Option

from lossbench import completion
from lossbench.commands.words import INTERRUPTED, SET_HELP, settings_of, words_of
from lossbench.errors import Interrupted
from lossbench.screen import Watch, console, show_record


def run(
    plugins: Annotated[
        list[str] | None,
        Option(help="Losses in order, by name or file: cycle,idt,./tv.py.", autocompletion=completion.losses),
    ] = None,
    data: Annotated[
        str | None,
        Option(help="A folder with trainA trainB testA testB, or with train test of pairs; or a built-in set."),
    ] = None,
    paired_test: Annotated[bool, Option("--paired-test", help="testA and testB are pairs by file name.")] = False,
    skip_bad: Annotated[bool, Option("--skip-bad", help="Go on without images that cannot be used.")] = False,
    recipe: Annotated[
        str | None, Option(help="What is trained. (default: cyclegan)", autocompletion=completion.recipes)
    ] = None,
    preset: Annotated[str | None, Option(help="Weights as in junyanz or mmagic.")] = None,
    direction: Annotated[str | None, Option(help="A2B or B2A (AtoB, BtoA), where a recipe has one.")] = None,
    size: Annotated[int | None, Option(help="Image side in px.")] = None,
    load_size: Annotated[int | None, Option(help="Side that crops are cut from, px.")] = None,
    batch: Annotated[int | None, Option(help="Images of each domain per step.")] = None,
    steps: Annotated[int | None, Option(help="Length of the run in steps ...")] = None,
    epochs: Annotated[int | None, Option(help="... or in passes over the larger domain.")] = None,
    every: Annotated[int | None, Option(help="Steps between sample grids and saved weights.")] = None,
    seed: Annotated[int | None, Option(help="Seed of everything random in training.")] = None,
    observe: Annotated[
        list[str] | None,
        Option(help="Observers, by name or file: csv,tensorboard,./mine.py.", autocompletion=completion.observers),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        Option(help="What is measured at the end: fid,kid,lpips.", autocompletion=completion.metrics),
    ] = None,
    required: Annotated[
        list[str] | None,
        Option("--require", help="Metrics without which nothing is trained.", autocompletion=completion.metrics),
    ] = None,
    device: Annotated[str | None, Option(help="cpu, cuda, cuda:1, mps.")] = None,
    precision: Annotated[str | None, Option(help="Of the networks: float32, float64, bf16.")] = None,
    strategy: Annotated[str | None, Option(help="Least memory or fewest kernels: auto, component, fused.")] = None,
    assign: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help=SET_HELP, autocompletion=completion.keys)
    ] = None,
    config: Annotated[Path | None, Option(help="A TOML file of options.")] = None,
    out: Annotated[Path | None, Option(help="The run's directory, new or empty. (default: one under runs/)")] = None,
    resume: Annotated[Path | None, Option(help="Go on with the run in this directory; needs nothing else.")] = None,
    print_config: Annotated[bool, Option("--print-config", help="Show every option, resolved, and leave.")] = False,
) -> None:
    """Train once and look at it."""
    from lossbench.metrics import require, unavailable
    from lossbench.prepare import prepare
    from lossbench.resume import check_alone, reopen
    from lossbench.run import go

    flags = {
        "data.dir": data, "data.size": size, "data.load_size": load_size, "data.paired_test": paired_test or None,
        "data.direction": direction,
        "data.skip_bad": skip_bad or None,
        "train.batch": batch, "train.steps": steps, "train.epochs": epochs, "train.every": every, "train.seed": seed,
        "train.device": device, "train.precision": precision, "train.strategy": strategy,
    }  # fmt: skip
    settings = settings_of(flags, assign)
    losses, observers, measured = (",".join(words) if words else None for words in (plugins, observe, metrics))
    if resume:
        check_alone(out=out, config=config, recipe=recipe, preset=preset)
        prepared = reopen(resume, losses, None, None, settings, observers, measured)
    else:
        prepared = prepare(
            losses, recipe=recipe, preset=preset, settings=settings, config=config, observe=observers, metrics=measured
        )
    if print_config:
        print(prepared.config.toml(), end="")
        return
    reasons = unavailable(prepared.config.metrics)
    require(words_of(required) or (), reasons)
    for name, reason in reasons.items():
        console.print(f"{name} will be unavailable: {reason}", soft_wrap=True, markup=False)
    try:
        prepared.hooks.register(Watch())
        go(prepared, resume or out, resumed=bool(resume))
    except KeyboardInterrupt as stop:
        kept = isinstance(stop, Interrupted) and stop.saved and prepared.config.train.keep
        saved = f"Saved after step {prepared.trainer.done}" if kept else "Stopped"
        console.print(f"{saved}. Go on with: lossbench run --resume {prepared.directory}", soft_wrap=True)
        sys.exit(getattr(stop, "exit_code", INTERRUPTED))
    show_record(prepared.record, prepared.directory, objective=False)


def replay(
    bundle: Annotated[Path, Argument(help="What a run left when it diverged: DIR/bundle-STEP.pt.")],
    plugins: Annotated[str | None, Option(help="Losses in the place of the run's, such as a mended file.")] = None,
) -> None:
    """Run the step of a divergence again, each term by itself."""
    from lossbench.divergence import replay

    replayed = replay(bundle, plugins)
    table = Table("term", "value", "norm of its gradient", box=box.SIMPLE_HEAD)
    for label, value, norm in replayed.parts:
        style = None if isfinite(value) and isfinite(norm) else "bold red"
        table.add_row(label, f"{value:.4g}", f"{norm:.4g}", style=style)
    console.print(table)
    console.print(f"Then: {replayed.recorded}", soft_wrap=True)
    if not replayed.again:
        console.print(f"Now: step {replayed.step} is finite, with these plugins on this machine.", soft_wrap=True)
        return
    where = f" The first backward to give NaN is {replayed.operation}." if replayed.operation else ""
    console.print(f"Now: {replayed.again}{where}", soft_wrap=True)
    raise typer.Exit(replayed.again.exit_code)


def show(
    run: Annotated[Path, Argument(help="A run's directory.")],
    html: Annotated[Path | None, Option(help="Write one page that opens without a network.")] = None,
) -> None:
    """Show a run's objective and its closing table, or make a page of it."""
    from lossbench.record import read_record

    show_record(read_record(run), run)
    if html is not None:
        from lossbench.files import write_bytes
        from lossbench.report.page import run_page

        write_bytes(html, run_page(run).encode())
