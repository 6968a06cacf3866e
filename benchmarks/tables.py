"""Writes the tables and the pictures of README and docs from the committed results.

    python benchmarks/tables.py            # write them
    python benchmarks/tables.py --check    # exit 1 if one lags behind its results

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; no number in it is typed by hand.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from combination_tables import COMBINATIONS  # type: ignore[import-not-found]  # the script's own folder
from portraits import IMAGES, draw, drawn, lags  # type: ignore[import-not-found]  # the script's own folder
from reference import REFERENCE, markdown  # type: ignore[import-not-found]  # the script's own folder

from lossbench.bench.stats import contrast
from lossbench.catalogue import sentence
from lossbench.options import declared
from lossbench.registry import listing, load, source
from lossbench.report.schema import published

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (
    "README.md",
    "docs/bench.md",
    "docs/contract.md",
    "docs/faults.md",
    "docs/checks.md",
    "docs/losses.md",
    "docs/measuring.md",
    "docs/observers.md",
    "docs/recipes.md",
    "docs/report.md",
    "docs/reference.md",
    "docs/results.md",
    "docs/speed.md",
    "docs/weights.md",
)
BETTER = {
    "l1": "L1 of 2, lower is better",
    "sharpness": "gradient energy, the truth's is 1",
    "histogram_L": "distance of L, lower",
    "histogram_a": "of a, lower",
    "histogram_b": "of b, lower",
    "pixel_accuracy": "pixels of the right class, higher",
    "class_iou": "IoU of classes, higher",
}
MEASURED = {  # what runs of schema 1 measured
    "l1": ("of 2", "lower"),
    "psnr": ("dB", "higher"),
    "ssim": ("of 1", "higher"),
    "mask_iou": ("of 1", "higher"),
    "shape_error": ("circularity", "lower"),
    "contour_error": ("circularity", "lower"),
    "not_found": ("images", "lower"),
}
SHOWN = {"shape_error": "shape error", "contour_error": "contour error", "l1": "L1", "mask_iou": "mask IoU"}


def main() -> None:
    """Write or check every table."""
    stale = []
    for page in PAGES:
        path = ROOT / page
        text = path.read_text("utf-8")
        fresh = re.sub(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", _filled, text, flags=re.DOTALL)
        if fresh != text:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(fresh, "utf-8")
    schema, fresh = ROOT / "docs" / "report.schema.json", json.dumps(published(), indent=2) + "\n"
    if not schema.exists() or schema.read_text("utf-8") != fresh:
        stale.append("docs/report.schema.json")
        if "--check" not in sys.argv:
            schema.write_text(fresh, "utf-8")
    pictures = list(drawn())
    for picture, sha256, write in pictures:
        if lags(picture, sha256):
            stale.append(picture.relative_to(ROOT).as_posix())
            if "--check" not in sys.argv:
                draw(picture, sha256, write)
    done = "stale" if "--check" in sys.argv else "written"
    lone = sorted({*IMAGES.glob("*.png"), *IMAGES.glob("*.jpg")} - {picture for picture, *_ in pictures})
    said = [f"{done}: {page}" for page in stale] + [f"of no result: {path.relative_to(ROOT)}" for path in lone]
    print("\n".join(said) or "up to date")
    sys.exit(bool(said) and "--check" in sys.argv)


def _filled(match: re.Match[str]) -> str:
    try:
        content = TABLES[match[2]]()
    except FileNotFoundError:
        content = "Not measured yet."
    return f"{match[1]}{content}\n{match[3]}"


def seeds() -> str:
    """Mean over seeds with and without circularity, and Welch's interval of the difference."""
    runs = _load("seeds")["runs"]
    rows = [["set", "metric", "cycle,idt", "with circularity", "difference, 95 % interval", "ratio of means"]]
    for data in dict.fromkeys(run["set"] for run in runs):
        for metric, name in SHOWN.items():
            without, with_it = (
                [run["metrics"][metric] for run in runs if run["set"] == data and run["plugins"] == plugins]
                for plugins in ("cycle,idt", "cycle,idt,circularity")
            )
            groups = {"with": with_it, "without": without}
            found = contrast(groups, {"with": 1, "without": -1}, level=0.95, paired=False)
            ratio = statistics.fmean(with_it) / statistics.fmean(without)
            between = f"{found.low:+.4f} to {found.high:+.4f}"
            rows.append([data, name, _mean(without), _mean(with_it), between, f"{ratio:.2f}"])
    failed = sum(run["status"] != "ok" for run in runs)
    return "\n\n".join(
        [markdown(rows), f"Mean ± standard deviation over seeds. Runs that failed: {failed}. {_facts(runs)}"]
    )


