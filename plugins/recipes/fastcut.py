"""FastCUT: CUT without its identity, ten times the weight on what is left, and mirrored sources (Park et al., 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lossbench import Recipe, hookimpl

from . import cut


def defaults(size: int) -> Mapping[str, Any]:
    """Return CUT's networks, and the options of PatchNCE."""
    return {**cut.defaults(size), "patchnce.weight": 10.0, "patchnce.identity": False, "patchnce.flip": True}


QUICK = {**cut.QUICK, "patchnce.weight": 2.0}  # with 10 the discriminator sees through everything for 800 steps


@hookimpl
def lossbench_recipe() -> Recipe:
    """FastCUT: a batch through the generator less than CUT."""
    return replace(cut.lossbench_recipe(), defaults=defaults, quick=QUICK)
