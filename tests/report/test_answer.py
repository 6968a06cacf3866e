"""What a report comes to: each verdict, each exit code, each sentence; and how often it is wrong."""

from __future__ import annotations

import copy
import json
import random

import pytest

from lossbench.bench.results import report as reported
from lossbench.bench.results import results
from lossbench.errors import OptionError
from lossbench.report.accepted import read_accepted
from lossbench.report.answer import answered
from tests.bench.test_results import BASE, Made, value

WORSE = [number * 1.5 for number in BASE]
BETTER = [number * 0.5 for number in BASE]
WIDE = [0.5, 1.9, 0.6, 1.4, 1.0]
HARDLY = [1.1, 1.2, 1.0, 1.15, 1.05]
FAR = [0.1, 3.0, 0.2, 2.0, 0.5]
NOTHING = "Conclude nothing yet, neither that a loss helps nor that it does not."


@pytest.fixture
def bench(three):
    """Return a maker of reports: values by combination."""
    return lambda **others: three(**others).report()


def said(answer):
    return answer.word, answer.exit_code


# Does a loss help -------------------------------------------------------------------------------------------------


def test_without_a_baseline_the_losses_decide(bench):
    answer = answered(bench(cycle_idt=BETTER, cycle_tv=WORSE))
    assert said(answer) == ("regressed", 1)
    assert answer.sentence.startswith("Worse than cycle: cycle+tv, A2B/l1 50 % worse (")
    assert "Better than cycle: cycle+idt, A2B/l1 50 % better (" in answer.sentence
    assert answer.advice == "Leave these losses out, or lower their weights."
    assert answer.change is None


def test_a_loss_that_helps_passes(bench):
    answer = answered(bench(cycle_idt=BETTER, cycle_tv=[number * 0.6 for number in BASE]))
    assert (*said(answer), answer.headline) == ("improved", 0, "a loss helps")
    assert answer.sentence.startswith("Better than cycle: cycle+idt, A2B/l1 50 % better (")


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_a_loss_that_helps_is_not_yet_one_that_translates(bench, better):
    report = bench(cycle_idt=BETTER) if better == "lower" else bench(cycle_idt=[2 * number for number in BASE])
    metric = report["metrics"]["A2B/l1"]
    metric["better"], best = better, min(BETTER) / 2 if better == "lower" else 3.0
    metric |= {"beside": {"copy": best, "floor": None}, "against": "target"}
    answer = answered(report)
    beats = (
        f"By A2B/l1 the unchanged input ({best:g}) is better than every combination: none is shown to translate well."
    )
    assert beats in answer.sentence
    assert (*said(answer), answer.headline) == (
        "outdone",
        0,
        "better than the baseline, worse than the unchanged input",
    )
    assert answer.advice.startswith("Use none of them yet: train longer, or judge by ")
    assert "unchanged input" not in answered(report, bench()).sentence  # a change is not judged by it
    metric["against"] = "real"  # the input is then as near as can be, and no rival
    assert answered(report).word == "improved"
    metric |= {"beside": {"copy": sum(BASE) / len(BASE), "floor": None}, "against": "truth"}
    assert "unchanged input" not in answered(report).sentence


def test_of_losses_that_help_none_is_said_to_be_the_best(bench):
    assert answered(bench(cycle_idt=BETTER)).advice == "Use cycle+idt."
    both = answered(bench(cycle_idt=BETTER, cycle_tv=BETTER))
    assert both.advice == "Use one of these; they were not compared with each other."


@pytest.mark.parametrize(("strict", "code"), [(False, 0), (True, 5)])
def test_too_few_seeds_pass_unless_that_is_not_enough(bench, strict, code):
    answer = answered(bench(cycle_idt=HARDLY), strict=strict)
    (row,) = [row for row in answer.losses if row["combination"] == "cycle+idt"]
    assert said(answer) == ("inconclusive", code)
    between = f"{-100 * row['relative_low']:.3g} % better to {100 * row['relative_high']:.3g} % worse"
    fine = "No worse than cycle: cycle+tv, A2B/l1 0 % apart ("
    assert answer.sentence.startswith(fine)
    assert answer.sentence.endswith(f" Too noisy to judge: cycle+idt, A2B/l1 10 % worse ({between}).")
    assert answer.headline == "not decided yet"
    assert row["seeds"] > 5
    more = f"lossbench bench suite.toml --seeds {row['seeds']}."
    assert answer.advice == f"{NOTHING} {row['seeds']} seeds would judge cycle+idt: {more}"