def every_seed() -> str:
    """All runs, one row each."""
    runs = _load("seeds")["runs"]
    rows = [["set", "seed", "losses", "status", *SHOWN.values(), "not found"]]
    for run in sorted(runs, key=lambda run: (run["set"], run["seed"], run["plugins"])):
        values = [f"{run['metrics'][metric]:.4f}" for metric in SHOWN]
        rows.append(
            [run["set"], str(run["seed"]), run["plugins"], run["status"], *values, str(run["metrics"]["not_found"])]
        )
    return str(markdown(rows))


def losses() -> str:
    """What is built in: the sentence, the weight and the options of each, from the plugins themselves."""
    rows = [["loss", "what it pushes towards", "weight", "options and their defaults"]]
    for name, entries in listing("losses").items():
        if entries[0].dist and entries[0].dist.name == "lossbench":
            spec = load("losses", name).spec
            options = ", ".join(f"`{key}={option.default}`" for key, option in declared(spec.builder).items())
            rows.append(
                [f"`{name}`", sentence(source(entries[0].value)).partition(": ")[2], f"{spec.weight:g}", options]
            )
    return str(markdown(rows))


def circularity_accuracy() -> str:
    """Mean and worst error by kind of shape, three estimators side by side."""
    report = _load("circularity")
    names = {"loss": "the loss", "cv2": "OpenCV", "skimage": "scikit-image"}
    rows = [["pictures", "n", *names.values()]]
    for group in report["summary"]["groups"]:
        rows.append([group["group"], str(group["n"]), *(_error(group[name]) for name in names)])
    ranks = report["summary"]["spearman_over_blobs"]
    blobs = ", ".join(f"{pair.replace(', ', ' and ')} {value:.3f}" for pair, value in ranks.items())
    caption = (
        "Mean (worst) absolute error of circularity against the analytic truth; OpenCV's is 4 pi A / P^2 of its "
        f"contour, scikit-image's of a sub-pixel contour. "
        f"Spearman over {report['summary']['blobs']} noisy blobs: {blobs}. "
    )
    return "\n\n".join([markdown(rows), caption + _machine(report["environment"])])


def circularity_cost() -> str:
    """Forward and backward as a share of a generator's forward."""
    report = _load("circularity")
    rows = [["what", "px", "CPU ms", "quartiles", "n", "share of a generator's forward at 256 px"]]
    for row in report["cost"]:
        what = row["what"] + {None: "", True: ", each object", False: ", one object"}[row["objects"]]
        low, high = row["cpu_ms_quartiles"]
        share = f"{100 * row['share_of_generator_forward']:.1f} %"
        rows.append([what, str(row["size"]), f"{row['cpu_ms']:.1f}", f"{low:.1f} to {high:.1f}", str(row["n"]), share])
    caption = "Forward and backward of the loss, one image, interleaved with the forward of resnet_9blocks. "
    return "\n\n".join([markdown(rows), caption + _machine(report["environment"])])


def emoji() -> str:
    """A run of each recipe on real images, beside the copy."""
    records = [_load(name) for name in ("emoji", "cut") if (RESULTS / f"{name}.json").exists()]
    columns = [
        (f"{record['config']['recipe']} {way}{' copy' * (what == 'copy')}", judged[what])
        for record in records
        for way, judged in record["metrics"].items()
        for what in ("translation", "copy")
    ]
    rows = [["metric", "better", *(head for head, _ in columns), "n"]]
    for name in dict.fromkeys(name for _, column in columns for name in column):
        unit, better = MEASURED[name]
        numbers = [f"{column[name]['value']:.4g}" if name in column else "" for _, column in columns]
        counts = sorted({column[name]["n"] for _, column in columns if name in column})
        rows.append([f"{name} ({unit})", better, *numbers, " to ".join(map(str, counts[:1] + counts[1:][-1:]))])
    return "\n\n".join([markdown(rows), *map(_run, records)])


