"""A step that diverges is named, harms nothing, and can be run again anywhere."""

from __future__ import annotations

import io
import math
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import lossbench
from lossbench import Diverged, RunError
from lossbench.checkpoint import intact, snapshot_step, snapshots
from lossbench.divergence import replay
from lossbench.prepare import prepare
from lossbench.record import read_log, read_record
from lossbench.run import go
from tests.conftest import write_images

pytestmark = pytest.mark.usefixtures("plain_pictures")

SMALL = {
    "data.size": 16, "data.load_size": 18, "train.steps": 6, "train.every": 2, "pool.size": 2, "model.dropout": 0.5,
    "model.generator": "resnet_1blocks", "model.ngf": 4, "model.ndf": 4, "model.n_layers": 1,
}  # fmt: skip

ROOT = '''
"""Root: a module with a memory, of which one part has no gradient from step 3 on."""
import torch
from torch import nn
from lossbench import LossSpec, hookimpl


class Root(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, fake, progress):
        if self.training:
            self.calls += 1
        features = self.head(fake.flatten(1)).square().mean() * self.calls
        off = (fake - fake.detach()).square().sum() + (EPSILON if progress > 0.3 else 1)
        return {"smooth": features, "root": off.sqrt()}


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(lambda: Root(), weight=0.1)
'''


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images") / "all")


@pytest.fixture(scope="module")
def diverged(images, tmp_path_factory):
    """Return a folder with a run that diverged in step 3, its plugin root.py, and mended/root.py; the images are gone."""
    place = tmp_path_factory.mktemp("place")
    (place / "mended").mkdir()
    (place / "root.py").write_text(ROOT.replace("EPSILON", "0"), "utf-8")
    (place / "mended" / "root.py").write_text(ROOT.replace("EPSILON", "1e-6"), "utf-8")
    shutil.copytree(images, place / "images")
    run = prepare(f"cycle,{place / 'root.py'}", data=place / "images", settings=SMALL)
    with pytest.raises(Diverged):
        go(run, place / "run")
    shutil.rmtree(place / "images")
    return place


@pytest.fixture
def small(images):
    def make(losses=None, plugins="cycle", **settings):
        keys = {key.replace("__", "."): value for key, value in settings.items()}
        return prepare(plugins, losses=losses, data=images, settings=SMALL | keys)

    return make


def everything(value, where=""):
    """Return every tensor and number of a state by its place, as bytes."""
    if isinstance(value, torch.Tensor):
        return {where: (value.dtype, tuple(value.shape), value.detach().numpy().tobytes())}
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {place: leaf for key, child in pairs for place, leaf in everything(child, f"{where}.{key}").items()}
    return {where: repr(value)}


# Named ------------------------------------------------------------------------------------------------------------


def from_step_3(good, bad):
    """Return a term that is one and, from the third step on, another."""
    return lambda fake, progress: bad(fake) if progress > 0.3 else good(fake)


def square(fake):
    return fake.square().mean()


def flat_root(fake):
    """A value of 0 and a gradient of NaN."""
    return (fake - fake.detach()).square().sum().sqrt()


def steep(fake):
    """A value of 0 and a gradient of infinity."""
    return (fake - fake.detach()).sum() * 1e30 * 1e30


TERMS = {
    "nan": (lambda fake: square(fake) * math.nan, "the value of A2B/x"),
    "inf": (lambda fake: square(fake) / 0, "the value of A2B/x"),
    "minus inf": (lambda fake: -square(fake) / 0, "the value of A2B/x"),
    "a part's value": (lambda fake: {"a": square(fake), "b": square(fake) / 0}, "the value of A2B/x/b"),
    "a gradient": (flat_root, "the gradient of A2B/x"),
    "a part's gradient": (lambda fake: {"a": square(fake), "b": flat_root(fake)}, "the gradient of A2B/x/b"),
    "infinite gradient": (steep, "the gradient of A2B/x"),
}


@pytest.mark.parametrize("kind", TERMS)
def test_a_divergence_names_plugin_part_direction_and_step(small, kind):
    bad, blamed = TERMS[kind]
    trainer = small({"x": (from_step_3(square, bad), 1.0)}).trainer
    trainer.step(1)
    trainer.step(2)
    with pytest.raises(Diverged) as error:
        trainer.step(3)
    assert str(error.value) == (
        f"Step 3: {blamed} (x in python) is not finite. The translation is finite: look for a division, a root or a "
        "logarithm in it."
    )
    assert (error.value.step, error.value.term) == (3, blamed.rpartition(" ")[2])


