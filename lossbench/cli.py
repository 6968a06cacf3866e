"""The command line. Nothing here imports torch before a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from json import dumps
from math import isfinite
from pathlib import Path
from traceback import print_exc
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.table import Table
from typer import Argument, Option

from lossbench import completion
from lossbench.errors import Interrupted, LossbenchError, OptionError, printable, refusal
from lossbench.screen import (
    Watch,
    console,
    named_columns,
    show_plugin,
    show_plugins,
    show_record,
    show_result,
    show_values,
    show_verdict,
    show_weights,
)

app = typer.Typer(
    help="Experiments with loss functions in image-to-image translation: does this loss help?",
    pretty_exceptions_enable=False,
)
listed = typer.Typer()
app.add_typer(listed, name="plugins")
pretrained = typer.Typer(help="Pretrained weights: fetch, check and find them.")
app.add_typer(pretrained, name="weights")
INCOMPLETE = 3  # a run of a bench diverged or failed
BROKEN = 70  # a fault of lossbench or of a plugin, in any case none of what is compared
INTERRUPTED = 130  # by ctrl-C, as shells count
SET_HELP = "Any option, such as tv.power=2 or cycle.weight.A2B=5; again for more."


UsageError: Any = typer.BadParameter.__mro__[1]  # the parent of everything that is wrong with a command line


def main() -> None:
    """Run the command line. What the user can mend is one line and exit code 2."""
    try:
        _check_words(sys.argv[1:])
        code = app(prog_name="lossbench", standalone_mode=False)
        if code == INTERRUPTED:  # ctrl-C before anything was begun; Typer says nothing
            _complain("Interrupted.", code)
    except LossbenchError as error:
        said = " ".join([*map(str, error.args), *getattr(error, "__notes__", [])])
        code = _complain(said, error.exit_code, getattr(error, "files", ()))
    except UsageError as error:
        message = error.format_message()
        stop = "" if message.endswith((".", "?")) else "."
        hint = " Write lists and KEY=VALUE without spaces." if "extra argument" in message else ""
        code = _complain(f"{message}{stop}{hint} See: {error.ctx.command_path} --help", 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _complain("Interrupted.", INTERRUPTED)
    except Exception as error:
        if reason := refusal(error):
            code = _complain(f"{reason[0].upper()}{reason[1:]}", 2)
        else:
            print_exc()
            code = BROKEN
    sys.exit(code)


def _complain(message: str, code: int, files: Iterable[str] = ()) -> int:
    lines = (" ".join(line.split()) for line in (f"lossbench: {message}", *files))
    print("\n  ".join(map(printable, lines)), file=sys.stderr)
    return code


def _check_words(words: Iterable[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise OptionError(f"{word!a} is not UTF-8. Rename the file, or mend the word.") from None


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"lossbench {version('lossbench')}")
        raise typer.Exit


@app.callback()
def everywhere(
    version: Annotated[
        bool, Option("--version", help="Show the version and leave.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Experiments with loss functions in image-to-image translation: does this loss help?"""


@app.command()
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
    settings = _settings(flags, assign)
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
    require(_words(required) or (), reasons)
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


@app.command()
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
    settings = _settings(flags, assign)
    words, measured, needed = map(_words, (plugins, metrics, required))
    planned = bench(words, settings=settings, config=suite, metrics=measured, required=needed or (), out=out)
    runner = executor(planned.settled.config.train.device, workers, kind, address)
    if dry_run:
        show_plan(planned, planned.seconds_per_step(getattr(runner, "threads", 1)), runner.workers)
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


def _settings(flags: Mapping[str, Any], assign: Iterable[str] | None) -> dict[str, Any]:
    """Return settings by dotted key, those of flags and of ``--set``."""
    from lossbench.config import parse_assignment

    settings = {key: value for key, value in flags.items() if value is not None}
    assigned = dict(map(parse_assignment, assign or []))
    if twice := [key for key in assigned if key in settings and settings[key] != assigned[key]]:
        raise OptionError(
            f"{twice[0]} is {settings[twice[0]]} by its flag and {assigned[twice[0]]} by --set. Give one."
        )
    return settings | assigned