def error_rates() -> str:
    """How often verdicts are wrong, by simulation."""
    report = _load("statistics")
    seeds = sorted({row["seeds"] for row in report["alarms"]})
    rows = [["simulated", *(f"{n} seeds" for n in seeds)]]
    planted, noise = f"{100 * report['planted']:.0f} %", f"{100 * report['noise']:.0f} %"

    def row(what: str, table: str, key: str = "", **wanted: Any) -> None:
        found = {each["seeds"]: each for each in report[table] if wanted.items() <= each.items()}
        rates = [found[n].get(key, found[n]) for n in seeds]
        rows.append([what, *(f"{each['rate']:.3f}" for each in rates)])

    for kind in ("normal", "skewed"):
        told = {"noise": kind, "margin": "2%"}
        row(f"`regressed` where nothing differs, {kind} noise", "alarms", "regressed", **told)
    row("... any of 7 comparisons", "families", comparisons=7, level=max(each["level"] for each in report["families"]))
    row("... skewed, three times as wide in the baseline", "unequal", "regressed", noise="skewed", wider="baseline")
    for size in sorted({each["noise"] for each in report["power"]}):
        row(f"`regressed` where it is {planted} worse, noise {100 * size:.0f} %", "power", noise=size, margin="2%")
    n = report["alarms"][0]["regressed"]["n"]
    said = f"Share of {n} simulations; margin 2 %, noise {noise} of the mean where not said; half an interval at most"
    return "\n\n".join([markdown(rows), f"{said} {_widest(report):.3f}. {_machine(report['environment'])}"])


def _widest(report: dict[str, Any]) -> float:
    """Half of the widest interval of a simulated rate."""
    rates = [row["regressed"] for table in ("alarms", "unequal") for row in report[table]]
    rates += [row for table in ("families", "power") for row in report[table]]
    return float(max((each["interval"][1] - each["interval"][0]) / 2 for each in rates))


def parity() -> str:
    """Our metrics beside other tools' on the same images and weights."""
    report = _load("metrics")
    rows = [
        [
            "images",
            "n",
            "metric",
            "ours",
            "other tool",
            "apart",
            "times as fast, nothing remembered",
            "everything remembered",
        ]
    ]
    for row in report["rows"]:
        for pair, apart in row["apart"].items():
            metric, tool = pair.split(", ")
            ours, theirs = row["values"]["ours"][metric], row["values"][tool][metric]
            times = [f"{row['faster'][when]:.1f} times" for when in ("computed", "remembered")]
            faster = times if pair == "fid, torch-fidelity" else ["", ""]
            named = [f"{ours:.6g}", f"{theirs:.6g} ({tool})", f"{apart:.1e}{' of it' * (metric == 'fid')}"]
            rows.append([row["images"], str(row["n"]), metric, *named, *faster])
    sums = report["arithmetic"]
    said = (
        f"The Frechet distance of {sums['n']} features is {sums['faster']:.0f} times as fast as torchmetrics' "
        f"(CPU time, median of {sums['rounds']} rounds in turn). The second time both tools remember features."
    )
    return "\n\n".join([markdown(rows), f"{said} {_machine(report['environment'])}"])


def mutants() -> str:
    """How many mutants of each loss its tests notice."""
    report = _load("mutants")
    found = report["mutants"]
    rows = [["loss", "mutants", "caught", "computing the same"]]
    for name in sorted({each["loss"] for each in found}):
        outcomes = [each["outcome"] for each in found if each["loss"] == name]
        rows.append([f"`{name}`", str(len(outcomes)), str(outcomes.count("caught")), str(outcomes.count("alike"))])
    return "\n\n".join([markdown(rows), _machine(report["environment"])])


def facades_photos() -> str:
    """pix2pix from labels to photos, row by row of its losses."""
    return _facades("B2A")


