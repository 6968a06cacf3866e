"""Heat maps: red where a loss wants it brighter, blue where darker, a column for each loss and a row for each image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lossbench_plugins.observers.heatmaps import draw

from lossbench import Diverged, train
from lossbench.record import read_record
from tests.conftest import TINY

pytestmark = pytest.mark.usefixtures("plain_pictures")


@pytest.fixture(autouse=True)
def _unjudged(monkeypatch):
    monkeypatch.setattr("lossbench.run.closing", lambda run: {})


def begin(out, plugins="cycle,idt", losses=None, **settings):
    keys = TINY | {key.replace("__", "."): value for key, value in settings.items()}
    return train(plugins, losses=losses, observers=["heatmaps"], settings=keys, out=out).directory


def drawn(directory):
    return sorted(path.name for path in directory.glob("heatmaps/*"))


def names(*steps, images=("fake", "idt", "rec")):
    return sorted(f"{way}_{image}_{step:06}.png" for way in ("A2B", "B2A") for image in images for step in steps)


def test_a_picture_for_each_image_at_each_step_with_samples(tmp_path):
    directory = begin(tmp_path / "run", train__every=2, train__steps=3)
    assert drawn(directory) == names(2, 3)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in directory.glob("heatmaps/*"))
    assert read_record(directory)["observers"][0]["status"] == "ok"


def test_every_has_its_own_steps_and_the_last_is_drawn(tmp_path):
    assert drawn(begin(tmp_path / "run", heatmaps__every=3, train__every=2)) == names(3, 4)


def test_a_loss_that_is_off_leaves_no_picture(tmp_path):
    assert drawn(begin(tmp_path / "run", "idt,tv", tv__weight=0, idt__weight=0, train__steps=1)) == names(
        1, images=["fake"]
    )


def test_a_run_that_goes_on_draws_the_same(tmp_path):
    whole = begin(tmp_path / "whole", heatmaps__every=2)
    directory = begin(tmp_path / "run", heatmaps__every=2, train__steps=2)
    train(resume=directory, settings={"train.steps": 4})
    assert drawn(directory) == drawn(whole) == names(2, 4)
    train(resume=directory, settings={"train.steps": 5}, observers=[])
    assert drawn(directory) == names(2, 4)


def test_a_divergence_is_told_as_one_and_is_not_drawn(tmp_path, capsys):
    def bad(fake, progress):
        return fake.mean() / (progress < 0.5)

    with pytest.raises(Diverged, match=r"^Step 3: the value of A2B/bad"):
        begin(tmp_path / "run", ["cycle"], {"bad": bad}, heatmaps__every=1)
    assert drawn(tmp_path / "run") == names(1, 2, images=["fake", "rec"])
    assert read_record(tmp_path / "run")["observers"][0]["status"] == "ok"
    assert "observer" not in capsys.readouterr().err


def test_up_to_so_many_images_are_drawn(tmp_path, monkeypatch):
    seen = []

    def counting(name, image, gradients):
        seen.append((len(image), {len(gradient) for gradient in gradients.values()}))
        return draw(name, image, gradients)

    monkeypatch.setattr("lossbench_plugins.observers.heatmaps.draw", counting)
    begin(tmp_path / "run", "tv", train__batch=3, train__steps=1, heatmaps__images=2)
    begin(tmp_path / "all", "tv", train__batch=3, train__steps=1)
    assert seen == [(2, {2})] * 2 + [(3, {3})] * 2


# The picture ------------------------------------------------------------------------------------------------------


def columns(gradients):
    """Return the axes of a picture of grey images, row by row."""
    grey = torch.zeros_like(next(iter(gradients.values())))
    return np.array(draw("A2B/fake", grey, gradients).axes).reshape(len(grey), -1)


def pixels(axis):
    return np.asarray(axis.images[0].get_array())


@pytest.mark.parametrize(("terms", "images"), [(1, 1), (1, 3), (4, 3)])
def test_a_column_for_each_term_and_a_row_for_each_image(terms, images):
    gradients = {f"A2B/x{n}": torch.ones(images, 3, 8, 8) for n in range(terms)}
    assert columns(gradients).shape == (images, 1 + terms)


def test_red_is_pushed_brighter_and_blue_darker():
    """A descent goes against the gradient: a loss that falls with brightness pushes up."""
    fake = torch.zeros(1, 3, 8, 8, requires_grad=True)
    (brighter,) = torch.autograd.grad((1 - fake).abs().mean(), fake)
    (darker,) = torch.autograd.grad((fake + 1).abs().mean(), fake)
    ((_, up, down),) = columns({"A2B/up": brighter, "A2B/down": darker})
    assert (pixels(up)[..., 0] > 0.8).all()
    assert (pixels(up)[..., 2] < 0.2).all()
    assert (pixels(down)[..., 2] > 0.7).all()
    assert (pixels(down)[..., 0] < 0.2).all()


def test_what_is_not_pushed_stays_grey():
    half = torch.zeros(1, 3, 8, 8)
    half[..., :4] = 1e-6  # each column has a scale of its own
    ((_, axis, none),) = columns({"A2B/half": half, "A2B/none": torch.zeros(1, 3, 8, 8)})
    shown = pixels(axis)
    assert (shown[:, :4, 2] > 0.7).all()
    for grey in (shown[:, 4:], pixels(none)):
        assert np.ptp(grey, axis=2).max() < 1e-6


def test_a_single_pixel_is_seen():
    one = torch.zeros(1, 3, 32, 32)
    one[..., 5, 7] = -1e-4
    ((_, axis),) = columns({"A2B/one": one})
    assert pixels(axis)[5, 7] == pytest.approx([0.84, 0.1, 0.11])


def test_shares_stand_above_and_the_other_direction_is_named():
    gradients = {"A2B/tv": torch.ones(1, 3, 8, 8), "B2A/apart/x": -3 * torch.ones(1, 3, 8, 8)}
    assert [axis.get_title() for axis in columns(gradients)[0]] == ["A2B/fake", "tv  25%", "B2A/apart/x  75%"]
