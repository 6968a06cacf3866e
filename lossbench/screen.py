"""What the command line shows: the objective, progress, the closing table."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from lossbench.hookspecs import hookimpl

if TYPE_CHECKING:
    from lossbench.catalogue import Details, Entry
    from lossbench.prepare import Run
    from lossbench.testing import Result
    from lossbench.weights import Standing


class Screen(Console):
    """A console that nobody need read: a closed pipe ends what is printed, not what is computed."""

    def on_broken_pipe(self) -> None:
        """Go on in silence."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


console = Screen()


class TermsProgress(Progress):
    """A bar with the time left, and under it a line with each term."""

    terms = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Draw the bar and the line."""
        yield from super().get_renderables()
        yield Text(self.terms, style="dim")


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], object]]:
    """Draw a bar that goes away in the end, and give what to call with how much is done, of how much."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class Watch:
    """An observer that prints the objective and draws progress: each term, and the time left."""

    def __init__(self) -> None:
        columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
        self.progress = TermsProgress(*columns, console=console)
        self.task = self.progress.add_task("training")

    @hookimpl(tryfirst=True)  # other observers may take their time, or fail
    def lossbench_run_start(self, run: Run) -> None:
        """Print what is minimised and on what."""
        show_objective(run.objective.describe())
        train, data = run.config.train, run.dataset
        recipe, counts = run.config.recipe, [str(len(images)) for images in data.train.values()]
        shown = f"{counts[0]} pairs" if recipe.paired else f"{' + '.join(counts)} images"
        console.print(
            f"{run.config.recipe_name} {', '.join(recipe.directions)}{', conditional' * recipe.conditional}. "
            f"{data.name}: {shown} at {run.config.data.size} px, "
            f"steps {train.steps}, batch {train.batch}, on {train.device}, seed {train.seed}. Into {run.directory}"
        )
        if data.skipped:
            console.print(f"Without {len(data.skipped)} images that cannot be used: see run.json", soft_wrap=True)
        if data.note:
            console.print(data.note, soft_wrap=True)
        for session in run.record.get("resumed", [])[-1:]:
            console.print(f"Going on after step {session['from_step']}.", soft_wrap=True)
            if session["lost"]:
                console.print(f"Not as they were, and not drawn again: {', '.join(session['lost'])}.", soft_wrap=True)
            if session["changed"]:
                console.print(f"The last bits may differ: {'; '.join(session['changed'])}.", soft_wrap=True)
        self.progress.update(self.task, total=train.steps, completed=run.trainer.done)
        self.progress.start()

    @hookimpl
    def lossbench_step(self, step: int, values: Mapping[str, float], weights: Mapping[str, float]) -> None:
        """Draw a step."""
        added = {label: value * weights[label] for label, value in values.items()}
        names = dict.fromkeys(label.partition("/")[2] for label in added)
        means = {name: [value for label, value in added.items() if label.partition("/")[2] == name] for name in names}
        terms = "  ".join(f"{name} {sum(some) / len(some):#.3g}" for name, some in means.items())
        self.progress.terms = f"times weight: {terms}"
        self.progress.update(self.task, completed=step)

    @hookimpl
    def lossbench_run_end(self) -> None:
        """Leave the bar as it is."""
        self.progress.stop()


def show_record(record: Mapping[str, Any], directory: Path, *, objective: bool = True) -> None:
    """Print a run: its objective, its closing table, its cost and where to look."""
    if objective:
        show_objective(record["objective"])
    metrics = record.get("metrics") or {}
    if any(values for all_of in metrics.values() for values in all_of.values()):
        show_closing(metrics, record["dataset"])
    if speed := record.get("speed"):
        low, high = speed["quartiles"]
        said = [f"{speed['median']:.3f} s per step (quartiles {low:.3f} to {high:.3f}, n {speed['n']})"]
        said += [f"{share:.1%} of it waiting for images"] if (share := speed.get("waiting")) is not None else []
        said += ["compiled"] if record.get("compiled") else []
        said += [f"peak memory {memory:.0f} MB"] if (memory := record["peak_memory_mb"]) else []
        console.print(", ".join(said), soft_wrap=True)
    if record["status"] != "ok":
        console.print(f"[bold]{record['status']}[/bold]: {record['error']}", soft_wrap=True)
        console.print(f"Go on with: lossbench run --resume {directory}", soft_wrap=True)
    if samples := [name for name in record.get("artifacts", {}) if name.startswith("samples/")]:
        last = ", ".join(str(directory / name) for name in samples if name.endswith(samples[-1].rpartition("_")[2]))
        drawn = [name for name in record["artifacts"] if name.endswith(".png") and name not in samples]
        others = dict.fromkeys(str(directory / name.partition("/")[0]) for name in drawn)
        console.print(f"Look at {last} and {', '.join(others)}", soft_wrap=True)