def facades_labels() -> str:
    """pix2pix from photos to labels, row by row of its losses."""
    return _facades("A2B")


def _facades(direction: str) -> str:
    found = _load("facades")["rows"]
    judged = {key.partition(" ")[2]: row for key, row in found.items() if key.startswith(direction)}
    trained = {name: row for name, row in judged.items() if "config" in row}
    metrics = list(next(iter(judged.values()))["metrics"])
    rows = [["losses", *(BETTER[metric] for metric in metrics)]]
    for name, row in (trained | judged).items():  # what needs no training comes last
        rows.append([name, *(_interval(row["metrics"][metric]) for metric in metrics)])
    count = {row["metrics"][metric]["n"] for row in judged.values() for metric in metrics}
    run = next(iter(trained.values()))["config"]
    caption = (
        f"{_joined(count)} test images at {run['data.size']} px, {run['train.steps']} steps of batch "
        f"{run['train.batch']}, seed {run['train.seed']}. In brackets the interval that 95 % of draws of as many test "
        f"images fall in; other seeds are not in it. {_machines(judged.values())}"
    )
    return "\n\n".join([markdown(rows), caption])


def style() -> str:
    """How much of a style photos take on, how much of their content they keep."""
    report = _load("style")
    rows = [["what", "value", "95 % interval", "n"]]
    for name, one in report["metrics"].items():
        rows.append([name, f"{one['value']:.4g}", f"{one['low']:.4g} to {one['high']:.4g}", str(one["n"])])
    config = report["config"]
    caption = (
        f"{config['data.size']} px, {config['train.steps']} steps of batch {config['train.batch']}, seed "
        f"{config['train.seed']}; the interval that 95 % of draws of as many photos fall in. "
    )
    return "\n\n".join([markdown(rows), caption + _machine(report["environment"])])


def speed() -> str:
    """Time and memory of a step by every way to run it, beside the plain step."""
    rows = [["images", "step", "s", "images a second", "of the peak", "in convolutions", "times as fast as plain",
             "quartiles", "above, at 95 %", "growth, MB", "times less"]]  # fmt: skip
    captions = []
    for one in _load("speed")["rows"]:
        settings, n, peak = one["settings"], one["seconds"]["plain"]["n"], one["peak_flop_per_second"] / 1e9
        processes = len(one["growth_mb"]["plain"]["values"])
        what = f"{settings['data.size']} px, batch {settings['train.batch']}, {one['precision']}"
        for name, seconds in one["seconds"].items():
            spent = [f"{seconds['median']:.3g}", f"{one['images_per_second'][name]:.3g}"]
            spent += [f"{one[share][name]:.0%}" for share in ("share_of_peak", "share_in_convolutions")]
            ratios = _faster(one["faster"].get(name))
            less = f"{one['less_memory'][name]:.2f}" if name in one["less_memory"] else ""
            rows.append([what, name, *spent, *ratios, f"{one['growth_mb'][name]['median']:.0f}", less])
        if alone := one["generator"]:
            rows.append([what, "generator alone, compiled", "", "", "", "", *_faster(alone["faster"]), "", ""])
        networks = f"{settings['model.generator']}, ngf {settings['model.ngf']}, {one['plugins']}"
        medians = f"medians of {n} rounds and of memory of {processes} process{'es' * (processes != 1)}"
        work = f"{one['flop'] / 1e9:.0f} GFLOP a step, a peak of {peak:.0f} GFLOP/s"
        captions.append(f"{what}: {networks}; {work}; {medians}.{_at_most(one)} {_machine(one['environment'])}")
    return "\n\n".join([markdown(rows), *captions])


def _at_most(one: dict[str, Any]) -> str:
    """Say what bounds a compiled step."""
    if "compiled" not in one["faster"]:
        return ""
    most = one["faster"]["compiled"]["median"] / one["share_in_convolutions"]["compiled"]
    return f" Were all but its convolutions free, compiled would be {most:.2f} times as fast as plain."


def _faster(ratio: dict[str, Any] | None) -> list[str]:
    if ratio is None:
        return ["", "", ""]
    low, high = ratio["quartiles"]
    return [f"{ratio['median']:.3f}", f"{low:.3f} to {high:.3f}", f"{ratio['bound']:.3f}"]


