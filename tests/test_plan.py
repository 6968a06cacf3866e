"""Components follow from names: what reaches the same output goes back together."""

from __future__ import annotations

import pytest

from lossbench import LossSpec, Recipe
from lossbench.networks import patch_discriminator, resnet_generator
from lossbench.objective import Choice, compose
from lossbench.plan import plan
from lossbench.registry import Origin, Plugin
from lossbench.views import FUSED

BOTH = Recipe(networks=(resnet_generator, patch_discriminator))


def planned(terms, fuse=False):
    chosen = [Choice(Plugin(Origin(name, "python"), LossSpec(lambda term=term: term))) for name, term in terms.items()]
    objective = compose(chosen, None, BOTH, seed=0)
    return plan(objective.terms, BOTH, fuse)


def components(terms, fuse=False):
    return [[bound.label for bound in component] for component in planned(terms, fuse).components]


CYCLE = {"cycle": lambda real, rec: 0}
IDT = {"idt": lambda target, idt: 0}
TV = {"tv": lambda fake: 0}


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (CYCLE | IDT, [["A2B/cycle"], ["B2A/cycle"], ["A2B/idt"], ["B2A/idt"]]),
        (CYCLE | TV, [["A2B/cycle", "A2B/tv"], ["B2A/cycle", "B2A/tv"]]),
        (TV | IDT | CYCLE, [["A2B/tv", "A2B/cycle"], ["B2A/tv", "B2A/cycle"], ["A2B/idt"], ["B2A/idt"]]),
        (TV | {"both": lambda fake, other_fake: 0}, [["A2B/tv", "B2A/tv", "A2B/both", "B2A/both"]]),
        (IDT | {"net": lambda G: 0}, [["A2B/idt"], ["B2A/idt"], ["A2B/net"], ["B2A/net"]]),
        (IDT | TV | {"join": lambda fake, idt: 0}, [["A2B/idt", "A2B/tv", "A2B/join"], ["B2A/idt", "B2A/tv", "B2A/join"]]),
    ],
)  # fmt: skip
def test_terms_that_reach_one_output_are_one_component(terms, expected):
    assert components(terms) == expected


def test_fusing_joins_translation_and_identity():
    assert components(CYCLE | IDT, fuse=True) == [["A2B/cycle", "A2B/idt"], ["B2A/cycle", "B2A/idt"]]


def test_only_a_generator_asked_for_both_is_fused():
    assert all(table.keys().isdisjoint({"both"}) for table in planned(CYCLE, fuse=True).tables.values())
    assert all(set(FUSED) <= table.keys() for table in planned(CYCLE | IDT, fuse=True).tables.values())
