"""What others copy into their CI: files of the form that GitHub reads, whose scripts do what docs/ci.md says."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from lossbench.bench.bench import bench
from lossbench.cli import app
from lossbench.report.accepted import read_accepted

ROOT = Path(__file__).parent.parent
ACTION, EXAMPLES, OWN = ROOT / "action.yml", ROOT / "examples" / "ci", ROOT / ".github" / "workflows"
WORKFLOWS = sorted([*EXAMPLES.glob("*.yml"), *OWN.glob("*.yml")])
SOURCE = "lossbench @ git+https://github.com/OWNER/lossbench@TAG"
OURS = {  # what this project's own workflows have in the place of it
    "lossbench.yml": "./head\n  PIP_CONSTRAINT: head/constraints.txt",
    "lossbench-comment.yml": "",
    "lossbench-quality.yml": ".\n  PIP_CONSTRAINT: constraints.txt",
}
LOSS = '''"""Hue: the mean colour of the translation is that of the target."""

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def hue(*, power: int = 2) -> Term:
    def term(fake: Tensor, target: Tensor) -> Tensor:
        return (fake.mean(dim=(2, 3)) - target.mean(dim=(2, 3))).abs().pow(power).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(hue, weight=0.5)
'''


def parsed(path):
    """Return a file with every word a string, ``on`` too."""
    return yaml.load(path.read_text("utf-8"), yaml.BaseLoader)


def steps_of(path):
    """Return the steps of a workflow or an action."""
    found = parsed(path)
    runs = [found["runs"]] if "runs" in found else found["jobs"].values()
    return [step for each in runs for step in each["steps"]]


def script(path, **key):
    """Return the one script of a file whose step has this key."""
    ((name, value),) = key.items()
    (found,) = [step["run"] for step in steps_of(path) if step.get(name) == value]
    return found


# Form


@pytest.mark.parametrize(("kind", "paths"), [("workflows", WORKFLOWS), ("actions", [ACTION])])
def test_github_can_read_them(kind, paths):
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{kind}", *paths]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_that_github_cannot_read_is_found(tmp_path):
    text = (EXAMPLES / "lossbench.yml").read_text("utf-8").replace("runs-on:", "runs-at:")
    (tmp_path / "wrong.yml").write_text(text, "utf-8")
    check = ["-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", tmp_path / "wrong.yml"]
    assert subprocess.run([sys.executable, *check], capture_output=True).returncode == 1


@pytest.mark.parametrize("name", OURS)
def test_ours_are_those_that_others_copy(name):
    text = (EXAMPLES / name).read_text("utf-8")
    for theirs, ours in {SOURCE: OURS[name], "OWNER/lossbench@TAG": "./head", " ci/": " examples/ci/"}.items():
        text = text.replace(theirs, ours)
    assert (OWN / name).read_text("utf-8") == text


def test_our_tests_are_those_of_the_readme():
    assert [step["run"] for step in steps_of(OWN / "tests.yml") if "run" in step] == ["bash .ci/run"]
    (command,) = [line for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines() if line.startswith("python3")]
    assert f"```console\n{command}\n```" in (ROOT / "README.md").read_text("utf-8")


# What a stranger's pull request could do


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_written_into_a_script(path):
    assert not [step["run"] for step in steps_of(path) if "${{" in step.get("run", "")]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_workflow_may_more_than_it_needs(path):
    found, text = parsed(path), path.read_text("utf-8")
    jobs = {right: level for job in found["jobs"].values() for right, level in job.get("permissions", {}).items()}
    wanted = {"contents": "read"}
    if path.name == "lossbench-quality.yml":
        wanted |= {"actions": "read"}
    if path.name == "lossbench-comment.yml":
        wanted = {"actions": "read", "pull-requests": "write"}
    assert found["permissions"] | jobs == wanted
    assert "secrets" not in text
    assert "pull_request_target" not in found["on"]
    checkouts = [step for step in steps_of(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] == "false" for step in checkouts)


def test_what_may_write_runs_nobodys_code():
    found = parsed(EXAMPLES / "lossbench-comment.yml")
    assert list(found["on"]) == ["workflow_run"]
    assert found["on"]["workflow_run"]["workflows"] == [parsed(EXAMPLES / "lossbench.yml")["name"]]
    assert [set(step) for step in steps_of(EXAMPLES / "lossbench-comment.yml")] == [{"name", "shell", "env", "run"}]


def test_a_gpu_needs_a_schedule_or_the_label():
    path = EXAMPLES / "lossbench-quality.yml"
    found = parsed(path)
    assert found["on"] == {"schedule": [{"cron": "17 2 * * 6"}], "pull_request": {"types": ["labeled"]}}
    (job,) = found["jobs"].values()
    label = "lossbench quality"
    assert job["if"] == f"vars.GPU_RUNNER && (github.event_name == 'schedule' || github.event.label.name == '{label}')"
    assert f"The label `{label}`" in (ROOT / "docs" / "ci.md").read_text("utf-8")
    assert job["env"]["SHA"] == "${{ github.event.pull_request.head.sha || github.sha }}"
    (checkout,) = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["ref"] == "${{ env.SHA }}"


# The scripts


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a workspace: two checkouts of a loss and its suite, each with an interpreter."""
    place = tmp_path_factory.mktemp("workspace")
    suite = small_suite("cycle+hue")
    for side in ("base", "head"):
        python = place / side / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', "utf-8")
        python.chmod(0o755)
        (place / side / "hue.py").write_text(LOSS, "utf-8")
        (place / side / "ci").mkdir()
        (place / side / "ci" / "suite.toml").write_text(suite, "utf-8")
    return place