def costs() -> str:
    """What each loss costs, beside the others that it was trained with."""
    rows = [["recipe, losses", "loss", "ms", "of the step", "quartiles", "GFLOP", "MB"]]
    found = _load("costs")["rows"]
    for one in found:
        for loss in one["losses"]:
            low, high = (f"{100 * each:.1f}" for each in loss["share"]["quartiles"])
            work = [f"{loss['flop'] / 1e9:.2f}", f"{loss['mb']:.1f}"]
            share = [f"{1e3 * loss['seconds']['median']:.1f}", f"{loss['share']['median']:.1%}", f"{low} to {high} %"]
            rows.append([f"{one['config']['recipe']} {one['plugins']}", f"`{loss['name']}`", *share, *work])
    settings = found[0]["config"]
    n = found[0]["losses"][0]["share"]["n"]
    caption = f"{settings['data.size']} px, batch {settings['train.batch']}; medians of {n} differences. "
    return "\n\n".join([markdown(rows), caption + _machine(found[0]["environment"])])


def sweeps() -> str:
    """A bench of two losses, beside the same runs one after another."""
    found = _load("sweeps")
    ratio, seconds = found["faster"], found["seconds"]
    low, high = ratio["quartiles"]
    middle = " against ".join(f"{each['median']:.0f} s" for each in seconds.values())
    return (
        f"A bench of `idt` and `circularity`, on or off: {found['runs']} runs of {found['steps']} steps, "
        f"{found['seeds']} seeds of each combination and {2 * found['seeds']} of the baseline, is "
        f"{ratio['median']:.2f} times as fast as the same runs one after another with one thread each (quartiles "
        f"{low:.2f} to {high:.2f}, n {ratio['n']}; {middle} of wall time). "
        f"{_machine(found['environment'])}"
    )


def growth() -> str:
    """How cost grows with the work."""
    found = _load("growth")
    rows = [["what grows", "from, to", "slope", "steepest", "n"]]
    for row in found["shown"]["growth"]["rows"]:
        between = f"{row['sizes'][0]} to {row['sizes'][-1]} {row['unit']}"
        rows.append([row["name"], between, f"{row['slope']:.2f}", f"{row['steepest']:.2f}", str(row["n"])])
    caption = (
        "Slopes are those of the logarithms, over all sizes and at most between two neighbours; medians of n rounds in "
        "turn, CPU time. "
    )
    return "\n\n".join([markdown(rows), caption + _machine(found["environment"])])


def observers() -> str:
    """What is built in: the sentence and the options of each, from the plugins themselves."""
    rows = [["observer", "what it leaves", "options and their defaults"]]
    for name, entries in listing("observers").items():
        if entries[0].dist and entries[0].dist.name == "lossbench":
            options = declared(load("observers", name).spec).items()
            said = ", ".join(f"`{key}={option.default}`" for key, option in options)
            rows.append([f"`{name}`", sentence(source(entries[0].value)).partition(": ")[2], said])
    return str(markdown(rows))


def observers_cost() -> str:
    """A step with each observer, beside a step with none."""
    report = _load("observers")
    rows = [["observed by", "CPU s per step", "times as long", "quartiles", "of it in the observer, ms", "n"]]
    for row in report["rows"]:
        low, high = row["times"]["quartiles"]
        numbers = [f"{row['seconds']['median']:.3f}", f"{row['times']['median']:.3f}", f"{low:.3f} to {high:.3f}"]
        rows.append([row["way"], *numbers, f"{row['own_ms']['median']:.2f}", str(row["times"]["n"])])
    caption = (
        f"{report['plugins']} at {report['settings']['data.size']} px, batch 1, the defaults of a run. A turn has "
        f"{report['rows'][0]['steps']} steps, of looked-at and drawn ones {report['rows'][-1]['steps']}; medians over "
        "n turns, ratios to the turn without an observer of the same round. "
    )
    return "\n\n".join([markdown(rows), caption + _machine(report["environment"])])