@app.command()
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
    from lossbench.report import told

    forms = {"markdown": markdown, "html": html, "junit": junit, "json": json}
    asked = {form: path for form, path in forms.items() if path is not None}
    raise typer.Exit(
        told(
            results, baseline, asked, fail_on=_words(fail_on) or (), strict=strict, accepted=accepted,
            merge_base=merge_base, exact=exact, title=title,
        )
    )  # fmt: skip


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def translate(
    run: Annotated[
        Path, Argument(help="A run's directory, or a generator of pytorch-CycleGAN-and-pix2pix: latest_net_G_A.pth.")
    ],
    images: Annotated[Path, Argument(help="An image, or a folder of them.")],
    out: Annotated[Path, Option(help="Where the PNG files go, new or empty.")],
    direction: Annotated[
        str | None, Option(help="A2B or B2A (AtoB, BtoA). (default: the run's first; a file has one)")
    ] = None,
    size: Annotated[
        int | None, Option(help="Side of square images in px. (default: that of the run, 256 for a file)")
    ] = None,
    keep_size: Annotated[bool, Option("--keep-size", help="Each image keeps its width and height.")] = False,
    tile: Annotated[
        int | None, Option(help="With --keep-size: largest side that is translated at once, px. (default: 512)")
    ] = None,
    overlap: Annotated[int | None, Option(help="Of tiles, px. (default: a quarter of one)")] = None,
    side_by_side: Annotated[bool, Option("--side-by-side", help="Show each image beside its translation.")] = False,
    pairs: Annotated[bool, Option("--pairs", help="Images hold A left and B right: translate the source.")] = False,
    seed: Annotated[int | None, Option(help="Of networks that draw (pix2pix). (default: the run's)")] = None,
    recipe: Annotated[str | None, Option(help="The run's recipe again, where it is a file you trust.")] = None,
) -> None:
    """Translate images with a run's generator, or another repository's."""
    from rich.progress import Progress

    from lossbench.translation import translate

    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("translating", total=None)
        written = translate(
            run, images, out=out, direction=direction, size=size, keep_size=keep_size, tile=tile, overlap=overlap,
            side_by_side=side_by_side, pairs=pairs, seed=seed, recipe=recipe,
            report=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    console.print(f"{len(written)} image{'s' * (len(written) != 1)} in {out}", soft_wrap=True)


@app.command()
def evaluate(
    images: Annotated[Path, Argument(help="A folder of translations, or a run's directory.")],
    against: Annotated[
        Path | None, Option(help="A folder of real images; those of a translation's file name are its truth.")
    ] = None,
    source: Annotated[Path | None, Option(help="The images that were translated, under the same file names.")] = None,
    metrics: Annotated[
        list[str] | None,
        Option(
            help="Names or files: fid,kid,lpips. (default: those of the run; of a folder l1,psnr,ssim,fid,kid)",
            autocompletion=completion.metrics,
        ),
    ] = None,
    required: Annotated[
        list[str] | None,
        Option("--require", help="Metrics without which it is an error.", autocompletion=completion.metrics),
    ] = None,
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    recipe: Annotated[str | None, Option(help="The run's recipe again, where it is a file you trust.")] = None,
    record: Annotated[bool, Option("--record", help="Write a run's values into its run.json.")] = False,
    json: Annotated[bool, Option("--json", help="As JSON, with protocols, hashes and versions.")] = False,
) -> None:
    """Measure two folders of images, or a run's translations of its test images."""
    from lossbench.evaluation import evaluate, is_run

    found = evaluate(
        images, against, source=source, metrics=_words(metrics), required=_words(required) or (), device=device,
        recipe=recipe, record=record,
    )  # fmt: skip
    if json:
        print(dumps(found, indent=2))
        return
    values = found["metrics"]
    show_values(named_columns(values) if is_run(images) else {images.name: values})


def _words(given: list[str] | None) -> list[str] | None:
    """Return the names in ``--metrics fid,kid --metrics lpips``."""
    return None if given is None else [word.strip() for some in given for word in some.split(",") if word.strip()]


@app.command()
def cache(
    clear: Annotated[bool, Option("--clear", help="Remove everything from it. Running runs go on.")] = False,
) -> None:
    """Show or clear the cache: decoded images, and what metrics' networks saw in images."""
    from lossbench.data import cache
    from lossbench.metrics import features

    if clear:
        console.print(f"Freed {cache.clear() + features.clear():.1f} MB in {cache.place().parent}", soft_wrap=True)
        return
    entries = cache.entries()
    table = Table("images of", "n", "px", "MB", "last used", box=box.SIMPLE_HEAD)
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        facts = entry.facts
        table.add_row(facts.name, str(facts.n), str(facts.size), f"{entry.megabytes:.1f}", used)
    console.print(table)
    total = sum(entry.megabytes for entry in entries)
    console.print(f"{total:.1f} MB in {cache.place()}; LOSSBENCH_CACHE names another place", soft_wrap=True)
    if seen := features.kept():
        total = sum(path.stat().st_size for path in seen) / 1e6
        console.print(f"Features of {len(seen)} sets of images: {total:.1f} MB in {features.place()}", soft_wrap=True)


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


@app.command()
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
