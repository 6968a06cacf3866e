"""What a shell can complete: names of plugins, keys of options. Nothing here imports torch or a plugin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from lossbench.registry import HOOKS, listing


def losses(incomplete: str) -> list[str]:
    """Complete the last of ``cycle,idt,ci``."""
    return _last(incomplete, listing("losses"))


def observers(incomplete: str) -> list[str]:
    """Complete the last of ``csv,ten``."""
    return _last(incomplete, listing("observers"))


def metrics(incomplete: str) -> list[str]:
    """Complete the last of ``fid,ki``."""
    return _last(incomplete, listing("metrics"))


def recipes(incomplete: str) -> list[str]:
    """Complete a recipe's name."""
    return _last(incomplete, listing("recipes"))


def weights(incomplete: str) -> list[str]:
    """Complete the name of pretrained weights."""
    return [name for name in listing("weights") if name.startswith(incomplete)]


def plugins(incomplete: str) -> list[str]:
    """Complete any plugin's name."""
    return _last(incomplete, [name for group in HOOKS for name in listing(group)])


def keys(incomplete: str) -> list[str]:
    """Complete the key of ``KEY=VALUE``."""
    return [f"{key}=" for key in _keys() if key.startswith(incomplete)]


def _keys() -> Iterator[str]:
    from lossbench.catalogue import keywords, option_names
    from lossbench.settings import SECTIONS

    for name, section in SECTIONS.items():
        yield from (f"{name}.{field}" for field in section.model_fields)
    for path in (Path(__file__).parent / "networks").glob("*ators.py"):
        yield from (f"model.{option}" for option in keywords(path, "resnet_generator", "patch_discriminator"))
    for group in ("losses", "observers"):
        for name, (entry, *_) in listing(group).items():
            weight = ["weight"] if group == "losses" else []
            yield from (f"{name}.{option}" for option in [*weight, *option_names(entry)])


def _last(incomplete: str, names: Iterable[str]) -> list[str]:
    *before, last = incomplete.split(",")
    return [",".join([*before, name]) for name in names if name.startswith(last) and name not in before]