def test_where_no_number_of_seeds_would_decide_that_is_the_advice(bench):
    answer = answered(bench(cycle_idt=WIDE, cycle_tv=WIDE))
    assert answer.advice == f"{NOTHING} cycle+idt, cycle+tv need more than 100 seeds."
    means = "0 of 2 means are better than cycle's, by no more than luck could do."
    assert answer.sentence == f"Too noisy to judge: both combinations; {means}"


def test_what_would_do_for_one_is_said_beside_what_would_do_for_all(bench):
    answer = answered(bench(cycle_idt=HARDLY, cycle_tv=[1.3, 1.0, 1.3, 1.1, 1.0]))
    few, many = sorted(row["seeds"] for row in answer.losses)
    one = f"{few} seeds would judge cycle+idt: lossbench bench suite.toml --seeds {few}"
    assert answer.advice.endswith(f"{one}; {many} would judge both combinations.")


def test_what_could_be_anything_is_said_so(bench):
    assert "(over 100 % better to over 100 % worse)" in answered(bench(cycle_idt=FAR)).sentence
    answer = answered(bench(cycle_idt=FAR), bench())
    assert answer.sentence == "Too noisy to judge: cycle+idt; it could be far worse (allowed: 5%)."
    assert answer.advice.startswith("Merge only if far worse would be acceptable: within 5% is not shown.")


def test_which_loss_earned_its_place(bench):
    whole = bench(cycle_idt=BETTER, cycle_tv=WORSE)
    assert answered(whole).earned == ""  # not every combination was trained
    found = {"value": -0.5, "low": -0.6, "high": -0.4, "n": 5}
    other, none = ({**found, "value": 0.5, "low": 0.4, "high": 0.6}, {**found, "low": -1.1, "high": 0.1})
    shapley = {"idt": found, "tv": other, "gan": none}
    whole["metrics"]["A2B/l1"]["attribution"] = {"level": 0.9, "main": {}, "interactions": {}, "shapley": shapley}
    assert answered(whole).earned == (
        "What each loss adds to A2B/l1, averaged over the others on and off (Shapley value); lower is better. "
        "Helps: idt -0.5 (-0.6 to -0.4); hurts: tv 0.5 (0.4 to 0.6); no evidence either way: gan -0.5 (-1.1 to 0.1)."
    )


def test_what_all_combinations_together_show_is_not_lost_where_none_is_decided(bench):
    report = bench(cycle_idt=HARDLY)
    found = {"value": -0.5, "low": -0.6, "high": -0.4, "n": 5}
    shapley = {"level": 0.9, "main": {}, "interactions": {}, "shapley": {"idt": found}}
    report["metrics"]["A2B/l1"]["attribution"] = shapley
    together = "Over all combinations together idt helps; no single one is shown to be better."
    assert answered(report).advice.startswith(together)


def test_where_the_unchanged_input_is_perfect_that_is_said(bench):
    report = bench()
    assert "unchanged" not in answered(report).compared
    report["metrics"]["A2B/l1"]["against"] = "real"
    assert "The unchanged input is perfect by A2B/l1, which compares with it." in answered(report).compared


def test_another_margin_and_another_metric_by_the_command_line_are_said(bench):
    whole = bench(cycle_tv=WORSE)
    answer = answered(whole, fail_on=["l1:60%"])
    assert answer.word != "regressed"
    assert answer.notes == ["The suite fixed A2B/l1 within 5%; --fail-on judges otherwise."]
    assert answered(whole, fail_on=["A2B/l1:5%"]).notes == []
    with pytest.raises(OptionError, match=r"--fail-on ll1: ll1 was not measured. Did you mean `l1`\? Measured: A2B/l1"):
        answered(whole, fail_on=["ll1"])
    with pytest.raises(OptionError, match="`x` is not a margin"):
        answered(whole, fail_on=["l1:x"])