def small_suite(combination):
    """Return the suite that others copy, made to train one combination with the loss of a file."""
    text = (EXAMPLES / "suite.toml").read_text("utf-8")
    text = re.sub("^plugins = .*", 'plugins = ["cycle", "./hue.py"]', text, flags=re.MULTILINE)
    text = re.sub("^combine = .*", f'combine = ["{combination}"]', text, flags=re.MULTILINE)
    return re.sub("^metrics = .*", 'metrics = ["l1"]', text, flags=re.MULTILINE)


def bash(text, folder, tmp_path, *, flags=(), **words):
    """Run a script as a runner does; return its exit code, its outputs, its summary, what it said."""
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.write_text("", "utf-8")
    there = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"} | words | {k: str(v) for k, v in files.items()}
    done = subprocess.run(["bash", *flags, "-e", "-c", text], cwd=folder, env=there, capture_output=True, text=True)
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text("utf-8").splitlines())
    return done.returncode, outputs, files["GITHUB_STEP_SUMMARY"].read_text("utf-8"), done.stdout + done.stderr


def act(folder, tmp_path, **inputs):
    """Run the action's script with inputs, the others by default."""
    (step,) = [step for step in steps_of(ACTION) if "run" in step]
    given = {name: each.get("default", "") for name, each in parsed(ACTION)["inputs"].items()} | inputs
    words = {key: given[re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)[1]] for key, value in step["env"].items()}
    assert step["shell"] == "bash"
    return bash(step["run"], folder, tmp_path, flags=("--noprofile", "--norc", "-o", "pipefail"), **words)


def called_with(path):
    """Return the inputs that a workflow gives the action, but for what only GitHub knows."""
    (step,) = [step for step in steps_of(path) if "OWNER/lossbench" in step.get("uses", "")]
    return {key: value for key, value in step["with"].items() if "${{" not in value and key != "directory"}


@pytest.fixture(scope="module")
def before(place, tmp_path_factory):
    """Return what the step of the base says, after it trained."""
    text = script(EXAMPLES / "lossbench.yml", id="base")
    code, outputs, _, said = bash(text, place / "base", tmp_path_factory.mktemp("files"), SUITE="ci/suite.toml")
    assert code == 0, said
    return outputs


def test_equal_code_is_unchanged(place, before, tmp_path):
    head = tmp_path / "head"
    shutil.copytree(place / "head", head)
    shutil.copytree(place / "base" / "bench", head / "bench")  # of equal code: what is finished does not run again
    assert before == {"baseline": "../base/bench"}
    inputs = called_with(EXAMPLES / "lossbench.yml") | {"suite": "ci/suite.toml", "baseline": f"{place}/base/bench"}
    code, outputs, summary, said = act(head, tmp_path, **inputs)
    assert (code, outputs) == (0, {"code": "0", "word": "passed"}), said
    assert "unchanged" in summary
    written = {path.name for path in (head / "report").iterdir()}
    assert written == {"report.md", "report.html", "report.xml", "report.json"}


