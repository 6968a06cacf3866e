"""Files from elsewhere: from an address, or from the package index that pip is configured with. No code of theirs runs.

The index is read as its standards say (PEP 503, PEP 691); what comes is a file with the sha256 that it should have.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPException
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import Request, url2pathname, urlopen

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from lossbench.errors import WeightsError
from lossbench.files import sha256

if TYPE_CHECKING:
    from lossbench.hookspecs import Download

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
class Indexes:
    """Where pip looks for distributions."""

    pages: tuple[str, ...]  # addresses, or folders
    cert: str | None
    timeout: float  # s


def from_address(each: Download, address: str, report: Report, folder: Path, indexes: Indexes | None = None) -> Path:
    """Return a download as a file that has the sha256 it should."""
    target = folder / "download"
    with _open(address, indexes) as answer, target.open("wb") as aside:
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else 0
        if copy(answer, aside, report, total) < total:
            raise WeightsError(f"was cut short before its {total} bytes")
    if not (digest := sha256(target)).startswith(each.sha256):
        raise WeightsError(f"its sha256 is {digest}, and should begin with {apart(each.sha256, digest)}")
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


def from_index(each: Download, report: Report, folder: Path) -> Path:
    """Return a distribution's archive from the first place of pip's that has the right one."""
    indexes, failed = _indexes(each), list[str]()
    for page in indexes.pages:
        try:
            links = _links(each, page, indexes)
        except FAILURES as error:
            failed.append(f"{shown(page)}: {said(error)}")
            continue
        for link in links:
            try:
                return from_address(each, link, report, folder, indexes)
            except FAILURES as error:
                failed.append(f"{shown(link)}: {said(error)}")
    raise WeightsError(", ".join(failed) or "pip is told to look nowhere")


def _indexes(each: Download) -> Indexes:
    """Return where pip, as it is configured here, would look for a distribution."""
    asked = subprocess.run([sys.executable, "-P", "-c", ASK_PIP], capture_output=True, text=True)
    try:
        links, indexes, cert, timeout = json.loads(asked.stdout)
    except ValueError:
        why = (asked.stderr.split("\n")[-2:] or [""])[0]
        raise WeightsError(f"pip does not say where its index is: {why}. Mend pip: python -m ensurepip") from None
    name = canonicalize_name(each.where.partition("==")[0])
    return Indexes((*links, *(f"{index.rstrip('/')}/{name}/" for index in indexes)), cert, timeout or TIMEOUT)


def _links(each: Download, page: str, indexes: Indexes) -> list[str]:
    """Return the addresses on a page that could be the download."""
    try:
        links = _listed(page, indexes)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise WeightsError("is no page of a package index") from None
    fitting = [link for link in links if is_of(last(link), each.where)]
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


def shown(address: str) -> str:
    """Return an address without a name, a password or a hash."""
    return re.sub("//[^/]*@", "//", address).partition("#")[0]


def said(error: BaseException) -> str:
    """Return an error as part of a line."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    cause = getattr(error, "reason", error)
    return " ".join(str(getattr(cause, "strerror", None) or cause or type(error).__name__).split())


def apart(wanted: str, found: str) -> str:
    """Return the beginning of a hash, as far as it takes to see that it is not the other."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(wanted, found, strict=False)))
    return wanted[: max(STAMP, same + 1)]


def copy(file: IO[bytes], aside: IO[bytes], report: Report = lambda done, total: None, total: int = 0) -> int:
    """Copy no more than ``LARGEST`` bytes; return how many there were."""
    done = 0
    while chunk := file.read(CHUNK):
        done += len(chunk)
        if done > LARGEST:
            raise WeightsError(f"is larger than {LARGEST} bytes")
        aside.write(chunk)
        report(done, total)
    return done


def last(address: str) -> str:
    """Return the name of the file at an address."""
    return unquote(urlsplit(address).path).rpartition("/")[2]


def is_of(name: str, where: str) -> bool:
    """Return whether a file's name says that it is an archive of ``DISTRIBUTION==VERSION``."""
    distribution, _, number = where.partition("==")
    parse: Any = parse_wheel_filename if name.endswith(".whl") else parse_sdist_filename
    try:
        return bool(parse(name)[:2] == (canonicalize_name(distribution), Version(number)))
    except ValueError:  # a name of something else
        return False