# Did a change break it --------------------------------------------------------------------------------------------


def test_the_same_bits_have_not_changed_whatever_their_noise(bench):
    answer = answered(bench(cycle_idt=WIDE), bench(cycle_idt=WIDE))
    assert said(answer) == ("unchanged", 0)
    assert answer.sentence == "All 15 runs give exactly the same numbers as the baseline."
    assert answer.compared == "This compared with the baseline: 3 combinations, 5 seeds each; A2B/l1 within 5%."
    assert answer.advice == "Merge: there is nothing to do."


def test_with_a_baseline_the_change_alone_decides(bench):
    hurting = {"cycle_tv": WORSE}
    answer = answered(bench(**hurting, cycle_idt=BETTER), bench(**hurting))
    assert answer.exit_code == 0
    assert "Better than the baseline: cycle+idt" in answer.sentence
    assert {row["verdict"] for row in answer.losses} >= {"regressed"}  # shown, in its own table
    broken = answered(bench(cycle_idt=WORSE), bench())
    assert said(broken) == ("regressed", 1)
    assert broken.sentence.startswith("Worse than the baseline: cycle+idt, A2B/l1 50 % worse (")
    assert broken.advice == "Do not merge. Fix what got worse, or accept it with a reason and a date (--accepted FILE)."
    assert broken.headline == "regressed, do not merge yet"


def test_a_combination_that_is_new_is_said_and_passes(bench):
    before = bench(cycle_tv=None)
    answer = answered(bench(), before)
    (row,) = [row for row in answer.change if row["combination"] == "cycle+tv"]
    assert (row["verdict"], row["reason"], answer.exit_code) == ("new", "the baseline does not have it", 0)


def test_a_combination_that_is_gone_is_missing(bench):
    answer = answered(bench(cycle_tv=None), bench())
    (row,) = [row for row in answer.change if row["combination"] == "cycle+tv"]
    assert (row["verdict"], row["reason"]) == ("missing", "only the baseline has it")
    assert said(answer) == ("incomplete", 3)


def test_a_run_that_is_missing_or_failed_is_incomplete(bench):
    for lost in ([*BASE[:4], None],):
        answer = answered(bench(cycle_idt=lost), bench())
        assert said(answer) == ("incomplete", 3)
        assert answer.sentence == "1 of 15 runs missing: cycle+idt seed 4."
        again = "Run the bench again, lossbench bench suite.toml, which reuses what is finished, and make this report again."
        assert answer.advice == f"Do not merge yet. {again}"
        assert [cell["seed"] for cell in answer.failures] == [4]


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_seed_that_diverged_is_in_no_mean(bench, status):
    later = bench()
    cell = next(cell for cell in later["cells"] if (cell["combination"], cell["seed"]) == ("cycle+idt", 2))
    cell |= {"status": status, "error": "Step 3: not finite", "values": {}}
    answer = answered(later, bench())
    (row,) = [row for row in answer.change if row["combination"] == "cycle+idt"]
    assert (row["verdict"], row["reason"], len(row["values"])) == ("failed", "seed 2", 4)
    assert answer.sentence == "1 of 15 runs failed: cycle+idt seed 2."
    assert answer.advice.endswith("To see one fail: lossbench run --config suite.toml --plugins cycle,idt --seed 2.")
    assert said(answer) == ("incomplete", 3)


@pytest.mark.parametrize(
    ("path", "other", "reason"),
    [
        (("recipe",), "cut", "the recipe was cut, is cyclegan"),
        (("dataset", "fingerprint"), "g", "the images are others: shapes then, shapes now"),
        (("settings", "data.size"), 64, "data.size was 64, is 32"),
        (("settings", "train.steps"), 9, "train.steps was 9, is None"),
        (("metrics", "A2B/l1", "protocol"), "2", "A2B/l1 was measured by another protocol"),
        (("metrics", "A2B/l1", "weights"), {"a": "b"}, "A2B/l1 was measured by another protocol"),
        (("metrics", "A2B/l1", "reason"), "no weights", "no weights"),
    ],
)
def test_what_cannot_be_compared_is_said(bench, path, other, reason):
    before = copy.deepcopy(bench())
    *parents, last = path
    place = before
    for key in parents:
        place = place[key]
    place[last] = other
    answer = answered(bench(), before)
    assert said(answer) == ("incomparable", 4)
    assert (
        answer.sentence
        == f"{reason if '.' in reason.split()[0] else reason[0].upper() + reason[1:]} (cycle, cycle+idt, cycle+tv)."
    )


