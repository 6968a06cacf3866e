"""The command line: what a user types, and one clear line where it cannot be."""

from __future__ import annotations

import tomllib

import pytest

from lossbench.record import read_record

SMALL = ["--steps", "2", "--size", "32", "--load-size", "32", "--set", "model.ngf=4", "--set", "model.ndf=4"]
SMALL += ["--set", "model.generator=resnet_1blocks"]


def test_a_run_is_shown_translated_and_kept(lossbench, tmp_path):
    code, out, err = lossbench("run", "--plugins", "cycle,circularity", *SMALL, "--out", "run")
    assert (code, err) == (0, "")
    for words in ("circularity", "fake real", "shape_error", "s per step", "Look at run/samples/A2B_000002.png"):
        assert words in out
    assert read_record(tmp_path / "run")["status"] == "ok"

    code, shown, _ = lossbench("show", "run", "--html", "run.html")
    assert code == 0
    assert "shape_error" in shown
    assert "A2B/circularity" in (tmp_path / "run.html").read_text("utf-8")

    code, out, _ = lossbench("translate", "run", "run/samples", "--direction", "B2A", "--out", "images")
    assert code == 0
    assert len(list((tmp_path / "images").iterdir())) == 4


def test_a_file_is_a_plugin(lossbench, write_plugin, tmp_path):
    write_plugin("mine", "@hookimpl\ndef lossbench_loss(): return LossSpec(lambda: lambda fake: fake.square().mean())")
    assert lossbench("run", "--plugins", "cycle,./mine.py", *SMALL, "--out", "run")[0] == 0
    assert read_record(tmp_path / "run")["objective"][-1]["source"] == str(tmp_path / "mine.py")


def test_print_config_trains_nothing(lossbench, tmp_path):
    code, out, _ = lossbench("run", "--plugins", "tv", "--set", "tv.power=2", "--print-config")
    assert code == 0
    assert tomllib.loads(out)["tv"] == {"power": 2, "weight": 0.1}
    assert not list(tmp_path.iterdir())


def test_flags_and_set_reach_the_same_keys(lossbench):
    def keys(*arguments):
        return tomllib.loads(lossbench("run", *arguments, "--print-config")[1])

    flags = keys("--batch", 3, "--seed", 4, "--precision", "bf16", "--strategy", "fused", "--every", 7)
    pairs = ["batch=3", "seed=4", "precision=bf16", "strategy=fused", "every=7"]
    assert flags == keys(*(f"--set=train.{pair}" for pair in pairs))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("run --plugins cylce", "lossbench: No plugin `cylce` in lossbench.losses. Did you mean `cycle`?"),
        ("run --plugins ./no.py", "lossbench: No plugin file no.py."),
        ("run --data nowhere", "lossbench: No folder nowhere. --data takes a folder of images, or one of the built-in"),
        ("run --set tv", "lossbench: --set tv: write KEY=VALUE, such as --set tv.power=2."),
        ("run --set gan.mode=lsgann", "lossbench: gan.mode='lsgann': input should be 'lsgan', 'vanilla'"),
        ("run --set train.lr=fast", "lossbench: train.lr='fast': input should be a valid number"),
        ("run --config nowhere.toml", "lossbench: nowhere.toml cannot be read: No such file or directory."),
        ("run --recipe pixpix", "lossbench: No plugin `pixpix` in lossbench.recipes."),
        ("run --steps many", "lossbench: Invalid value for '--steps'"),
        ("run --stpes 3", "lossbench: No such option: --stpes"),
        ("rnu", "lossbench: No such command 'rnu'. Did you mean 'run'? See: lossbench --help"),
        ("show nowhere", "lossbench: nowhere holds no run: run.json is missing."),
        ("translate nowhere x.png --out y", "lossbench: nowhere holds no run: run.json is missing."),
        ("translate nowhere x.png", "lossbench: Missing option '--out'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(lossbench, arguments, line):
    code, out, err = lossbench(*arguments.split())
    assert code == 2
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert out == ""


def test_a_place_that_cannot_be_written_is_one_line(lossbench, tmp_path):
    (tmp_path / "file").touch()
    code, out, err = lossbench("run", *SMALL, "--out", "file")
    assert (code, out) == (2, "")
    assert err == "lossbench: --out file: File exists. Choose a folder that can be written.\n"


def test_a_diverged_run_has_an_exit_code_of_its_own(lossbench, write_plugin, tmp_path):
    write_plugin("bad", "@hookimpl\ndef lossbench_loss(): return LossSpec(lambda: lambda fake: fake.mean() / 0)")
    code, _, err = lossbench("run", "--plugins", "cycle,./bad.py", *SMALL, "--out", "run")
    assert code == 3
    assert err.startswith("lossbench: Step 1: the value of A2B/bad (bad in ")
    assert read_record(tmp_path / "run")["status"] == "diverged"


def test_ctrl_c_ends_cleanly(lossbench, write_plugin, tmp_path):
    write_plugin(
        "slow",
        """
calls = []
def term(fake):
    calls.append(1)
    if len(calls) > 2: raise KeyboardInterrupt
    return fake.mean()
@hookimpl
def lossbench_loss(): return LossSpec(lambda: term)
""",
    )
    code, out, err = lossbench("run", "--plugins", "cycle,./slow.py", *SMALL, "--out", "run")
    assert code == 130
    assert "Stopped. Go on with: lossbench run --resume run" in out
    assert err == ""
    assert read_record(tmp_path / "run")["error"] == "interrupted after step 1"


def test_plugins_lists_ours(lossbench):
    code, out, _ = lossbench("plugins")
    assert code == 0
    for name in ("circularity", "cycle", "gan", "idt", "tv", "cyclegan"):
        assert name in out


def test_the_command_line_knows_its_version(lossbench):
    assert lossbench("--version")[1].startswith("lossbench 0.")


def test_a_fault_of_ours_has_its_traceback_and_an_exit_code_that_nothing_else_has(lossbench, monkeypatch):
    def broken(path):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("lossbench.record.read_record", broken)
    code, _, err = lossbench("show", "run")
    assert code == 70
    assert err.splitlines()[0] == "Traceback (most recent call last):"
    assert err.splitlines()[-1] == "ZeroDivisionError: ours"
