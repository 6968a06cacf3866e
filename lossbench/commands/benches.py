"""Comparing losses: bench, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from lossbench import completion
from lossbench.commands.words import INTERRUPTED, SET_HELP, settings_of, words_of
from lossbench.screen import console

INCOMPLETE = 3  # a run of a bench diverged or failed


def bench(
    suite: Annotated[
        Path | None, Argument(help="A suite, a TOML file; or a bench's directory, to go on. (default: the flags)")
    ] = None,
    plugins: Annotated[
        list[str] | None, Option(help="The losses to combine: cycle,idt,./tv.py.", autocompletion=completion.losses)
    ] = None,
    combine: Annotated[
        str | None, Option(help="all, leave-one-out, add-one, pairs, or names: cycle+idt,cycle+tv. (default: all)")
    ] = None,
    always: Annotated[str | None, Option(help="Losses of every combination: cycle.")] = None,
    seeds: Annotated[int | None, Option(help="Runs of each combination. (default: 5)")] = None,
    primary: Annotated[str | None, Option(help="Metrics that verdicts are about: shape_error,kid.")] = None,
    data: Annotated[str | None, Option(help="As for run: a folder of images, or a built-in set.")] = None,
    recipe: Annotated[str | None, Option(help="As for run.", autocompletion=completion.recipes)] = None,
    size: Annotated[int | None, Option(help="Image side in px.")] = None,
    steps: Annotated[int | None, Option(help="Length of each run in steps.")] = None,
    metrics: Annotated[
        list[str] | None, Option(help="What is measured: fid,kid,lpips.", autocompletion=completion.metrics)
    ] = None,
    required: Annotated[
        list[str] | None,
        Option("--require", help="Metrics without which nothing is trained.", autocompletion=completion.metrics),
    ] = None,
    device: Annotated[str | None, Option(help="cpu, cuda.")] = None,
    assign: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help=f"{SET_HELP} And bench.margin=3%.")
    ] = None,
    out: Annotated[Path | None, Option(help="The bench's directory. (default: one under runs/)")] = None,
    workers: Annotated[
        int | None, Option(min=1, help="Runs at a time. (default: one for each core, on CUDA for each GPU)")
    ] = None,
    kind: Annotated[Literal["local", "ray"], Option("--executor", help="Where runs are trained.")] = "local",
    address: Annotated[
        str | None, Option(help="Of a Ray cluster. (default: one that Ray finds, or starts here)")
    ] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Show what it would do, how long it takes, and leave.")] = False,
) -> None:
    """Train combinations of losses, several seeds each: which loss helps, and is that more than luck?"""
    from lossbench.bench.bench import bench, executor, go
    from lossbench.bench.board import Board, show_plan, show_stop
    from lossbench.report.answer import answered
    from lossbench.report.terminal import show as show_answer

    flags = {
        "bench.combine": combine, "bench.always": always, "bench.seeds": seeds, "bench.primary": primary,
        "data.dir": data, "data.size": size, "recipe": recipe, "train.steps": steps, "train.device": device,
    }  # fmt: skip
    settings = settings_of(flags, assign)
    words, measured, needed = map(words_of, (plugins, metrics, required))
    planned = bench(words, settings=settings, config=suite, metrics=measured, required=needed or (), out=out)
    runner = executor(planned.settled.config.train.device, workers, kind, address)
    if dry_run:
        show_plan(planned, *planned.seconds(getattr(runner, "threads", 1)), runner.workers)
        return
    try:
        with Board(planned) as board:
            report = go(planned, runner, board.tick)
    except KeyboardInterrupt:
        show_stop(planned)
        sys.exit(INTERRUPTED)
    show_answer(answered(report))
    console.print(f"Pictures, curves, every seed: lossbench report {planned.out} --html report.html", soft_wrap=True)
    raise typer.Exit(INCOMPLETE if any(cell["status"] != "ok" for cell in report["cells"]) else 0)


def report(
    results: Annotated[Path, Argument(help="A bench's directory, or a report.json.")],
    baseline: Annotated[
        Path | None, Option(help="The same of another commit: did the change break something? Then that decides.")
    ] = None,
    fail_on: Annotated[
        list[str] | None, Option(help="What decides, with its margin: kid:3%. (default: as the suite says)")
    ] = None,
    strict: Annotated[bool, Option("--strict", help="Exit code 5 where something is inconclusive.")] = False,
    accepted: Annotated[Path | None, Option(help="TOML: regressions that count for nothing, with reasons.")] = None,
    merge_base: Annotated[str | None, Option(help="The commit that the baseline should be of.")] = None,
    exact: Annotated[
        float | None, Option(min=0, help="Compare every value run by run, to this relative difference.")
    ] = None,
    title: Annotated[
        str | None,
        Option(help="What it is called; a pull request has one comment of each. (default: recipe and images)"),
    ] = None,
    markdown: Annotated[Path | None, Option(help="Write a pull request's comment. - prints it.")] = None,
    html: Annotated[Path | None, Option(help="Write one page that opens without a network.")] = None,
    junit: Annotated[Path | None, Option(help="Write JUnit XML.")] = None,
    json: Annotated[Path | None, Option(help="Write everything, pictures and curves too, for another machine.")] = None,
) -> None:
    """Say which loss earned its place, and what got worse: in a pull request, a browser, an exit code."""
    from lossbench.report.forms import told

    forms = {"markdown": markdown, "html": html, "junit": junit, "json": json}
    asked = {form: path for form, path in forms.items() if path is not None}
    raise typer.Exit(
        told(
            results, baseline, asked, fail_on=words_of(fail_on) or (), strict=strict, accepted=accepted,
            merge_base=merge_base, exact=exact, title=title,
        )
    )  # fmt: skip