def test_only_the_direction_that_diverges_is_named(small):
    def term(fake, target):
        return square(fake) / (target.mean() != B.mean())

    run = small({"x": (term, 1.0)})
    B = run.trainer.batch(1)["A"]  # the target of B2A
    with pytest.raises(Diverged, match="Step 1: the value of B2A/x "):
        run.trainer.step(1)


@pytest.mark.parametrize(
    ("bad", "blamed"),
    [
        ("pred_real.mean() / 0", "the value of A2B/critic:D "),
        ("{'one': pred_real.mean(), 'two': pred_fake.mean() * float('nan')}", "the value of A2B/critic:D/two "),
        ("(pred_real - pred_real).square().sum().sqrt()", "the gradient of A2B/critic:D "),
    ],
)
def test_a_discriminators_side_is_named(small, tmp_path, bad, blamed):
    path = tmp_path / "critic.py"
    path.write_text(
        "from lossbench import Adversary, LossSpec, hookimpl\n"
        "def term(pred_real, pred_fake, progress):\n"
        f"    return {bad} if progress > 0 else pred_real.mean() - pred_fake.mean()\n"
        "@hookimpl\n"
        "def lossbench_loss(): return LossSpec(lambda: Adversary(discriminator=term))\n",
        "utf-8",
    )
    run = small(plugins=f"gan,{path}")
    run.trainer.step(1)
    with pytest.raises(Diverged) as error:
        run.trainer.step(2)
    assert str(error.value).startswith(f"Step 2: {blamed}(critic in {path}) is not finite. ")


def test_weights_that_grew_too_large_are_told_from_a_bad_plugin(small):
    trainer = small(train__lr=1e36).trainer
    trainer.step(1)
    with pytest.raises(Diverged) as error:
        trainer.step(2)
    assert str(error.value) == (
        "Step 2: the value of A2B/gan (gan of lossbench 0.1.0) is not finite. The translation A2B is not finite to "
        "begin with: weights grew too large before."
    )


def test_a_sum_that_is_too_large_blames_no_plugin(small):
    def steep(fake):
        return fake.mean() * 1e-3

    def norm(scale):
        trainer = small({"one": (steep, scale), "two": (steep, scale)}).trainer
        return {label: norm for label, _, norm in trainer.alone(1)}["A2B/one"]

    largest = math.sqrt(torch.finfo(torch.float32).max)  # whose square is the largest number
    scale = 0.7 * largest / norm(1.0)
    trainer = small({"one": (steep, scale), "two": (steep, scale)}).trainer
    with pytest.raises(Diverged) as error:
        trainer.step(1)
    assert str(error.value) == ("Step 1: the gradient of the sum of all terms is not finite, though each alone is.")


# Harmless ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nan", "a part's gradient"])
def test_a_step_that_diverges_leaves_everything_as_it_was(small, kind):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.LazyLinear(2)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, fake):
            self.calls += 1
            return self.head(fake.flatten(1)).square().mean() * self.calls

    bad = from_step_3(square, TERMS[kind][0])
    trainer = small({"count": (Counting(), 0.1), "x": (bad, 1.0)}, train__batch=2).trainer
    trainer.step(1)
    trainer.step(2)
    before = everything(trainer.state())
    assert {".networks.G_A2B", ".modules.A2B/count", ".optimisers.0", ".pools.A2B.1"} <= {
        place[: len(start)]
        for place in before
        for start in (".networks.G_A2B", ".modules.A2B/count", ".optimisers.0", ".pools.A2B.1")
        if place.startswith(start)
    }
    with pytest.raises(Diverged):
        trainer.step(3)
    assert everything(trainer.state()) == before


def test_the_same_step_can_be_tried_again(small):
    """A term that fails once: the second try gives what the run would have had."""
    calls = []

    def once_bad(fake, progress):
        if progress > 0.3:
            calls.append(1)
        return square(fake) * (math.nan if len(calls) == 1 else 1)

    one, other = (small({"x": (term, 1.0)}).trainer for term in (once_bad, lambda fake, progress: square(fake) * 1))
    for trainer in (one, other):
        trainer.step(1)
        trainer.step(2)
    with pytest.raises(Diverged):
        one.step(3)
    for trainer in (one, other):
        trainer.step(3)
        trainer.step(4)
    assert everything(one.state()) == everything(other.state())