def show_objective(terms: list[dict[str, Any]]) -> None:
    """Print each loss: weight by direction, options, what it asks for, where it comes from."""
    heads = (Column(head, overflow="fold") for head in ("loss", "weight", "options", "asks for", "from"))
    table = Table(*heads, box=box.SIMPLE_HEAD)
    for name in dict.fromkeys(term["term"].partition("/")[2] for term in terms):
        same = {term["term"].partition("/")[0]: term for term in terms if term["term"].partition("/")[2] == name}
        weights = {direction: _number(term["weight"]) for direction, term in same.items()}
        alike = len(set(weights.values())) == 1 and len(weights) > 1
        weight = next(iter(weights.values())) if alike else ", ".join(f"{d} {w}" for d, w in weights.items())
        term = next(iter(same.values()))
        options = " ".join(f"{key}={value}" for key, value in term["options"].items() if value is not None)
        source = f"{term['distribution']} {term['version']}" if term["distribution"] else term["source"]
        table.add_row(name, weight, options, " ".join(term["asks"]), source)
    console.print(table)


def _number(weight: float | str) -> str:
    return weight if isinstance(weight, str) else f"{weight:g}"


def show_plugins(entries: Iterable[Entry]) -> None:
    """Print each plugin: its name and sentence, and whose it is."""
    for kind, some in groupby(entries, attrgetter("kind")):
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=12)
        for entry in some:
            clash = " (claimed twice: neither can be used)" if entry.clash else ""
            owner = f"{entry.distribution} {entry.version}{clash}, {entry.origin}"
            table.add_row(Text(entry.name), Text(f"{entry.sentence}\n").append(owner, style="dim"))
        console.print(f"\n{kind}", style="bold")
        console.print(table)


def show_plugin(entry: Entry, details: Details) -> None:
    """Print all of one plugin."""
    from lossbench.metrics.measuring import MEANING as OF_METRICS
    from lossbench.views import MEANING

    meaning = OF_METRICS if entry.kind == "metrics" else MEANING
    owner = f"{entry.distribution} {entry.version}, " if entry.distribution else ""
    console.print(Text(f"\n{entry.name}", style="bold").append(f"  {entry.kind}, {owner}{entry.origin}", style="dim"))
    said = [entry.sentence, details.text, *([details.error] if details.error else [])]
    console.print(Text("\n\n".join(text for text in said if text)))
    rows = Table("option", "type", "default", box=box.SIMPLE_HEAD)
    for option in details.options:
        rows.add_row(option.key, option.type, "" if option.default is None else str(option.default))
    if details.options:
        console.print(rows)
    lines = [f"asks for {name}: {meaning[name.removeprefix('other_')]}" for name in details.asks]
    lines += [f"does not pass {check}: {reason}" for check, reason in details.checks.items()]
    lines += [f"see {reference}" for reference in details.references]
    console.print(Text("\n".join(lines)))


def show_weights(standings: Iterable[Standing]) -> None:
    """Print pretrained weights: name and sentence, licence, size and where they lie, a path in one piece."""
    for each in standings:
        console.print(Text(each.name, style="bold").append(f"  {each.sentence}", style="not bold"))
        said = f"Licence: {each.licence}" if not each.error else each.error
        console.print(Text(f"  {said}", style="dim"))
        size = "" if each.megabytes is None else f"{each.megabytes:.3g} MB  "
        console.print(Text(f"  {size}{each.path or 'not here'}", style="dim"), soft_wrap=True)


def show_result(result: Result) -> None:
    """Print what a check came to, or a remark."""
    from lossbench.testing import MEANING

    styles = {"ok": "green", "failed": "bold red", "known": "yellow", "skipped": "dim", "remark": "cyan"}
    row = Table.grid(padding=(0, 2))
    for width in (7, 13):
        row.add_column(width=width)
    said = Text(result.message) if result.message else Text(MEANING[result.check], style="dim")
    row.add_row(Text(result.status, style=styles[result.status]), result.check, said)
    console.print(row)


def show_verdict(name: str, results: Sequence[Result]) -> int:
    """Print how many checks came to what; return the exit code."""
    from lossbench.testing import MEANING

    counts: Counter[str] = Counter(result.status for result in results)
    counts["not tried"] = sum(name not in {result.check for result in results} for name in MEANING)
    statuses = ("failed", "ok", "known", "skipped", "not tried")
    words = ", ".join(f"{counts[status]} {status}" for status in statuses if counts[status])
    remarks = [result.check for result in results if result.status == "remark" and result.check != "cost"]
    read = f" Read the remarks: {', '.join(remarks)}." if remarks else ""
    console.print(f"{name} is {'not sound' if counts['failed'] else 'sound'}: {words}.{read}", style="bold")
    return int(counts["failed"] > 0)


