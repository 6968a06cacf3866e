"""What of a bench's runs travels: the run in the middle, its pictures pixel by pixel, its curves."""

from __future__ import annotations

import base64
import json
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lossbench.pictures import sample_grid
from lossbench.report.evidence import POINTS, evidence, middle
from tests.bench.test_results import BASE, Made

SIZE = 32


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path, "idt", combine="add-one", primary="l1").add("cycle", BASE).add("cycle+idt", BASE)


def left(run, steps=130, colour=0):
    """Leave what a run leaves: a log, and samples of smooth images that hold their number."""
    lines = [
        {"step": step, "raw": {"A2B/gan": 1.0}, "weighted": {"A2B/gan": float(step), "A2B/gan:D": 2.0}}
        for step in range(1, steps + 1)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    (run / "samples").mkdir()
    rows = {
        name: torch.full((8, 3, SIZE, SIZE), 40 * number + colour, dtype=torch.uint8)
        for number, name in enumerate(("input", "translation", "truth"))
    }
    sample_grid(run / "samples" / f"A2B_{steps:06}.png", rows)
    (run / "samples" / "B2A_000001.png").write_bytes(b"an earlier one")


def pixels(uri):
    head, _, content = uri.partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(BytesIO(base64.b64decode(content))) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_the_run_in_the_middle_is_that_of_the_median_never_the_best(made):
    report = made.report()
    assert BASE == [1.0, 1.1, 0.9, 1.05, 0.95]
    assert {name: cell["seed"] for name, cell in middle(report).items()} == {"cycle": 0, "cycle+idt": 0}
    for cell in report["cells"]:
        cell["values"] = {"A2B/l1": {0: 5.0, 1: 1.0, 2: 3.0, 3: 2.0}.get(cell["seed"])}
    assert {name: cell["seed"] for name, cell in middle(report).items()} == {
        "cycle": 3,
        "cycle+idt": 3,
    }  # the lower of two
    for cell in report["cells"]:
        cell |= {"values": {}, "status": "ok" if cell["seed"] > 1 else "failed"}
    assert {cell["seed"] for cell in middle(report).values()} == {2}


def test_pictures_are_those_of_the_samples(made):
    report = made.report()
    for colour, name in enumerate(("cycle", "cycle+idt")):
        left(made.root / f"{name}-seed0", colour=100 * colour)
    found = evidence(report, made.root)["pictures"]
    assert list(found) == ["A2B"]  # of B2A there is only an earlier step
    grid = found["A2B"]
    assert [len(grid["input"]), len(grid["truth"]), *(len(each["images"]) for each in grid["columns"].values())] == [
        8
    ] * 4
    assert pixels(grid["input"][0]).shape == (SIZE, SIZE, 3)
    for uri, colour in (
        (grid["input"][3], 0),
        (grid["columns"]["cycle+idt"]["images"][7], 140),
        (grid["truth"][0], 80),
    ):
        assert np.abs(pixels(uri) - colour).max() <= 2
    assert {each["seed"] for each in grid["columns"].values()} == {0}


def test_curves_are_means_over_equal_spans_of_steps(made):
    report = made.report()
    left(made.root / "cycle-seed0")
    curves = evidence(report, made.root)["curves"]
    assert list(curves) == ["cycle"]  # the other left no log
    curve = curves["cycle"]
    assert len(curve["steps"]) <= POINTS
    assert (curve["steps"][:2], curve["steps"][-1]) == ([3, 6], 130)
    assert curve["terms"]["A2B/gan"][:2] == [2.0, 5.0]  # of 1, 2, 3 and 4, 5, 6
    assert curve["terms"]["A2B/gan"][-1] == 130.0
    assert set(curve["terms"]["A2B/gan:D"]) == {2.0}


@pytest.mark.parametrize("layout", [None, "{", "[]", "{}", '{"rows": 3}', "damaged"])
def test_a_picture_that_does_not_say_where_its_images_are_is_left_out(made, layout):
    report = made.report()
    left(made.root / "cycle-seed0")
    path = next((made.root / "cycle-seed0" / "samples").glob("A2B*"))
    with Image.open(path) as picture:
        told, pixels_ = json.loads(picture.text["layout"]), picture.convert("RGB")
    kept = PngInfo()
    if layout is not None:
        kept.add_text("layout", json.dumps(told | {"enlarged": 0}) if layout == "damaged" else layout)
    pixels_.save(path, pnginfo=kept)
    assert evidence(report, made.root)["pictures"] == {}


def test_what_is_gone_or_damaged_is_left_out(made):
    report = made.report()
    left(made.root / "cycle-seed0")
    next((made.root / "cycle-seed0" / "samples").glob("A2B*")).write_bytes(b"torn")
    assert evidence(report, made.root)["pictures"] == {}
    assert evidence(report, made.root / "nowhere") == {"pictures": {}, "curves": {}}