def test_a_loss_that_computes_something_else_is_named(place, before, tmp_path):
    head = place / "head"
    (head / "hue.py").write_text(LOSS.replace("weight=0.5", "weight=0.6"), "utf-8")
    inputs = called_with(EXAMPLES / "lossbench.yml") | {"suite": "ci/suite.toml", **before}
    code, outputs, summary, said = act(head, tmp_path, **inputs)
    assert (code, outputs) == (1, {"code": "1", "word": "regressed"}), said
    assert "cycle+hue" in summary
    assert "differs" in summary
    assert summary == (head / "report" / "report.md").read_text("utf-8")
    cases = ElementTree.parse(head / "report" / "report.xml").iter("testcase")
    assert any(case.find("failure") is not None for case in cases)
    assert json.loads((head / "report" / "report.json").read_text("utf-8"))["answer"]["word"] == "differs"


FAKE = """#!/bin/sh
# What it is called with, a line a call; the exit codes stand in a file, a line a call.
echo "$@" >> calls
code=$(sed -n "$(wc -l < calls)p" codes)
if [ "$3" = bench ] && [ "$code" != 2 ]; then mkdir -p bench; fi
if [ "$3" = report ] && [ "$code" != 2 ]; then echo said > report/report.md; fi
exit "$code"
"""


@pytest.fixture
def fake(tmp_path):
    """Return a folder whose interpreter does nothing, with the exit codes that it is given."""
    python = tmp_path / "side" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(FAKE, "utf-8")
    python.chmod(0o755)
    (tmp_path / "head" / "ci").mkdir(parents=True)
    (tmp_path / "head" / "ci" / "suite.toml").touch()

    def ending(*codes):
        (tmp_path / "side" / "codes").write_text("\n".join(map(str, codes)) + "\n", "utf-8")
        return tmp_path / "side"

    return ending


def calls(side):
    return (side / "calls").read_text("utf-8").splitlines()


@pytest.mark.parametrize(
    ("own", "codes", "suites", "expected"),
    [
        (True, [0], ["../head/ci/suite.toml"], (0, {"baseline": "../base/bench"})),
        (True, [3], ["../head/ci/suite.toml"], (0, {"baseline": "../base/bench"})),
        (True, [2, 0], ["../head/ci/suite.toml", "ci/suite.toml"], (0, {"baseline": "../base/bench"})),
        (True, [2, 2], ["../head/ci/suite.toml", "ci/suite.toml"], (0, {})),
        (False, [2], ["../head/ci/suite.toml"], (0, {})),
        (True, [1], ["../head/ci/suite.toml"], (1, {})),
    ],
)
def test_a_base_runs_what_it_can(own, codes, suites, expected, fake, tmp_path):
    side = fake(*codes)
    (side / "ci").mkdir()
    if own:
        (side / "ci" / "suite.toml").touch()
    text = script(EXAMPLES / "lossbench.yml", id="base")
    code, outputs, _, said = bash(text, side, tmp_path, SUITE="ci/suite.toml")
    assert (code, outputs) == expected
    assert calls(side) == [f"-m lossbench bench {suite} --out bench" for suite in suites]
    assert ("::warning" in said) == (codes[-1] == 2)


@pytest.mark.parametrize(
    ("codes", "word", "summary"),
    [
        ([0, 0], "passed", "said\n"),
        ([3, 3], "incomplete", "said\n"),
        ([0, 4], "incomparable", "said\n"),
        ([0, 5], "inconclusive", "said\n"),
        ([0, 2], "unusable", ""),
        ([2], "unusable", ""),
        ([130], "stopped", ""),
    ],
)
def test_the_action_ends_as_lossbench_does(codes, word, summary, fake, tmp_path):
    side = fake(*codes)
    code, outputs, said, _ = act(side, tmp_path, suite="suite.toml", python=".venv/bin/python", exact="1e-9")
    assert (code, outputs, said) == (codes[-1], {"code": str(codes[-1]), "word": word}, summary)
    assert not any("--exact" in call for call in calls(side))  # with nothing


def test_inputs_reach_the_command_as_one_word_each(fake, tmp_path):
    side = fake(0, 0)
    inputs = {"baseline": "$(touch pwned)", "fail-on": "kid:3%", "accepted": "a.toml", "strict": "true"}
    inputs |= {"exact": "1e-9", "merge-base": "abc", "require": "fid,kid", "title": "`touch pwned`"}
    act(side, tmp_path, suite="suite.toml; touch pwned", python=".venv/bin/python", **inputs)
    forms = "--markdown report/report.md --html report/report.html --junit report/report.xml --json report/report.json"
    assert calls(side) == [
        "-m lossbench bench suite.toml; touch pwned --out bench --require fid,kid",
        f"-m lossbench report bench {forms} --baseline $(touch pwned) --merge-base abc --fail-on kid:3% --accepted a.toml "
        "--title `touch pwned` --exact 1e-9 --strict",
    ]
    assert not (side / "pwned").exists()


