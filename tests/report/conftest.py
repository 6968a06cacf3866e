"""What tests of reports share: benches that were never run."""

from __future__ import annotations

from itertools import count

import pytest

from tests.bench.test_results import BASE, Made


@pytest.fixture
def three(tmp_path):
    """Return a maker of benches: values by combination, by themselves the usual ones; None leaves a combination out."""
    numbers = count()

    def make(**others):
        made = Made(tmp_path / str(next(numbers)), "idt,tv", combine="add-one", primary="l1", margin="5%")
        for combination, values in {"cycle": BASE, "cycle_idt": BASE, "cycle_tv": BASE, **others}.items():
            if values is not None:
                made.add(combination.replace("_", "+"), values)
        return made

    return make