def show_closing(metrics: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    """Print what the translations are worth, each direction beside a copy of its input."""
    show_values(named_columns(metrics))
    tested = [str(n) for side, n in dataset["n"].items() if side.startswith("test")]
    counts = f"{' + '.join(tested)} test images of {dataset['name']}"
    floor = ", floor real images of the target domain" * any("floor" in all_of for all_of in metrics.values())
    said = f"On the {counts}, of which n could be measured; copy is the input itself{floor}, as if translated."
    console.print(said, soft_wrap=True)
    if not dataset["paired_test"] and "testB" in dataset["n"]:
        console.print("No truth to compare with: if testA and testB are pairs by file name, say --paired-test.")


def named_columns(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a run's closing table: ``A2B``, ``A2B copy``, ..."""
    return {
        f"{direction}{'' if what == 'translation' else f' {what}'}": values
        for direction, all_of in metrics.items()
        for what, values in all_of.items()
    }


def show_values(columns: Mapping[str, Mapping[str, Any]]) -> None:
    """Print measured values, a column for each of what was measured; what could not be, with the reason."""
    table = Table("metric", "better", *columns, "n", box=box.SIMPLE_HEAD)
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(name for values in columns.values() for name in values):
        cells = [values.get(name) for values in columns.values()]
        known = [cell for cell in cells if cell and cell["value"] is not None]
        if known:
            n = "/".join(dict.fromkeys(map(_n_of, known)))
            unit = f" ({unit_of(known[0])})" if unit_of(known[0]) else ""
            table.add_row(f"{name}{unit}", known[0]["better"], *map(shown_value, cells), n)
        else:
            reasons[name] = next(cell["reason"] for cell in cells if cell)
    if table.row_count:
        console.print(table)
    for reason in dict.fromkeys(reasons.values()):
        names = [name for name in reasons if reasons[name] == reason]
        said = f"{', '.join(names)}: unavailable, {reason}"
        console.print(said if said.endswith(".") else f"{said}.", soft_wrap=True, markup=False)


def _n_of(cell: Mapping[str, Any]) -> str:
    """Return how many images a value is of: ``311``, of two sets ``311 against 816``."""
    return f"{cell['n']} against {cell['n_target']}" if "n_target" in cell else str(cell["n"])


def unit_of(cell: Mapping[str, Any]) -> str:
    """Return a value's unit, as it is shown: ``x100`` where it is multiplied."""
    factor = f"x{cell['shown']:g}" if cell["shown"] != 1 else ""
    return " ".join(word for word in (cell["unit"], factor) if word)


def shown_value(cell: Mapping[str, Any] | None) -> str:
    """Return a value as people read it."""
    return "-" if not cell or cell["value"] is None else f"{cell['value'] * cell['shown']:.4g}"


def show_profile(found: Mapping[str, Any]) -> None:
    """Print where a step's time and memory go, and what each loss costs."""
    step, config, where = found["step"], found["config"], found["environment"]
    (low, high), of = step["seconds"]["quartiles"], step["peak"]
    lines = [
        f"{config['recipe']} on {found['dataset']} at {config['data.size']} px, batch {config['train.batch']}, on "
        f"{where['device']}, {where['threads']} thread{'s' * (where['threads'] > 1)}, "
        f"torch {where['packages']['torch']}.",
        f"A step takes {step['seconds']['median']:.3g} s of {step['clock']} (quartiles {low:.3g} to {high:.3g}, "
        f"n {step['seconds']['n']}): {step['images_per_second']:.3g} images of each domain a second. By the wall clock "
        f"the device is idle, or others', {step['idle']:.0%} of the time.",
        f"It computes {step['flop'] / 1e9:.3g} GFLOP, at {step['share_of_peak']:.0%} of the "
        f"{of['flop_per_second'] / 1e9:.3g} GFLOP/s that a {of['of']} reaches here, and holds {step['mb']:.3g} MB "
        "when it is fullest.",
    ]
    if found["compiled"]:
        lines.append(f"Compiled: {', '.join(found['compiled'])}; GFLOP and MB are as if they were not.")
    console.print("\n".join(lines), soft_wrap=True, highlight=False)
    heads = ("ms", "forward", "backward", "of the step", "GFLOP", "MB at peak")
    parts = _numbers("who works; losses: their own arithmetic", *heads)
    for part in found["parts"]:
        times = (_ms(part[key]) for key in ("seconds", "forward", "backward"))
        parts.add_row(part["name"], *times, f"{part['share']:.1%}", _giga(part["flop"]), f"{part['mb']:.1f}")
    console.print(parts)
    costs = _numbers("what a loss costs", "ms", "quartiles, ms", "of the step", "GFLOP", "MB at peak")
    for loss in found["losses"]:
        between = " to ".join(map(_ms, loss["seconds"]["quartiles"]))
        shared = f"{loss['share']['median']:.1%}", _giga(loss["flop"]), f"{loss['mb']:.1f}"
        costs.add_row(loss["name"], _ms(loss["seconds"]["median"]), between, *shared)
    console.print(costs)
    console.print(
        f"A loss costs the step with it less the step without it, n {found['losses'][0]['seconds']['n']}. What several "
        "losses need, the translation above all, is in none of these rows.",
        soft_wrap=True,
    )


def _giga(flop: float) -> str:
    return f"{flop / 1e9:.2f}" if flop >= 5e6 else ""


def _numbers(first: str, *heads: str) -> Table:
    return Table(first, *(Column(head, justify="right") for head in heads), box=box.SIMPLE_HEAD)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.1f}"
