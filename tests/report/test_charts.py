"""Charts: where things lie, worked out by hand, and that nothing a stranger named becomes markup."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from lossbench.report.charts import (
    Interval,
    Point,
    Scale,
    areas,
    axis,
    by_loss,
    decades,
    element,
    lines,
    logarithmic,
    loss_of,
    on_front,
    portions,
    scatter,
    strip,
)

EVIL = '<script>alert("1")</script> & more'


def found(svg, name, **attributes):
    """Return the elements of a picture, which has to be well-formed."""
    tree = ElementTree.fromstring(str(svg))
    return [
        each for each in tree.iter(name) if all(each.get(key.rstrip("_")) == value for key, value in attributes.items())
    ]


def test_a_scale_leaves_six_percent_of_its_range_on_both_sides():
    scale = Scale.of([0.0, None, 10.0])
    assert (scale.low, scale.high) == pytest.approx((-0.6, 10.6))
    assert scale.at(5.0) == pytest.approx(50.0)
    assert scale.has(10.5)
    assert not scale.has(10.7)


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0], [0.0], [], [None]])
def test_a_scale_of_one_value_or_none_has_a_width(values):
    scale = Scale.of(values)
    assert scale.high > scale.low
    assert scale.ticks()


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.6, 10.6, [0, 2, 4, 6, 8, 10]),
        (0.021, 0.029, [0.022, 0.024, 0.026, 0.028]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert Scale(low, high).ticks() == pytest.approx(ticks)


def test_an_axis_shows_what_people_know():
    assert [each.text for each in found(axis(Scale(0.0, 0.05), 100), "text")] == ["0", "1", "2", "3", "4", "5"]


def test_a_strip_has_a_dot_for_each_seed_its_mean_and_what_lies_on_it():
    svg = strip(
        "what it says", Scale(0.0, 10.0), [2.0, 4.0], Interval(3.0, 1.0, 5.0), {"copy": 7.5, "floor": 99.0, "no": None}
    )
    assert found(svg, "title")[0].text == "what it says"
    assert [dot.get("cx") for dot in found(svg, "circle", class_="seed")] == ["20.00%", "40.00%"]
    assert found(svg, "line", class_="mean")[0].get("x1") == "30.00%"
    bar = found(svg, "line", class_="interval")[0]
    assert (bar.get("x1"), bar.get("x2")) == ("10.00%", "50.00%")
    assert found(svg, "line", class_="copy")[0].get("x1") == "75.00%"
    assert not found(svg, "line", class_="floor")
    assert not found(svg, "line", class_="no")


def test_a_strip_without_an_interval_has_none():
    svg = strip("one seed", Scale(0.0, 10.0), [2.0], Interval(2.0, None, None), {})
    assert not found(svg, "line", class_="interval")
    assert len(found(svg, "line", class_="mean")) == 1


@pytest.mark.parametrize(
    ("better", "front"), [("lower", [True, True, False, False]), ("higher", [True, False, True, True])]
)
def test_the_front_is_what_nothing_beats_in_both(better, front):
    assert on_front([(1, 5), (2, 3), (3, 6), (4, 7)], better) == front


def test_equal_points_do_not_beat_each_other():
    assert on_front([(1, 1), (1, 1), (1, 2)], "lower") == [True, True, False]


def test_a_scatter_numbers_points_and_joins_the_front():
    points = [Point("a", 1.0, 5.0, True), Point("b", 3.0, 6.0, False), Point("c", 2.0, 3.0, True)]
    svg = scatter("says it", points, (1.0, 1.0))
    assert [each.text for each in found(svg, "title")] == ["says it", "1: a", "2: b", "3: c"]
    assert len(found(svg, "g", class_="point on-front")) == 2
    (line,) = found(svg, "line", class_="front")
    assert float(line.get("x1")[:-1]) < float(line.get("x2")[:-1])
    assert float(line.get("y1")[:-1]) < float(line.get("y2")[:-1])  # 5 stands above 3


def test_a_label_knows_its_loss():
    assert [loss_of(label) for label in ("A2B/cycle", "A2B/gan:D", "B2A/style/relu3_3")] == ["cycle", "gan", "style"]


def test_shares_are_of_sizes_over_parts_and_directions():
    terms = {"A2B/gan": [-1.0, 1.0], "B2A/gan": [2.0, None], "A2B/tv": [1.0, 3.0]}
    assert by_loss(terms) == {"gan": [3.0, 1.0], "tv": [1.0, 3.0]}
    assert portions(by_loss(terms)) == {"gan": [0.75, 0.25], "tv": [0.25, 0.75]}
    assert portions({"gan": [0.0]}) == {"gan": [0.0]}


def test_areas_lie_on_each_other_the_first_at_the_bottom():
    svg = areas("shares", [1, 2], {"gan": [0.75, 0.25], "tv": [0.25, 0.75]}, ["gan", "tv"])
    below, above = found(svg, "path", class_="area c0")[0], found(svg, "path", class_="area c1")[0]
    assert below.get("d") == "M0.0 37.5L320.0 112.5V150H0.0Z"
    assert above.get("d") == "M0.0 0.0L320.0 0.0V150H0.0Z"
    assert [each.get("class") for each in found(svg, "path")] == ["area c1", "area c0"]  # what reaches lower is on top


def test_lines_break_where_a_value_is_missing_and_other_directions_are_dashed():
    svg = lines("terms", [1, 2, 3], {"A2B/gan": [1.0, None, 2.0], "B2A/gan": [1.0, 1.5, 2.0]}, ["gan"])
    own, other = found(svg, "path")
    assert own.get("d").count("M") == 2
    assert "L" not in own.get("d")
    assert (own.get("class"), other.get("class")) == ("line c0", "line c0 dashed")


@pytest.mark.parametrize(
    ("values", "powers"), [([1, 11], True), ([1, 9], False), ([0, 100], False), ([-1, 100], False), ([], False)]
)
def test_powers_of_ten_are_for_values_above_zero_far_apart(values, powers):
    assert logarithmic(values) is powers


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.06, 1.2, ["0.1", "0.2", "0.5", "1"]),
        (0.0005, 3, ["0.001", "0.01", "0.1", "1"]),
        (1e-9, 1, ["1e-09", "1e-07", "1e-05", "0.001", "0.1"]),
    ],
)
def test_decades_are_marked_by_round_values(low, high, said):
    assert [each for _, each in decades(Scale(math.log10(low) - 1e-9, math.log10(high) + 1e-9))] == said


def test_what_strangers_name_is_text():
    for svg in (
        element("text", {"class": EVIL}, EVIL),
        strip(EVIL, Scale(0.0, 1.0), [0.5], None, {}),
        scatter(EVIL, [Point(EVIL, 1.0, 1.0, True)], (1.0, 1.0)),
        areas(EVIL, [1], {EVIL: [1.0]}, [EVIL]),
        lines(EVIL, [1, 2], {f"A2B/{EVIL}": [1.0, 2.0]}, [loss_of(f"A2B/{EVIL}")]),
    ):
        assert "<script" not in svg
        assert "&lt;script&gt;" in svg
        assert not found(svg, "script")
