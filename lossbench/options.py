"""Options are the keyword-only parameters of a function: declared once, validated, shown, reachable by name."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic

from lossbench.errors import OptionError, PluginError, near_miss

M = TypeVar("M", bound=pydantic.BaseModel)
STRICT = pydantic.ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False, validate_default=False)
PLAIN = (bool, int, float, str, Path, type(None))


def declared(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the options a function, or a class, declares: its keyword-only parameters."""
    parameters = inspect.signature(function).parameters
    return {name: _evaluated(each, function) for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY}


def only(function: Callable[..., Any], who: str) -> None:
    """Refuse a builder with parameters that nobody could set.

    Raises:
        PluginError: naming the first.
    """
    for each in inspect.signature(function).parameters.values():
        if each.kind is not each.KEYWORD_ONLY and getattr(function, "__name__", "") != "<lambda>":
            raise PluginError(
                f"{who}: a builder has keyword-only options and nothing else; mend `{each}`. Write a star before it: "
                f"`def {getattr(function, '__name__', 'builder')}(*, {each})`."
            )


def model(function: Callable[..., Any], who: str) -> type[pydantic.BaseModel]:
    """Return a pydantic model of a function's options."""
    fields: dict[str, Any] = {}
    for name, parameter in declared(function).items():
        kind = parameter.annotation
        if parameter.default is parameter.empty or kind is parameter.empty or name == "weight":
            raise PluginError(
                f"{who}: option `{name}` needs a type and a default, and a name other than `weight`; "
                "write it as `def builder(*, power: int = 1)`."
            )
        if Callable in {each for one in (kind, *typing.get_args(kind)) for each in (one, typing.get_origin(one))}:
            kind = pydantic.ImportString | None  # `package.module:function` on the command line
        elif strange := [each for each in _types(kind) if each not in PLAIN]:
            raise PluginError(
                f"{who}: option `{name}` is of type {strange[0].__name__}, which no TOML file can hold. Options are "
                "bool, int, float, str, Literal, tuple, Path or Callable."
            )
        elif Path in _types(kind):
            kind = Annotated[kind, pydantic.AfterValidator(_from_anywhere)]
        if tuple in (kind, typing.get_origin(kind), *map(typing.get_origin, typing.get_args(kind))):
            kind = Annotated[kind, pydantic.BeforeValidator(listed)]
        fields[name] = (kind, parameter.default)
    return pydantic.create_model("Options", __config__=STRICT, **fields)


def resolve(
    function: Callable[..., Any], given: Mapping[str, Any], who: str, also: Sequence[str] = ()
) -> dict[str, Any]:
    """Return every option of a function, those given validated, the rest at their defaults.

    Raises:
        OptionError: naming the option, the value, and every option there is.
    """
    return validated(model(function, who), given, who, also).model_dump(warnings=False)


def validated(kind: type[M], given: Mapping[str, Any], who: str, also: Sequence[str] = ()) -> M:
    """Return ``kind(**given)``, or raise one line that says which option cannot be so, and which there are."""
    try:
        return kind.model_validate({key: _number(kind, key, value) for key, value in given.items()})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        options = ", ".join([f"{known}={field.default!r}" for known, field in kind.model_fields.items()] + list(also))
        if first["type"] == "extra_forbidden":
            known = [*kind.model_fields, *(option.partition("=")[0] for option in also)]
            problem = f"{who} has no option `{name}`.{near_miss(name, known)}"
        else:
            how = " Write a list: [1,2]." if first["type"] == "tuple_type" else ""
            problem = f"{who}.{name}={given[name]!r}: {first['msg'][0].lower()}{first['msg'][1:]}.{how}"
        raise OptionError(f"{problem} Options of {who}: {options or 'none'}.") from None


def _evaluated(option: inspect.Parameter, function: Callable[..., Any]) -> inspect.Parameter:
    """Return an option with its type, where that was written down as text; those of others need not be known."""
    if not isinstance(option.annotation, str):
        return option
    made: Any = function.__init__ if inspect.isclass(function) else getattr(function, "func", function)
    try:
        return option.replace(annotation=eval(option.annotation, getattr(made, "__globals__", {})))
    except NameError as error:
        raise PluginError(
            f"Option `{option.name}`: its type cannot be read, {error}. Import it, and not under TYPE_CHECKING."
        ) from error


def listed(value: object) -> object:
    """Return ``relu2_2,relu3_3`` as a list, since a shell wants lists of text in quotes within quotes."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _from_anywhere(path: Path | None) -> Path | None:
    """Return a path that means the same from any folder, so that config.toml repeats the run from anywhere."""
    return path.resolve() if path and path.exists() else path


def _types(kind: Any) -> list[type]:
    """Return the types that a hint is made of: those in ``tuple[int, ...]``, ``int | None`` and the like."""
    if typing.get_origin(kind) is typing.Literal:
        return [type(value) for value in typing.get_args(kind)]
    inner = typing.get_args(kind)
    if isinstance(kind, type) and not inner and kind not in (tuple, list):
        return [kind]
    return [each for part in inner for each in _types(part)]


def _number(kind: type[pydantic.BaseModel], key: str, value: Any) -> Any:
    """Return the value; true and false, which Python counts as numbers, as what no number can be made of."""
    wanted = kind.model_fields[key].annotation if key in kind.model_fields else None
    kinds = {wanted, *typing.get_args(wanted)}
    return str(value).lower() if isinstance(value, bool) and kinds & {int, float} and bool not in kinds else value
