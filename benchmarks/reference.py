"""What the docs say of lossbench out of lossbench itself: names, hooks, options, commands, codes, checks, losses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer.main
from pydantic_core import PydanticUndefined

from lossbench import errors, hookspecs, schedules
from lossbench.catalogue import entries, entry_of, type_name
from lossbench.cli import INTERRUPTED, app
from lossbench.settings import SECTIONS
from lossbench.testing import MEANING as CHECKS
from lossbench.testing import MEND
from lossbench.testing.remarks import REMARKS
from lossbench.views import CRITIC_NAMES, MEANING

ROOT = Path(__file__).parent.parent


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first of them the head, as a table."""
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body))


def names() -> str:
    """Return what a term may ask for, and on which side."""
    rows = [["name", "what it is", "discriminator's side"]]
    rows += [[f"`{name}`", meaning, "yes" if name in CRITIC_NAMES else ""] for name, meaning in MEANING.items()]
    return markdown(rows)


def hooks() -> str:
    """Return every hook with its signature."""
    specs = {name: each for name, each in vars(hookspecs).items() if hasattr(each, "lossbench_spec")}
    rows = [["hook", "what it is for"]]
    for name, each in specs.items():
        parameters = ", ".join(inspect.signature(each).parameters)
        rows.append([f"`{name}({parameters})`", _sentence(each)])
    return markdown(rows)


def settings() -> str:
    """Return every key of a run that is not a plugin's."""
    rows = [["key", "type", "default", "meaning"]]
    for name, section in SECTIONS.items():
        for key, field in section.model_fields.items():
            default = "" if field.default in (None, PydanticUndefined) else f"`{field.default}`"
            rows.append([f"`{name}.{key}`", type_name(field.annotation), default, field.description or ""])
    return markdown([*rows, *_options("cyclegan", "of the recipe's networks")])


def plugin_options() -> str:
    """Return every option of the plugins that are built in."""
    rows = [["key", "type", "default"]]
    for entry in _built_in("losses", "observers"):
        rows += [row[:3] for row in _options(entry.name, "")]
    return markdown(rows)


def commands() -> str:
    """Return every command with its flags, as `--help` has them."""
    parts = []
    for name, command in _commands(typer.main.get_command(app)):
        rows = [["flag", "default", "meaning"]]
        for option in command.params:
            words = option.opts if option.opts[0].startswith("-") else [option.name.upper()]
            default = "" if option.default in (None, False) or callable(option.default) else f"`{option.default}`"
            rows.append([", ".join(f"`{word}`" for word in words), default, getattr(option, "help", "") or ""])
        table = f"\n\n{markdown(rows)}" if command.params else ""
        parts.append(f"### lossbench {name}\n\n{command.help}{table}")
    return "\n\n".join(parts)


def exit_codes() -> str:
    """Return every exit code."""
    classes = [each for each in vars(errors).values() if inspect.isclass(each)]
    kinds = [each for each in classes if issubclass(each, errors.LossbenchError)]
    said = {
        0: "Done.",
        **{kind.exit_code: _sentence(kind) for kind in reversed(kinds)},
        INTERRUPTED: "Interrupted by ctrl-C; what was done is saved.",
        128 + 15: "The same, by SIGTERM; 128 and the signal's number for any other.",
    }
    return markdown([["exit code", "meaning"], *([str(code), said[code]] for code in sorted(said))])


def checks() -> str:
    """Return every check, and how to mend what it finds."""
    rows = [[f"`{name}`", holds, MEND.get(name, "")] for name, holds in CHECKS.items()]
    return markdown([["check", "what holds", "if not"], *rows])


def remarks() -> str:
    """Return every remark."""
    return markdown([["remark", "what it tells"], *([f"`{name}`", _sentence(each)] for name, each in REMARKS.items())])


def grammar() -> str:
    """Return the grammar of schedules, as its module has it."""
    _, examples, *rest = inspect.cleandoc(schedules.__doc__ or "").split("\n\n")
    told = [" ".join(part.split()).replace("``", "`") for part in rest]
    return "\n\n".join([f"```text\n{inspect.cleandoc(examples)}\n```", *told])


def gallery() -> str:
    """Return a section for each loss that is built in, from its docstring."""
    parts = []
    for entry in _built_in("losses"):
        _, details = entry_of(entry.name)
        asks = ", ".join(f"`{name}`" for name in details.asks)
        known = [option for option in details.options if option.default is not None]
        options = ", ".join(f"`{option.key}={option.default}`" for option in known)
        picture = f"![Where {entry.name} pushes](images/push-{entry.name}.png)"
        told = [f"## {entry.name}", entry.sentence, details.text, f"Asks for {asks}. Options: {options}.", picture]
        parts.append("\n\n".join(told))
    return "\n\n".join(parts)


def _built_in(*kinds: str) -> Iterator[Any]:
    return (entry for entry in entries() if entry.distribution == "lossbench" and entry.kind in kinds)


def _options(name: str, meaning: str) -> list[list[str]]:
    _, details = entry_of(name)
    return [
        [f"`{option.key}`", option.type, "" if option.default is None else f"`{option.default}`", meaning]
        for option in details.options
    ]


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield before + name, command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")


def _sentence(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split()).replace("``", "`")


REFERENCE: dict[str, Callable[[], str]] = {
    each.__name__: each
    for each in (names, hooks, settings, plugin_options, commands, exit_codes, checks, remarks, grammar, gallery)
}
