"""What a sound loss does, one function a check.

A docstring's first line is what is checked; the rest says what a failure means and how to mend it, and is shown with
it. A check returns nothing, or raises ``Failed`` with what was seen, or ``Skipped`` with why it cannot tell.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from lossbench.testing.checks.manners import frozen, global_random, inputs, weight_zero
from lossbench.testing.checks.memory import options, parameters, state, steps
from lossbench.testing.checks.precision import bf16, device, dtype, gradcheck, repeatable
from lossbench.testing.checks.values import batch, constant, gradient, identical, opposite, scalar, sizes
from lossbench.testing.probe import Probe

CHECKS: dict[str, Callable[[Probe], None]] = {
    check.__name__: check
    for check in (
        options, scalar, gradient, constant, identical, opposite, batch, sizes, inputs, global_random, frozen,
        weight_zero, repeatable, dtype, gradcheck, bf16, device, parameters, state, steps,
    )
}  # fmt: skip
NEEDS = {  # what would only fail again
    "gradcheck": ("gradient", "repeatable", "dtype"),
    "parameters": ("gradient",),
    "state": ("repeatable",),
    "steps": ("gradient", "inputs"),
}
FIRST = "names"  # passed where a probe can be made at all
_DOCS = {name: (inspect.getdoc(check) or "").partition("\n\n") for name, check in CHECKS.items()}
MEANING = {  # what is checked
    FIRST: "Asks only for names that exist, and is built as the contract says.",
    **{name: meaning for name, (meaning, _, _) in _DOCS.items()},
}
MEND = {  # what a failure means, and how to mend it
    FIRST: "It says which name, option or signature cannot be, and what can.",
    **{name: " ".join(mend.split()) for name, (_, _, mend) in _DOCS.items()},
}
