"""What several commands share: the words of a command line as settings and lists, an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from lossbench import completion
from lossbench.errors import OptionError

INTERRUPTED = 130  # by ctrl-C, as shells count
SET_HELP = "Any option, such as tv.power=2 or cycle.weight.A2B=5; again for more."

# Flags of whatever trains
Plugins = Annotated[
    list[str] | None,
    Option(help="Losses in order, by name or file: cycle,idt,./tv.py.", autocompletion=completion.losses),
]
Data = Annotated[
    str | None, Option(help="A folder with trainA trainB testA testB, or with train test of pairs; or a built-in set.")
]
RecipeName = Annotated[
    str | None, Option("--recipe", help="What is trained. (default: cyclegan)", autocompletion=completion.recipes)
]
Preset = Annotated[str | None, Option(help="Weights as in junyanz or mmagic.")]
Size = Annotated[int | None, Option(help="Image side in px.")]
Batch = Annotated[int | None, Option(help="Images of each domain per step.")]
Device = Annotated[str | None, Option(help="cpu, cuda, cuda:1, mps.")]
Precision = Annotated[str | None, Option(help="Of the networks: float32, tf32, float64, bf16.")]
Strategy = Annotated[str | None, Option(help="Least memory or fewest kernels: auto, component, fused.")]
Assign = Annotated[
    list[str] | None, Option("--set", metavar="KEY=VALUE", help=SET_HELP, autocompletion=completion.keys)
]
ConfigFile = Annotated[Path | None, Option(help="A TOML file of options.")]


def settings_of(flags: Mapping[str, Any], assign: Iterable[str] | None) -> dict[str, Any]:
    """Return settings by dotted key, those of flags and of ``--set``."""
    from lossbench.config import parse_assignment

    found = {key: value for key, value in flags.items() if value is not None}
    assigned = dict(map(parse_assignment, assign or []))
    if twice := [key for key in assigned if key in found and found[key] != assigned[key]]:
        raise OptionError(f"{twice[0]} is {found[twice[0]]} by its flag and {assigned[twice[0]]} by --set. Give one.")
    return found | assigned


def words_of(given: list[str] | None) -> list[str] | None:
    """Return the names in ``--metrics fid,kid --metrics lpips``."""
    return None if given is None else [word.strip() for some in given for word in some.split(",") if word.strip()]
