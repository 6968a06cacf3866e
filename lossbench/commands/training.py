"""Training: run, profile, replay, show."""

from __future__ import annotations

import sys
from json import dumps
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from typer import Argument, Option

from lossbench import completion
from lossbench.commands.words import (
    INTERRUPTED,
    Assign,
    Batch,
    ConfigFile,
    Data,
    Device,
    Plugins,
    Precision,
    Preset,
    RecipeName,
    Size,
    Strategy,
    settings_of,
    words_of,
)
from lossbench.errors import Interrupted
from lossbench.screen import Watch, console, show_record


def run(
    plugins: Plugins = None,
    data: Data = None,
    paired_test: Annotated[bool, Option("--paired-test", help="testA and testB are pairs by file name.")] = False,
    skip_bad: Annotated[bool, Option("--skip-bad", help="Go on without images that cannot be used.")] = False,
    recipe: RecipeName = None,
    preset: Preset = None,
    direction: Annotated[str | None, Option(help="A2B or B2A (AtoB, BtoA), where a recipe has one.")] = None,
    size: Size = None,
    load_size: Annotated[int | None, Option(help="Side that crops are cut from, px.")] = None,
    batch: Batch = None,
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
    device: Device = None,
    devices: Annotated[int | None, Option(min=1, help="How many share each batch, a process for each.")] = None,
    precision: Precision = None,
    strategy: Strategy = None,
    assign: Assign = None,
    config: ConfigFile = None,
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
        "train.device": device, "train.devices": devices, "train.precision": precision, "train.strategy": strategy,
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
    if not prepared.trainer.group.rank:
        show_record(prepared.record, prepared.directory, objective=False)


def profile(
    plugins: Plugins = None,
    data: Data = None,
    recipe: RecipeName = None,
    preset: Preset = None,
    size: Size = None,
    batch: Batch = None,
    device: Device = None,
    precision: Precision = None,
    strategy: Strategy = None,
    assign: Assign = None,
    config: ConfigFile = None,
    rounds: Annotated[int, Option(min=2, help="Steps that are timed, with and without each loss.")] = 10,
    json: Annotated[bool, Option("--json", help="As JSON, with config and versions.")] = False,
) -> None:
    """Say where a step's time and memory go, and what each loss costs. Trains a few steps, leaves nothing."""
    from lossbench.prepare import prepare
    from lossbench.profiling import profile
    from lossbench.screen import counted, show_profile

    flags = {
        "data.dir": data, "data.size": size, "train.batch": batch, "train.device": device,
        "train.precision": precision, "train.strategy": strategy,
    }  # fmt: skip
    losses = ",".join(plugins) if plugins else None
    settings = settings_of(flags, assign)
    with counted("measuring") as report:
        found = profile(prepare(losses, recipe=recipe, preset=preset, settings=settings, config=config), rounds, report)
    if json:
        print(dumps(found, indent=1))
    else:
        show_profile(found)


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
