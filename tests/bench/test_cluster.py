"""Cells on a Ray cluster of several nodes, one of which is killed midway."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from lossbench.bench.bench import bench, executor, go
from lossbench.errors import OptionError

ray = pytest.importorskip("ray")

SETTINGS = {
    "data.size": 32, "train.steps": 4, "train.keep": 0, "model.ngf": 4, "model.ndf": 4, "model.generator": "resnet_1blocks",
    "bench.seeds": 1, "bench.always": "cycle",
}  # fmt: skip


@pytest.fixture
def nodes(monkeypatch):
    """A head that runs nothing, and three nodes of one core each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster, [cluster.add_node(num_cpus=1) for _ in range(3)]
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_node_that_is_killed_loses_nothing_and_nothing_runs_twice(nodes, tmp_path):
    cluster, workers = nodes
    planned = bench(["cycle", "idt"], settings=SETTINGS, metrics=["l1"], out=tmp_path / "bench")
    runner = executor("cpu", kind="ray", address=cluster.address)
    assert runner.workers == 3
    ticks: list[int] = []

    def tick(bench, running) -> None:
        ticks.append(len(running))
        if len(ticks) == 10:  # all three are being trained
            cluster.remove_node(workers[0], allow_graceful=False)

    report = go(planned, runner, tick)
    assert ticks[9] == 3
    assert Counter(cell["status"] for cell in report["cells"]) == {"ok": 3}
    folders = sorted(path.name for path in (tmp_path / "bench" / "cells").iterdir() if path.is_dir())
    assert folders == sorted(cell.directory.name for cell in planned.cells)
    records = [json.loads((cell.directory / "run.json").read_text()) for cell in planned.cells]
    assert [record["run_id"] for record in records] == [cell.run_id for cell in planned.cells]
    assert all(record["steps_done"] == 4 and not record.get("resumed") for record in records)
    assert not planned.left()


def test_where_there_is_no_cluster_one_line_says_so():
    with pytest.raises(OptionError, match=r"--address 127\.0\.0\.1:1: no Ray cluster there\."):
        executor("cpu", kind="ray", address="127.0.0.1:1")
