"""Gradients: their values by hand, their curves and matrices, and a run that is as if nobody had looked."""

from __future__ import annotations

import json
import math

import pytest
import torch
from lossbench_plugins.observers.gradients import Gradients, draw_cosines, draw_norms

from lossbench import Diverged, hookimpl, train
from lossbench.record import read_record
from tests.conftest import TINY

pytestmark = pytest.mark.usefixtures("plain_pictures")

PIXELS = 3 * 32 * 32


@pytest.fixture(autouse=True)
def _unjudged(monkeypatch):
    monkeypatch.setattr("lossbench.run.closing", lambda run: {})


def begin(out, plugins="cycle", observers=("gradients",), losses=None, **settings):
    keys = TINY | {"gradients.every": 2} if "gradients" in observers else TINY
    keys = keys | {key.replace("__", "."): value for key, value in settings.items()}
    return train(plugins, losses=losses, observers=list(observers), settings=keys, out=out)


def lines(run):
    return [json.loads(line) for line in (run.directory / "gradients.jsonl").read_text("utf-8").splitlines()]


def up(fake):
    return fake.mean()


def down(fake):
    return -fake.mean()


def left(fake):
    return fake[..., :16].mean()


def right(fake):
    return fake[..., 16:].mean()


# Values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3])
def test_a_mean_has_the_gradient_that_it_has_by_hand(tmp_path, batch):
    """k * mean has the gradient k / numel everywhere, so the norm k / sqrt(numel)."""
    losses = {"up": (up, 2.0), "down": (down, 6.0)}
    run = begin(tmp_path / "run", None, losses=losses, gan__weight=0, train__batch=batch)
    assert [(line["step"], line["image"]) for line in lines(run)] == [
        (step, f"{way}/fake") for step in (1, 2, 4) for way in ("A2B", "B2A")
    ]
    for line in lines(run):
        way = line["image"].partition("/")[0]
        root = math.sqrt(batch * PIXELS)
        assert line["norm"] == pytest.approx({f"{way}/up": 2 / root, f"{way}/down": 6 / root}, rel=1e-6)
        assert line["share"] == pytest.approx({f"{way}/up": 0.25, f"{way}/down": 0.75}, rel=1e-6)
        assert line["cosine"] == {f"{way}/up": {f"{way}/down": pytest.approx(-1, abs=1e-6)}}


@pytest.mark.parametrize(
    ("one", "other", "cosine"),
    [(up, up, 1), (up, down, -1), (left, right, 0), (left, up, math.sqrt(0.5)), (left, down, -math.sqrt(0.5))],
)
def test_cosines_by_hand(tmp_path, one, other, cosine):
    for first, second in ((one, other), (other, one)):
        observer = Gradients()
        fake = torch.zeros(1, 3, 32, 32, requires_grad=True)
        observer.lossbench_component(1, {"A2B/a": 3 * first(fake), "A2B/b": second(fake)}, {"A2B/fake": fake})
        (line,) = observer.lines
        assert line["cosine"] == {"A2B/a": {"A2B/b": pytest.approx(cosine, abs=1e-6)}}
        assert abs(line["cosine"]["A2B/a"]["A2B/b"]) <= 1


def test_a_term_without_push_has_no_direction():
    observer = Gradients()
    fake = torch.zeros(1, 3, 4, 4, requires_grad=True)
    terms = {"A2B/met": 0 * fake.mean(), "A2B/up": fake.mean(), "A2B/none": torch.ones(())}
    observer.lossbench_component(1, terms, {"A2B/fake": fake, "A2B/real": fake.detach()})
    (line,) = observer.lines
    assert line["share"] == {"A2B/met": 0, "A2B/up": 1}
    assert line["cosine"] == {"A2B/met": {"A2B/up": 0}}


def test_each_image_has_the_terms_that_act_on_it(tmp_path):
    run = begin(tmp_path / "run", "cycle,idt,tv", train__steps=1)
    assert {line["image"]: list(line["norm"]) for line in lines(run)} == {
        f"{way}/{image}": [f"{way}/{name}" for name in names]
        for way in ("A2B", "B2A")
        for image, names in (("fake", ["gan", "cycle", "tv"]), ("rec", ["cycle"]), ("idt", ["idt"]))
    }


def test_each_part_of_a_loss_is_a_curve(tmp_path):
    def both(fake):
        return {"left": left(fake), "right": right(fake)}

    run = begin(tmp_path / "run", None, losses={"both": both}, gan__weight=0, train__steps=1)
    assert [[*line["norm"]] for line in lines(run)] == [[f"{w}/both/left", f"{w}/both/right"] for w in ("A2B", "B2A")]


def test_a_term_that_acts_on_both_directions_is_at_both(tmp_path):
    def apart(fake, other_fake):
        return (fake - other_fake).square().mean()

    run = begin(tmp_path / "run", None, losses={"apart": apart}, gan__weight=0, train__steps=1)
    assert [line["image"] for line in lines(run)] == ["A2B/fake", "B2A/fake"]
    assert {tuple(line["norm"]) for line in lines(run)} == {("A2B/apart", "B2A/apart")}


@pytest.mark.parametrize("weight", [0, "step:1,0@0.25"])
def test_a_loss_that_is_off_is_absent(tmp_path, weight):
    last = lines(begin(tmp_path / "run", "cycle,tv", tv__weight=weight))[-1]
    assert last["step"] == 4
    assert "A2B/tv" not in last["norm"]


