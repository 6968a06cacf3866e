"""Images: translate, evaluate, cache."""

from __future__ import annotations

from datetime import datetime
from json import dumps
from pathlib import Path
from typing import Annotated

from rich import box
from rich.table import Table
from typer import Argument, Option

from lossbench import completion
from lossbench.commands.words import words_of
from lossbench.screen import console, counted, named_columns, show_values


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
    from lossbench.translation import translate

    with counted("translating") as report:
        written = translate(
            run, images, out=out, direction=direction, size=size, keep_size=keep_size, tile=tile, overlap=overlap,
            side_by_side=side_by_side, pairs=pairs, seed=seed, recipe=recipe, report=report,
        )  # fmt: skip
    console.print(f"{len(written)} image{'s' * (len(written) != 1)} in {out}", soft_wrap=True)


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
        images, against, source=source, metrics=words_of(metrics), required=words_of(required) or (), device=device,
        recipe=recipe, record=record,
    )  # fmt: skip
    if json:
        print(dumps(found, indent=2))
        return
    values = found["metrics"]
    show_values(named_columns(values) if is_run(images) else {images.name: values})


def cache(
    clear: Annotated[bool, Option("--clear", help="Remove everything from it. Running runs go on.")] = False,
) -> None:
    """Show or clear the cache: decoded images, what metrics' networks saw in images, compiled networks."""
    from lossbench.data import cache
    from lossbench.metrics import features
    from lossbench.networks import compiled

    if clear:
        freed = cache.clear() + features.clear() + compiled.clear()
        console.print(f"Freed {freed:.1f} MB in {cache.place().parent}", soft_wrap=True)
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
    if kernels := compiled.kept():
        console.print(f"Compiled networks: {kernels:.1f} MB in {compiled.place()}", soft_wrap=True)