def test_every_exit_code_has_its_row():
    (step,) = [step for step in steps_of(ACTION) if "run" in step]
    words = re.search(r"words=\((.*)\)", step["run"])[1].split()
    rows = re.findall(r"^\| (\d) \| `(\w+)` \|", (ROOT / "docs" / "ci.md").read_text("utf-8"), re.MULTILINE)
    assert [(str(code), word) for code, word in enumerate(words)] == rows


@pytest.mark.parametrize(("pushed", "expected"), [("", 1), ("0" * 40, 1), ("2", 2)])
def test_what_a_change_is_compared_with(pushed, expected, tmp_path):
    head = tmp_path / "head"
    git = ["git", "-C", head, "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "init", "-q", head], check=True)
    for number in range(3):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", str(number)], check=True)
    shas = subprocess.run([*git, "log", "--format=%H"], check=True, capture_output=True, text=True).stdout.split()
    text = script(EXAMPLES / "lossbench.yml", id="before")
    _, outputs, _, said = bash(text, tmp_path, tmp_path, PUSHED=shas[2] if pushed == "2" else pushed)
    assert outputs == {"sha": shas[expected]}, said


BASELINES = """#!/bin/sh
echo "$@" >> calls
case $2-$FAULT in
  list-none | download-gone) exit "$CODE" ;;
  list-*) echo 7 ;;
esac
"""


@pytest.mark.parametrize(
    ("fault", "code", "expected"),
    [
        ("", 0, (0, {"baseline": "baseline/report.json"})),
        ("none", 0, (0, {})),
        ("gone", 1, (0, {})),
        ("none", 4, (4, {})),
    ],
)
def test_the_baseline_is_that_of_main(fault, code, expected, tmp_path):
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(BASELINES, "utf-8")
    gh.chmod(0o755)
    text = script(EXAMPLES / "lossbench-quality.yml", id="last")
    there = f"{gh.parent}{os.pathsep}{os.environ['PATH']}"
    ended, outputs, _, said = bash(text, tmp_path, tmp_path, PATH=there, FAULT=fault, CODE=str(code))
    assert (ended, outputs) == expected
    assert ("::warning" in said) == (expected == (0, {}))
    listed, *fetched = calls(tmp_path)
    assert "--workflow lossbench-quality.yml --event schedule --status success --limit 1" in listed
    name = parsed(ACTION)["inputs"]["artifact"]["default"]
    assert fetched == ([] if fault == "none" else [f"run download 7 --name {name} --dir baseline"])


# The comment

GH = """#!{python}
import json, os, sys
from pathlib import Path

place = Path(os.environ["GH_PLACE"])
words, given = sys.argv[1:], sys.stdin.buffer.read() if "--input" in sys.argv else b""
path = words[1].removeprefix("repos/acme/losses/")
with (place / "calls").open("a") as file:
    file.write(json.dumps([path, words[2:], given.decode()]) + "\\n")
kept = place / path.replace("/", "_")
sys.stdout.buffer.write(kept.read_bytes() if kept.exists() else b"null")
"""
MARKER = "<!-- lossbench: cyclegan on shapes -->"
REPORT = f"{MARKER}\n**✅ unchanged.** $(touch pwned)\n"
RUN = {
    "id": 7, "head_sha": "a" * 40, "head_branch": "$(touch pwned)", "html_url": "https://example.org/7",
    "head_repository": {"owner": {"login": "stranger"}},
}  # fmt: skip


@pytest.fixture
def comment(tmp_path):
    """Return a caller of the comment's script: of a report and what is there, what was written, exit code, words."""
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(GH.replace("{python}", sys.executable), "utf-8")
    gh.chmod(0o755)

    def call(report=REPORT, comments=(), sha=RUN["head_sha"], size=1000):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("report.md", report)
        files = {
            "pulls": [{"number": 12, "head": {"sha": "b" * 40}}, {"number": 13, "head": {"sha": sha}}],
            "actions_runs_7_artifacts": {
                "artifacts": [
                    {"id": 1, "size_in_bytes": size, "created_at": "2026-01-01"},
                    {"id": 2, "size_in_bytes": size, "created_at": "2026-01-02"},
                ]
            },
            "issues_13_comments": [[], list(comments)],
        }
        for name, content in files.items():
            (tmp_path / name).write_text(json.dumps(content), "utf-8")
        (tmp_path / "actions_artifacts_2_zip").write_bytes(packed.getvalue())
        (tmp_path / "event.json").write_text(json.dumps({"workflow_run": RUN}), "utf-8")
        there = os.environ | {
            "PATH": f"{gh.parent}{os.pathsep}{os.environ['PATH']}", "GH_PLACE": str(tmp_path),
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"), "GITHUB_REPOSITORY": "acme/losses",
        }  # fmt: skip
        text = script(EXAMPLES / "lossbench-comment.yml", shell="python")
        done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=there, capture_output=True, text=True)
        asked = [json.loads(line) for line in (tmp_path / "calls").read_text("utf-8").splitlines()]
        (tmp_path / "calls").unlink()
        assert [asked[0][0], *asked[0][1][-2:]] == ["pulls", "--raw-field", "head=stranger:$(touch pwned)"]
        assert not (tmp_path / "pwned").exists()
        wrote = [(words[1], path, json.loads(given)["body"]) for path, words, given in asked if "--input" in words]
        return wrote, done.returncode, done.stdout + done.stderr

    return call