def test_a_baseline_without_the_metric_or_a_seed_is_incomparable(bench):
    before = bench()
    del before["metrics"]["A2B/l1"]
    assert answered(bench(), before).sentence == "The baseline has no A2B/l1 (cycle, cycle+idt, cycle+tv)."
    answer = answered(bench(), bench(cycle_idt=[*BASE[:4], None]))
    assert said(answer) == ("incomparable", 4)
    assert answer.sentence == (
        "Nothing is compared with cycle+idt of the baseline, which has no value of seed 4 (cycle+idt)."
    )


def test_another_machine_and_another_base_are_notes(bench):
    before = bench()
    before["environments"][0] |= {"cpu": "two", "packages": {"torch": "2.0"}, "commit": "of lossbench"}
    before["project"] = {"commit": "abc123", "dirty": False}
    notes = answered(bench(), before, merge_base="def456").notes
    assert notes == [
        "Another processor: two then, one now.", "torch was 2.0, is None.",
        "The baseline is of abc123, not of the merge base def456.",
    ]  # fmt: skip
    assert "merge base" not in " ".join(answered(bench(), before, merge_base="abc123ff").notes)


# Accepted ---------------------------------------------------------------------------------------------------------

ACCEPTED = """[[accepted]]
combination = "cycle+idt"
metric = "l1"
up_to = "60%"
reason = "sharper edges"
date = 2026-01-31
"""


def test_a_regression_that_is_accepted_is_shown_and_counts_for_nothing(bench, tmp_path):
    (tmp_path / "accepted.toml").write_text(ACCEPTED, "utf-8")
    accepted = read_accepted(tmp_path / "accepted.toml")
    answer = answered(bench(cycle_idt=WORSE), bench(), accepted=accepted)
    assert answer.exit_code == 0
    assert answer.sentence.count("Worse, and accepted: cycle+idt, A2B/l1 50 % worse") == 1
    assert answer.change[1]["accepted"] == "sharper edges (2026-01-31, up to 60%)"
    worse = answered(bench(cycle_idt=[2 * number for number in BASE]), bench(), accepted=accepted)
    assert said(worse) == ("regressed", 1)
    unneeded = answered(bench(), bench(), accepted=accepted)
    assert unneeded.notes == ["Accepted and not needed: cycle+idt, l1, up to 60%. Take it out of the file."]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('reason = "sharper edges"\n', "", "reason: field required"),
        ('"sharper edges"', '" "', "reason: value error, say why"),
        ("2026-01-31", '"soon"', "date: input should be a valid date"),
        ('"60%"', '"much"', "up_to: value error, `much` is not a margin"),
        ('metric = "l1"', 'metrik = "l1"', "metric: field required"),
        ("[[accepted]]", "[[accepted", "is not TOML"),
        ("[[accepted]]", "[[acepted]]", "holds acepted, and may hold nothing but"),
    ],
)
def test_an_acceptance_without_its_reason_or_date_is_refused(tmp_path, old, new, message):
    (tmp_path / "accepted.toml").write_text(ACCEPTED.replace(old, new), "utf-8")
    with pytest.raises(OptionError, match=message):
        read_accepted(tmp_path / "accepted.toml")


def test_a_file_of_acceptances_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(OptionError, match="no such file"):
        read_accepted(tmp_path / "none.toml")


# Exactly ----------------------------------------------------------------------------------------------------------


