"""TensorBoard: its own reader finds in the event files what the run's log and samples hold."""

from __future__ import annotations

import hashlib
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from lossbench import hookimpl, train
from lossbench.record import read_log, read_record
from tests.conftest import TINY

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs lossbench[tensorboard]"
)


class Stop:
    def __init__(self, after):
        self.after = after

    @hookimpl
    def lossbench_step(self, step):
        if step == self.after:
            raise KeyboardInterrupt


def begin(out, *others):
    settings = TINY | {"train.steps": 3, "train.every": 2}
    return train("cycle", observers=["tensorboard", *others], settings=settings, out=out)


def read(directory):
    events = accumulator.EventAccumulator(str(directory / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return begin(tmp_path_factory.mktemp("tensorboard") / "run")


@pytest.fixture(scope="module")
def events(run):
    return read(run.directory)


@pytest.mark.parametrize(("curve", "logged"), [("value", "raw"), ("weighted", "weighted")])
def test_each_term_is_a_curve(run, events, curve, logged):
    log = read_log(run.directory / "metrics.jsonl")
    assert {tag for tag in events.Tags()["scalars"] if tag.startswith(curve)} == {f"{curve}/{t}" for t in log[0]["raw"]}
    for term in log[0][logged]:
        points = [(point.step, point.value) for point in events.Scalars(f"{curve}/{term}")]
        assert points == [(line["step"], pytest.approx(line[logged][term], rel=1e-6)) for line in log]


def test_the_samples_are_the_pictures_that_were_drawn(run, events):
    for direction in ("A2B", "B2A"):
        shown = events.Images(f"samples/{direction}")
        assert [image.step for image in shown] == [2, 3]
        for image in shown:
            drawn = cv2.imread(str(run.directory / "samples" / f"{direction}_{image.step:06}.png"))
            pixels = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
            assert np.array_equal(pixels, drawn[..., ::-1])


def test_the_closing_table_and_the_settings_are_there(run, events):
    (point,) = events.Scalars("closing/A2B/translation/l1")
    assert (point.step, point.value) == (3, pytest.approx(run.record["metrics"]["A2B"]["translation"]["l1"]["value"]))
    (text,) = events.Tensors("config/text_summary")
    assert "[train]" in text.tensor_proto.string_val[0].decode()


def test_the_record_has_the_hashes_of_what_was_left_at_the_end(run):
    left = {path.relative_to(run.directory).as_posix(): path for path in (run.directory / "tensorboard").iterdir()}
    recorded = read_record(run.directory)["artifacts"]
    assert left
    assert {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in left.items()
    }.items() <= recorded.items()


def test_a_run_that_goes_on_shows_each_step_once(tmp_path, monkeypatch):
    """The first process dies after step 3 with its snapshot of step 2 the newest."""
    monkeypatch.setattr("lossbench.run._keep", lambda run, error: None)
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "run", Stop(3))
    events = read(train(resume=tmp_path / "run").directory)
    assert [point.step for point in events.Scalars("value/A2B/cycle")] == [1, 2, 3]
    assert {image.step for image in events.Images("samples/A2B")} == {2, 3}