def test_both_strategies_see_the_same(tmp_path):
    seen = [
        lines(begin(tmp_path / strategy, "cycle,idt,tv", train__strategy=strategy, train__steps=1))
        for strategy in ("component", "fused")
    ]
    one, other = ({line["image"]: line for line in some} for some in seen)
    assert one.keys() == other.keys()
    for image, line in one.items():
        assert line["norm"] == pytest.approx(other[image]["norm"], rel=1e-4)
        assert line["share"] == pytest.approx(other[image]["share"], rel=1e-4)
        for term, cosines in line["cosine"].items():
            assert cosines == pytest.approx(other[image]["cosine"][term], abs=1e-4)


# The run ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["component", "fused"])
@pytest.mark.parametrize("dropout", [0, 0.5])
def test_a_run_that_is_looked_at_is_the_run_that_is_not(tmp_path, strategy, dropout):
    settings = {"train.strategy": strategy, "model.dropout": dropout, "cycle.weight": "linear:10,5"}
    keys = TINY | settings | {"gradients.every": 1, "heatmaps.every": 1}
    plugins = "cycle,idt,tv,circularity"
    watched = train(plugins, observers=["gradients", "heatmaps"], settings=keys, out=tmp_path / "one")
    plain = train(plugins, settings=TINY | settings, out=tmp_path / "other").directory
    assert [facts["status"] for facts in watched.record["observers"]] == ["ok", "ok"]
    for path in (*plain.glob("weights/*"), *plain.glob("samples/*"), plain / "metrics.jsonl"):
        assert (watched.directory / path.relative_to(plain)).read_bytes() == path.read_bytes(), path


class Stop:
    @hookimpl
    def lossbench_step(self, step):
        if step == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("ahead", ["", '{"step": 4, "image": "A2B/fake"}\n', '{"step": 4, "im', "\0\0", "[]\n", "no\n"])
def test_a_run_that_goes_on_ends_with_the_same_lines(tmp_path, monkeypatch, ahead):
    """The first process dies after step 3, whose lines are written, with its snapshot of step 2 the newest."""
    settings = {"train__every": 2, "gradients__every": 1}
    whole = begin(tmp_path / "whole", **settings).directory
    monkeypatch.setattr("lossbench.run._keep", lambda run, error: None)
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "stopped", observers=("gradients", Stop()), **settings)
    left = tmp_path / "stopped" / "gradients.jsonl"
    assert json.loads(left.read_text("utf-8").splitlines()[-1])["step"] == 3
    with left.open("a") as file:
        file.write(ahead)
    train(resume=tmp_path / "stopped")
    for name in ("gradients.jsonl", "gradients.png", "cosines.png"):
        assert (left.parent / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("what", ["value", "gradient"])
def test_a_divergence_is_told_as_one_and_leaves_no_line(tmp_path, capsys, step, what):
    """A step that diverges is gone through again, each term by itself, and shown to observers each time."""

    def bad(fake, progress):
        broken = {"value": fake.mean() / 0, "gradient": (fake - fake.detach()).square().sum().sqrt()}
        return broken[what] if progress >= (step - 1) / 4 else fake.mean()

    with pytest.raises(Diverged, match=rf"^Step {step}: the {what} of A2B/bad"):
        begin(tmp_path / "run", ["cycle", "tv"], losses={"bad": bad}, gradients__every=1)
    record = read_record(tmp_path / "run")
    assert (record["status"], record["observers"][0]["status"]) == ("diverged", "ok")
    written = [json.loads(line) for line in (tmp_path / "run" / "gradients.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in written if line["image"] == "A2B/fake"] == [*range(1, step)]
    assert "NaN" not in str(written)
    assert "observer" not in capsys.readouterr().err
    assert (tmp_path / "run" / "gradients.png").exists() is (step > 1)


# Pictures ---------------------------------------------------------------------------------------------------------


def test_pictures_show_the_images_that_losses_share(tmp_path):
    run = begin(tmp_path / "run", "cycle,idt")
    for name in ("gradients.png", "cosines.png"):
        assert (run.directory / name).stat().st_size > 5000
    assert not (begin(tmp_path / "alone", "gan").directory / "gradients.png").exists()


def line(step, norm, cosine):
    return {"step": step, "image": "A2B/fake", "norm": norm, "share": {}, "cosine": cosine}


def test_a_matrix_is_symmetric_and_has_means():
    some = [line(1, {"a": 1, "b": 2}, {"a": {"b": 0.2}}), line(2, {"b": 2, "a": 1, "c": 1}, {"b": {"a": 0.4, "c": -1}})]
    (axis,) = draw_cosines({"A2B/fake": some}).axes
    drawn = axis.images[0].get_array().filled(math.nan).tolist()
    nan = pytest.approx(math.nan, nan_ok=True)
    assert drawn == [[1, pytest.approx(0.3), nan], [pytest.approx(0.3), 1, -1], [nan, -1, 1]]
    assert [text.get_text() for text in axis.texts[:6]] == ["1.00", "0.30", "", "0.30", "1.00", "-1.00"]


def test_norms_are_drawn_where_they_are_and_may_be_nothing(tmp_path):
    some = [line(1, {"a": 0.0, "b": 0.0}, {}), line(25, {"a": 0.0, "b": 0.0, "c": 0.0}, {})]
    figure = draw_norms({"A2B/fake": some, "B2A/fake": some})
    figure.savefig(tmp_path / "norms.png")
    assert [list(drawn.get_xdata()) for drawn in figure.axes[0].lines] == [[1, 25], [1, 25], [25]]