def by(login, body=MARKER, number=5):
    return {"id": number, "user": login and {"login": login}, "body": body}


SHOWN = (
    f"{MARKER}\n<sub>Of aaaaaaaaaa, written by [a run of its code](https://example.org/7).</sub>\n\n"
    "**✅ unchanged.** $(touch pwned)\n"
)


def test_a_report_becomes_a_comment(comment):
    strangers = [by("stranger"), by(None), by("github-actions[bot]", "<!-- lossbench: others -->")]
    assert comment(comments=strangers) == ([("POST", "issues/13/comments", SHOWN)], 0, "")


def test_the_next_report_takes_its_place(comment):
    there = [by("stranger"), by("github-actions[bot]", f"{MARKER}\nbefore", 6)]
    assert comment(comments=there) == ([("PATCH", "issues/comments/6", SHOWN)], 0, "")


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"sha": "c" * 40}, 0, "No open pull request is at this commit any more.\n"),
        ({"report": "Buy this.\n"}, 1, "The artifact holds no report of lossbench.\n"),
        ({"report": f"{REPORT}{'a' * 65_536}"}, 1, "The artifact holds no report of lossbench.\n"),
        ({"report": f"{REPORT}{'a' * 50_000_000}"}, 1, "The artifact holds no report of lossbench.\n"),
        ({"report": f"<!-- lossbench: --><b>{MARKER}"}, 1, "The artifact holds no report of lossbench.\n"),
        ({"size": 50_000_001}, 1, "The artifact is too large for a report.\n"),
    ],
)
def test_nothing_else_becomes_one(changed, code, words, comment):
    assert comment(**changed) == ([], code, words)


# The page, and what is copied with it


def test_the_accepted_regression_of_the_page_is_accepted(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "ci.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "accepted.toml").write_text(text, "utf-8")
    (found,) = read_accepted(tmp_path / "accepted.toml")
    assert (found.combination, found.up_to) == ("cycle+tv", "5%")
    assert read_accepted(EXAMPLES / "accepted.toml") == []


def test_every_command_of_the_page_parses():
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "ci.md").read_text("utf-8"), re.DOTALL)
    typed = [
        shlex.split(line) for text in blocks for line in re.findall(r"(?:^|&& )(lossbench [^)\n]*)", text, re.MULTILINE)
    ]
    assert len(typed) == 7
    for _, name, *words in typed:
        get_command(app).commands[name].make_context(name, list(words))


@pytest.mark.parametrize("name", ["suite.toml", "quality.toml"])
def test_the_suites_can_begin(name, tmp_path):
    planned = bench(config=EXAMPLES / name, settings={"train.device": "cpu"}, out=tmp_path)
    assert planned.suite.bench.primary == (("l1",) if name == "suite.toml" else ("kid",))
    gates = called_with(EXAMPLES / "lossbench-quality.yml")
    if name == "quality.toml":
        assert gates["fail-on"] == f"{planned.suite.bench.primary[0]}:{planned.suite.bench.margin}"
        assert gates["require"].split(",") == sorted(planned.metrics)
    else:
        assert planned.settled.config.train.precision == "float64"
        assert (planned.settled.config.train.steps, planned.unavailable) == (4, {})
