"""MLflow: a real server holds what a run left, and one that is gone does not end the run."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from lossbench import hookimpl, train
from lossbench.record import read_log, read_record
from tests.conftest import TINY

mlflow = pytest.importorskip("mlflow", reason="needs lossbench[mlflow]")

SERVER_SECONDS = 60  # a first start makes the tables of its database


@pytest.fixture(autouse=True, scope="module")
def _quiet():
    """MLflow tells its makers how it is used, by itself; a test talks to nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        yield


def start(folder):
    """Start a server with a database and artifacts in a folder; return its process and address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/runs.db", "--artifacts-destination", folder / "artifacts"]
    with (folder / "said").open("w") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *map(str, words)], stdout=said, stderr=said, start_new_session=True
        )
    return server, f"http://127.0.0.1:{port}"


def wait(server, address, folder):
    until = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            return urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError((folder / "said").read_text("utf-8"))


def kill(server):
    """End a server and its workers, which are a process group of their own."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    process, address = start(folder)
    try:
        wait(process, address, folder)
        yield address
    finally:
        kill(process)


def begin(out, uri, *others, **settings):
    keys = TINY | {"train.steps": 3, "train.every": 2, "mlflow.uri": uri, "mlflow.experiment": "tests"}
    keys |= {key.replace("__", "."): value for key, value in settings.items()}
    return train("cycle", observers=["mlflow", *others], settings=keys, out=out)


@pytest.fixture(scope="module")
def client(server):
    return mlflow.MlflowClient(server)


@pytest.fixture(scope="module")
def run(server, tmp_path_factory):
    return begin(tmp_path_factory.mktemp("mlflow") / "run", server)


def remembered(client, run):
    return client.get_run((run.directory / ".mlflow").read_text("utf-8"))


def test_settings_are_parameters(client, run):
    found = remembered(client, run)
    assert found.data.params == {key: str(value) for key, value in run.config.dotted().items()}
    assert found.info.run_name == "run"
    assert client.get_experiment(found.info.experiment_id).name == "tests"
    assert found.data.tags["lossbench.run_id"] == run.record["run_id"]


@pytest.mark.parametrize(("curve", "logged"), [("value", "raw"), ("weighted", "weighted")])
def test_each_term_is_a_metric(client, run, curve, logged):
    run_id = remembered(client, run).info.run_id
    log = read_log(run.directory / "metrics.jsonl")
    for term in log[0][logged]:
        history = client.get_metric_history(run_id, f"{curve}/{term}")
        assert [(each.step, each.value) for each in history] == [(line["step"], line[logged][term]) for line in log]


def test_the_end_is_told(client, run):
    found = remembered(client, run)
    assert found.info.status == "FINISHED"
    assert (
        found.data.metrics["closing/A2B/translation/l1"] == run.record["metrics"]["A2B"]["translation"]["l1"]["value"]
    )
    kept = {item.path for folder in (None, "samples") for item in client.list_artifacts(found.info.run_id, folder)}
    assert kept >= {"run.json", "config.toml", "losses.png", "samples/A2B_000002.png", "samples/B2A_000003.png"}


class At:
    """An observer that does something after a step."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    @hookimpl
    def lossbench_step(self, step):
        if step == self.step:
            self.act()


def interrupt():
    raise KeyboardInterrupt


def test_a_run_that_failed_is_told_as_failed_and_goes_on_as_the_same(client, server, tmp_path, monkeypatch):
    """The first process dies after step 3, whose metrics were sent, with its snapshot of step 2 the newest."""
    monkeypatch.setattr("lossbench.run._keep", lambda run, error: None)
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "run", server, At(3, interrupt), train__steps=4)
    run_id = (tmp_path / "run" / ".mlflow").read_text("utf-8")
    assert client.get_run(run_id).info.status == "FAILED"
    run = train(resume=tmp_path / "run", settings={"train.every": 3})
    found = remembered(client, run)
    assert (found.info.run_id, found.info.status) == (run_id, "FINISHED")
    assert [each.step for each in client.get_metric_history(run_id, "value/A2B/cycle")] == [1, 2, 3, 4]
    assert (found.data.params["train.every"], found.data.tags["resumed.train.every"]) == ("2", "3")


def test_a_run_goes_on_as_another_where_the_server_does_not_know_it(client, server, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "run", server, At(2, interrupt))
    (tmp_path / "run" / ".mlflow").write_text("0" * 32, "utf-8")
    found = remembered(client, train(resume=tmp_path / "run"))
    assert found.info.status == "FINISHED"


def test_long_settings_are_cut(client, server, tmp_path):
    path = tmp_path / "wordy.py"
    path.write_text(
        "from lossbench import LossSpec, hookimpl\n"
        "def wordy(*, words: str = 'x' * 7000):\n    return lambda fake: fake.mean()\n"
        "@hookimpl\ndef lossbench_loss(): return LossSpec(wordy)\n",
        "utf-8",
    )
    settings = TINY | {"train.steps": 1, "mlflow.uri": server}
    run = train(["cycle", str(path)], observers=["mlflow"], settings=settings, out=tmp_path / "run")
    assert run.record["observers"][0]["status"] == "ok"
    assert remembered(client, run).data.params["wordy.words"] == "x" * 500


# A server that is gone --------------------------------------------------------------------------------------------


def assert_went_on(run, hook, capsys):
    (facts, *_) = read_record(run.directory)["observers"]
    assert run.record["status"] == "ok"
    assert facts["status"] == "failed"
    assert facts["error"].startswith(f"{hook}")
    assert re.fullmatch(
        r"lossbench: observer mlflow of lossbench [\d.]+ is switched off, .*\n", capsys.readouterr().err
    )


def test_a_server_that_is_killed_does_not_end_the_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lossbench_plugins.observers.mlflow.SECONDS", 0)
    process, address = start(tmp_path)
    try:
        wait(process, address, tmp_path)
        begun = time.monotonic()
        run = begin(tmp_path / "run", address, At(1, lambda: kill(process)))
    finally:
        kill(process)
    assert time.monotonic() - begun < 30
    assert_went_on(run, "lossbench_step at step 2: MlflowException: ", capsys)


def test_no_server_does_not_end_the_run(tmp_path, capsys):
    with socket.socket() as nobody:  # bound, not listening: refused, and nobody else's
        nobody.bind(("127.0.0.1", 0))
        run = begin(tmp_path / "run", f"http://127.0.0.1:{nobody.getsockname()[1]}")
    assert_went_on(run, "lossbench_run_start: MlflowException: ", capsys)


def test_a_server_that_never_answers_does_not_end_the_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    begun = time.monotonic()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        run = begin(tmp_path / "run", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - begun < 30
    assert_went_on(run, "lossbench_run_start: MlflowException: ", capsys)