def kills() -> str:
    """How many kills, and what became of the runs."""
    report = _load("kills")
    moments, runs = report["kills"], report["runs"]
    steps = [kill["steps_logged"] for kill in moments]
    return (
        f"{len(moments)} kills at random moments of {runs} runs of {report['steps']} steps, "
        f"{sum(kill['resumed'] for kill in moments)} of them of a run that had been killed before; "
        f"{sum(0 < done < report['steps'] for done in steps)} fell between the first step and the last. "
        f"Resumed until they ended: {report['identical']} of {runs} runs are identical, byte for byte, with the run "
        f"that was left alone. {_machine(report['environment'])}"
    )


def fuzz() -> str:
    """How many damaged images, and what became of them."""
    report = _load("fuzz")
    return (
        f"{report['files']} damaged images: {report['read']} read, {report['refused']} refused with a reason, "
        f"{len(report['findings'])} findings. {_machine(report['environment'])}"
    )


def data() -> str:
    """Cached against decoded, by size and batch."""
    report = _load("data")
    rows = [["images", "px", "batch", "decoding, CPU ms", "from the cache, CPU ms", "times as fast", "quartiles", "n"]]
    for row in report["rows"]:
        (low, high), spent = row["faster"]["quartiles"], row["milliseconds"]
        numbers = [f"{spent['decoded']:.2f}", f"{spent['cached']:.2f}", f"{row['faster']['median']:.1f}"]
        rows.append(
            [row["images"], str(row["size"]), str(row["batch"]), *numbers, f"{low:.1f} to {high:.1f}", str(row["n"])]
        )
    return "\n\n".join([markdown(rows), _machine(report["environment"])])


def _run(record: dict[str, Any]) -> str:
    """What a run was, and what it cost."""
    config = record["config"]
    losses = ",".join(dict.fromkeys(term["term"].partition("/")[2].partition(":")[0] for term in record["objective"]))
    return (
        f"{config['recipe']}: {losses} on {record['dataset']['name']}, seed {config['train.seed']}, "
        f"{record['steps_done']} steps, {record['speed']['median']:.2f} s per step (median), peak memory "
        f"{record['peak_memory_mb']:.0f} MB. {_machine(record['environment'])}"
    )


def _interval(one: dict[str, Any]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def _joined(some: Iterable[object]) -> str:
    return " or ".join(sorted(map(str, some)))


def _machines(rows: Iterable[dict[str, Any]]) -> str:
    """Where the rows of a table come from; those that were added later may be of a later commit."""
    return " ".join(dict.fromkeys(_machine(row["environment"]) for row in rows))


def _error(one: dict[str, Any]) -> str:
    return "not read" if one["mae"] is None else f"{one['mae']:.3f} ({one['max']:.3f})"


def _machine(environment: dict[str, Any]) -> str:
    threads = environment["threads"]
    return (
        f"{environment['cpu']}, {threads} thread{'s' * (threads > 1)}, torch {environment['packages']['torch']}; "
        f"commit {str(environment['commit'])[:10]}{', changed since' if environment['dirty'] else ''}."
    )


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"


def _facts(runs: Sequence[dict[str, Any]]) -> str:
    """Where the numbers come from: n, machine, commit."""
    count = len({run["seed"] for run in runs})
    commits = {run["environment"]["commit"] for run in runs}
    if len(commits) > 1:
        raise SystemExit(f"runs of different commits stand in one table: {commits}")
    cells = f"{count} seeds a cell, {runs[0]['n']} test images, {runs[0]['steps']} steps; "
    return cells + _machine(runs[0]["environment"])


def _load(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


TABLES: dict[str, Callable[[], str]] = (
    REFERENCE
    | COMBINATIONS
    | {
        each.__name__: each
        for each in (
            losses,
            seeds,
            every_seed,
            circularity_accuracy,
            circularity_cost,
            emoji,
            error_rates,
            mutants,
            parity,
            facades_photos,
            facades_labels,
            style,
            speed,
            costs,
            sweeps,
            growth,
            observers,
            observers_cost,
            kills,
            fuzz,
            data,
        )
    }
)

if __name__ == "__main__":
    main()