def test_a_diverged_run_keeps_the_step_before_and_a_bundle(diverged):
    run = diverged / "run"
    record = read_record(run)
    assert (record["status"], record["steps_done"]) == ("diverged", 2)
    assert record["error"].startswith("Step 3: the gradient of A2B/root/root (root in ")
    assert [snapshot_step(path) for path in snapshots(run / "snapshots")] == [2]
    assert intact(snapshots(run / "snapshots")[0])
    assert [line["step"] for line in read_log(run / "metrics.jsonl")] == [1, 2]
    assert (run / "bundle-000003.pt").is_file()


# Replayed ---------------------------------------------------------------------------------------------------------


def test_a_replay_gives_the_same_divergence(diverged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundle = shutil.copy(diverged / "run" / "bundle-000003.pt", tmp_path / "elsewhere.pt")
    replayed = replay(bundle)
    assert replayed.step == 3
    assert str(replayed.again) == replayed.recorded == read_record(diverged / "run")["error"]
    finite = {label: (math.isfinite(value), math.isfinite(norm)) for label, value, norm in replayed.parts}
    assert finite == {
        f"{direction}/{name}": (True, name != "root/root")
        for direction in ("A2B", "B2A")
        for name in ("gan", "gan:D", "cycle", "root/smooth", "root/root")
    }
    assert replayed.operation == "PowBackward0"  # of square: 0 times infinity


def test_a_replay_computes_what_the_run_computed(diverged, images, tmp_path):
    """Mended, the step gives what the whole run with the mended plugin logged: pools, dropout and buffers are there."""
    mended = diverged / "mended" / "root.py"
    run = prepare(f"cycle,{mended}", data=images, settings=SMALL | {"train.steps": 6})
    go(run, tmp_path / "run")
    logged = read_log(tmp_path / "run" / "metrics.jsonl")[2]["raw"]
    replayed = replay(diverged / "run" / "bundle-000003.pt", f"cycle,{mended}")
    assert replayed.again is None
    assert {label: value for label, value, _ in replayed.parts} == logged


def test_replay_on_the_command_line_shows_each_part(lossbench, diverged):
    code, out, err = lossbench("replay", diverged / "run" / "bundle-000003.pt")
    assert (code, err) == (3, "")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith(("  A2B/", "  B2A/"))}
    assert {label for label, cells in rows.items() if cells[1] == "nan"} == {"A2B/root/root", "B2A/root/root"}
    assert len(rows) == 10
    message = read_record(diverged / "run")["error"]
    assert f"Then: {message}\nNow: {message} The first backward to give NaN is PowBackward0." in out


def test_replay_with_a_mended_plugin_succeeds(lossbench, diverged):
    plugins = f"cycle,{diverged / 'mended' / 'root.py'}"
    code, out, err = lossbench("replay", diverged / "run" / "bundle-000003.pt", "--plugins", plugins)
    assert (code, err) == (0, "")
    assert "Now: step 3 is finite, with these plugins on this machine." in out
    assert " nan" not in out


@pytest.mark.parametrize("plugins", ["cycle", ""])
def test_losses_that_are_functions_can_be_replayed(images, tmp_path, plugins):
    losses = {"x": (from_step_3(square, TERMS["a part's value"][0]), 0.5)}
    with pytest.raises(Diverged) as error:
        go(prepare(plugins or None, losses=losses, data=images, settings=SMALL), tmp_path / "run")
    replayed = replay(tmp_path / "run" / "bundle-000003.pt", losses=losses)
    assert str(replayed.again) == str(error.value)
    assert {label for label, value, _ in replayed.parts if not math.isfinite(value)} == {"A2B/x/b", "B2A/x/b"}


def test_a_first_step_can_diverge_and_be_replayed(images, tmp_path):
    losses = {"x": (lambda fake: square(fake) / 0, 1.0)}
    with pytest.raises(Diverged):
        go(prepare("cycle", losses=losses, data=images, settings=SMALL), tmp_path / "run")
    assert not snapshots(tmp_path / "run" / "snapshots")
    assert replay(tmp_path / "run" / "bundle-000001.pt", losses=losses).again.step == 1