def test_exactly_compares_every_value_and_term_of_each_run(bench):
    before, later = bench(), bench()
    later["cells"][0]["terms"] = {"A2B/cycle": 1.0 + 1e-12}
    before["cells"][0]["terms"] = {"A2B/cycle": 1.0}
    assert said(answered(later, before, exact=1e-9)) == ("passed", 0)
    answer = answered(later, before, exact=1e-13)
    assert said(answer) == ("differs", 1)
    assert answer.sentence == "1 of 3 combinations differ, most of all cycle, A2B/cycle by 1e-10 %."
    del before["cells"][0]["terms"]["A2B/cycle"]
    alone = answered(later, before, exact=1.0)
    assert alone.sentence == "1 of 3 combinations differ, most of all cycle, A2B/cycle is in this alone."
    assert json.loads(json.dumps(alone.json(), allow_nan=False))["answer"]["word"] == "differs"
    assert said(answered(later, later, exact=0)) == ("unchanged", 0)


def test_exactly_what_differs_can_be_accepted_up_to_a_share(bench, tmp_path):
    before, later = bench(), bench()
    later["cells"][0]["terms"], before["cells"][0]["terms"] = {"A2B/cycle": 1.0}, {"A2B/cycle": 0.9}
    (tmp_path / "accepted.toml").write_text(ACCEPTED.replace("+idt", "").replace('"l1"', '"exactly"'), "utf-8")
    accepted = read_accepted(tmp_path / "accepted.toml")
    answer = answered(later, before, exact=1e-9, accepted=accepted)
    assert answer.exit_code == 0
    assert answer.sentence == "Other numbers, and accepted: cycle, A2B/cycle by 10 %."
    later["cells"][0]["terms"]["A2B/cycle"] = 9.0
    assert said(answered(later, before, exact=1e-9, accepted=accepted)) == ("differs", 1)


def test_exactly_leaves_costs_aside_and_needs_something_to_compare_with(bench):
    later = bench()
    later["cells"][0]["values"]["cost/seconds_per_step"] = 9.0
    assert said(answered(later, bench(), exact=1e-9)) == ("unchanged", 0)
    with pytest.raises(OptionError, match="Name it: --baseline FILE"):
        answered(later, exact=1e-9)


def test_exactly_a_run_that_is_lost_is_incomplete_and_other_settings_are_incomparable(bench):
    before = bench()
    assert said(answered(bench(cycle_idt=[*BASE[:4], None]), before, exact=1e-9)) == ("incomplete", 3)
    answer = answered(before, bench(cycle_idt=[*BASE[:4], None]), exact=1e-9)
    assert (*said(answer), answer.sentence) == ("incomparable", 4, "The baseline's seed 4 missing (cycle+idt).")
    before["settings"]["train.steps"] = 9
    assert said(answered(bench(), before, exact=1e-9)) == ("incomparable", 4)


# How often it is wrong --------------------------------------------------------------------------------------------

SIMULATIONS = 2000


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return a simulator: how often two reports of normal noise come to exit code 1."""
    made = Made(tmp_path_factory.mktemp("drawn"), "idt", combine="cycle", margin="2%", primary="l1")
    whole = reported(made.suite, results(made.add("cycle", BASE).cells))
    draw = random.Random(0)

    def report_of(mean, noise):
        numbers = [draw.gauss(mean, noise) for _ in range(5)]
        cells = [cell | {"values": {"A2B/l1": number}} for cell, number in zip(whole["cells"], numbers, strict=True)]
        return whole | {"cells": cells}

    def rate(mean, noise):
        pairs = ((report_of(mean, noise), report_of(1.0, noise)) for _ in range(SIMULATIONS))
        return sum(answered(later, before).exit_code == 1 for later, before in pairs) / SIMULATIONS

    return rate


def test_a_planted_regression_of_a_tenth_is_named_with_exit_code_1(drawn):
    assert drawn(1.10, 0.03) > 0.99


def test_noise_alone_passes_as_often_as_said(drawn):
    alarms = drawn(1.0, 0.03)
    assert 0.02 < alarms < 0.065  # of .05 2000 draws are within .0145, 99.7 % of the time


def test_a_value_of_another_unit_is_said_in_it(tmp_path):
    made = Made(tmp_path, "idt", combine="add-one", primary="kid")
    for combination, number in (("cycle", 0.0), ("cycle+idt", 0.02)):
        made.add(combination, [value(number + seed * 1e-6, unit="", shown=100.0) for seed in range(3)], metric="kid")
    answer = answered(made.report())
    assert "cycle+idt, A2B/kid" in answer.sentence
