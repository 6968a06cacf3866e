"""A report, or a run, as one HTML file that opens from an e-mail: no network, nothing beside it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lossbench.record import LOG, own_samples, read_log, read_record
from lossbench.report import panels, tables
from lossbench.report.answer import Answer
from lossbench.report.charts import COLOURS, loss_of
from lossbench.report.evidence import curve, grids, uri
from lossbench.report.words import machine, number, plural
from lossbench.screen import unit_of

TEMPLATES = Path(__file__).parent / "template"


def page(answer: Answer) -> str:
    """Return the page of a report."""
    report = answer.report
    gates = [gate.metric for gate in answer.gates]
    context = {
        "answer": answer,
        "report": report,
        "again": [cell for cell in report["cells"] if cell["again"]],
        "own": [cell for cell in report["cells"] if not cell["again"]],
        "losses": tables.verdicts(report, answer.losses),
        "change": None if answer.change is None else tables.verdicts(report, answer.change),
        "heat": tables.heat(report),
        "images": list(tables.images(report)),
        "left_out": tables.left_out(report),
        "dots": panels.dots(report, gates),
        "attribution": list(panels.attribution(report, gates)),
        "curves": panels.curves(report),
        "costs": list(panels.costs(report, gates)),
        "commits": tables.commits(report),
        "commands": list(tables.commands(report)),
        "machines": tables.machines(report),
        "hashes": tables.hashes(report),
    }
    return _environment().get_template("page.html").render(context)


def run_page(run: Path) -> str:
    """Return the page of a run's directory.

    Raises:
        RunError: no run there, or none that this version can read.
    """
    record = read_record(run)
    found = curve(record["config"]["train.seed"], read_log(run / LOG))
    names = list(dict.fromkeys(loss_of(label) for label in found.get("terms", ())))
    images = list(_images(run))
    context = {
        "record": record,
        "name": run.name,
        "images": images,
        "drawn": [] if images else list(_drawn(run)),
        "curve": panels.curve_of(run.name, found, names) if found else None,
    }
    return _environment().get_template("run.html").render(context)


def _images(run: Path) -> Iterator[dict[str, Any]]:
    """Yield a run's last samples of each direction, cut into images."""
    for way, rows in grids(run):
        shown = [name for name in ("input", "truth", "translation", "round trip") if name in rows]
        columns = [{"name": name, "images": [uri(image) for image in rows[name]], "about": name} for name in shown]
        yield tables.grid(way, columns, "truth" if "truth" in rows else "input")


def _drawn(run: Path) -> Iterator[tuple[str, str]]:
    """Yield the last samples as they were drawn."""
    samples = own_samples(run)
    for path, step in samples.items():
        if step == max(samples.values()):
            yield path.name, f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"


@cache
def _environment() -> Environment:
    """Return what fills templates in: everything is escaped, and a name that is not given is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"broken": _broken, "machine": machine, "plural": plural, "said": _said, "seeds": tables.seeds}
    made.globals |= {"symbols": tables.SYMBOLS, "number": number, "unit": unit_of, "colours": COLOURS}
    return made


def _broken(label: str) -> Markup:
    """Return a name that may be broken after each plus."""
    return Markup("+<wbr>").join(label.split("+"))


def _said(options: Mapping[str, Any]) -> str:
    """Return ``power 1, mode match`` of options; what is not set is left out."""
    return ", ".join(f"{key} {value}" for key, value in options.items() if value is not None) or "-"