def test_a_function_that_is_not_given_again_is_named(lossbench, images, tmp_path):
    with pytest.raises(Diverged):
        go(prepare("cycle", losses={"late": (lambda fake: fake.mean() / 0, 0.1)}, data=images, settings=SMALL), "run")
    code, _, err = lossbench("replay", "run/bundle-000001.pt")
    assert (code, err.count("\n")) == (2, 1)
    assert "late was a Python function, which no bundle holds. Give it from Python" in err


def test_a_legitimate_infinity_in_a_loss_is_kept(images, tmp_path):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.tensor([0.0, -math.inf]))

        def forward(self, fake):
            return fake.mean() * (self.mask.exp()).sum()

    go(prepare(losses={"masked": Masked()}, data=images, settings=SMALL), tmp_path / "run")
    lossbench.train(resume=tmp_path / "run", losses={"masked": Masked()}, settings={"train.steps": 7})
    assert read_record(tmp_path / "run")["steps_done"] == 7


def test_other_losses_than_the_bundles_are_one_line(lossbench, diverged):
    code, out, err = lossbench("replay", diverged / "run" / "bundle-000003.pt", "--plugins", "cycle,idt")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "is not a bundle that fits these plugins" in err


# Not a bundle -----------------------------------------------------------------------------------------------------


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def bundle(place):
    return place / "run" / "bundle-000003.pt"


def half(place):
    return bundle(place).read_bytes()[: bundle(place).stat().st_size // 2]


def snapshot(place):
    return snapshots(place / "run" / "snapshots")[0].read_bytes()


def torch_saved(what):
    buffer = io.BytesIO()
    torch.save(what, buffer)
    return buffer.getvalue()


def code_in_torch(path, touched):
    torch.save({"batch": {}, "config": "{}", "diverged": 1, "state": Touch(touched)}, path)


def code_in_pickle(path, touched):
    path.write_bytes(pickle.dumps({"batch": Touch(touched)}, protocol=2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda place: b"no bundle at all\n", "is damaged, or not a state of lossbench's."),
        (lambda place: b"", "is damaged, or not a state of lossbench's."),
        (half, "is damaged, or not a state of lossbench's."),
        (snapshot, "is not a bundle that fits these plugins: 'batch'"),
        (lambda place: torch_saved({"weight": torch.ones(2)}), "is not a bundle that fits these plugins: 'batch'"),
        (lambda place: torch_saved([]), "is not a state of lossbench's."),
    ],
)
def test_what_is_no_bundle_is_one_line(lossbench, diverged, tmp_path, content, message):
    (tmp_path / "bundle.pt").write_bytes(content(diverged))
    assert lossbench("replay", "bundle.pt") == (2, "", f"lossbench: bundle.pt {message}\n")


@pytest.mark.parametrize("path", ["nowhere.pt", "."])
def test_a_bundle_that_is_not_there_is_one_line(lossbench, path):
    reason = {"nowhere.pt": "No such file or directory", ".": "Is a directory"}[path]
    assert lossbench("replay", path) == (2, "", f"lossbench: {path} cannot be read: {reason}.\n")


@pytest.mark.parametrize("write", [code_in_torch, code_in_pickle])
def test_a_bundle_that_would_run_code_is_not_opened(lossbench, tmp_path, write):
    write(tmp_path / "bundle.pt", tmp_path / "touched")
    code, out, err = lossbench("replay", "bundle.pt")
    assert (code, out) == (2, "")
    assert err == "lossbench: bundle.pt holds code, not only tensors and plain values. It was not opened.\n"
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"batch": {"A": torch.zeros(1, 3, 16, 16, dtype=torch.uint8)}},
        {"batch": {"A": 1, "B": 2}},
        {"batch": []},
        {"config": "{"},
        {"config": "[]"},
        {"config": 3},
        {"state": {}},
        {"state": None},
        {"diverged": "three"},
        {"diverged": None},
        {"message": None},
    ],
    ids=str,
)
def test_a_bundle_of_nonsense_is_one_line(diverged, tmp_path, change):
    saved = torch.load(bundle(diverged), weights_only=True)
    torch.save({key: value for key, value in {**saved, **change}.items() if value is not None}, tmp_path / "bundle.pt")
    with pytest.raises(RunError, match=r"bundle\.pt is not a bundle") as error:
        replay(tmp_path / "bundle.pt")
    assert "\n" not in str(error.value)
