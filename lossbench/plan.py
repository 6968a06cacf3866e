"""How a step is computed, resolved once for each set of active terms: which components, fused or not."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from lossbench.hookspecs import Recipe
from lossbench.objective import Bound, table
from lossbench.views import AT_ONCE, CRITIC, FUSED, Table, closure


@dataclass(frozen=True)
class Plan:
    """Each component is one backward; gradients add up."""

    components: tuple[tuple[Bound, ...], ...]  # of the generators' terms
    critics: Mapping[str, tuple[Bound, ...]]  # direction -> its discriminator's terms
    tables: Mapping[str, Table]  # direction -> its views
    judging: Mapping[str, Table]  # direction -> its discriminator's


def plan(active: Sequence[Bound], recipe: Recipe, fuse: bool, at_once: Container[str] = ()) -> Plan:
    """Resolve a set of terms.

    With ``fuse``, a generator asked for both translation and identity gets one batch; the discriminators of the
    directions ``at_once`` get one of what is fake and what is real.
    """
    generator = [bound for bound in active if bound.side == "generator"]
    plain = table(recipe)
    tables: dict[str, Table] = dict.fromkeys(recipe.directions, plain)
    if fuse:
        asked = {node for bound in generator for node in reach(bound, tables)}
        for direction in recipe.directions:
            if {(direction, "fake"), (direction, "idt")} <= asked:
                tables[direction] = plain | FUSED
    critics = {d: tuple(b for b in active if b.side == "discriminator" and b.direction == d) for d in recipe.directions}
    critics = {direction: terms for direction, terms in critics.items() if terms}
    judging = dict.fromkeys(critics, CRITIC)
    for direction in [direction for direction in critics if direction in at_once]:
        if {"pred_fake", "pred_real"} <= {name for bound in critics[direction] for name in bound.needs}:
            judging[direction] = AT_ONCE
    return Plan(components(generator, tables), critics, tables, judging)


def reach(bound: Bound, tables: Mapping[str, Table]) -> set[tuple[str, str]]:
    """Return the generators' outputs that a term's gradient passes through, as (direction, view)."""
    found: set[tuple[str, str]] = set()
    for name in bound.needs:
        away = name.startswith("other_")
        direction = next((d for d in tables if (d != bound.direction) == away), bound.direction)
        views = tables[direction]
        for view in closure((name.removeprefix("other_"),), views):
            if view in views and {"G", "G_inverse"} & closure((view,), views):
                found.add((direction, view))
    return found


def components(terms: Sequence[Bound], tables: Mapping[str, Table]) -> tuple[tuple[Bound, ...], ...]:
    """Put terms that reach the same output together, in order, and the components in order of their first term."""
    groups: list[tuple[set[tuple[str, str]], list[Bound]]] = []
    for bound in terms:
        outputs, members = reach(bound, tables), [bound]
        for group in [group for group in groups if group[0] & outputs]:
            groups.remove(group)
            outputs, members = outputs | group[0], members + group[1]
        groups.append((outputs, sorted(members, key=terms.index)))
    return tuple(tuple(members) for _, members in sorted(groups, key=lambda group: terms.index(group[1][0])))
