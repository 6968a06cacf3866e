"""Is every file an image or refused with a reason, whatever is in it? Image files damaged at random, and read.

    python benchmarks/fuzz.py                      # 10 000 files, into benchmarks/results/fuzz.json
    python benchmarks/fuzz.py --files 300 --out try.json

Files are read in a child with 2 GB to spare, so that a decoder that crashes, hangs or eats memory is found and named.
What is found is kept beside the result; the same seed gives the same files with the same version of Pillow.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import resource
import selectors
import struct
import subprocess
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image as Pillow
from PIL import ImageCms

from lossbench.data.images import LEAST_SIDE, look, read_images
from lossbench.record import environment

MEMORY = 2 << 30  # bytes a reader may ask for
PATIENCE = 10  # s for a file
ORIENTATION, TURNED = 0x0112, 6
SIZES = ((4, 5), (17, 23), (40, 33))  # px
INTEGERS = (0, 1, 2, 3, 4, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def main() -> None:
    """Read as many files as asked, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "fuzz.json")
    parser.add_argument("--reader", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.reader:
        _read_on_request()
        return
    result = fuzz(asked.files, asked.seed, asked.out.with_name(f"{asked.out.stem}-findings"))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"{result['files']} files: {result['read']} read, {result['refused']} refused")
    for finding in result["findings"]:
        print(f"{finding['file']}: {finding['what']}")
    sys.exit(bool(result["findings"]))


def fuzz(count: int, seed: int, keep: Path) -> dict[str, Any]:
    """Damage and read so many files; those that are neither read nor refused are put into ``keep``."""
    read, reasons, findings = 0, Counter[str](), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder, Reader() as reader:
        for index, (name, content, done) in enumerate(damaged(count, seed)):
            path = Path(folder) / f"{index:05}-{name}"
            path.write_bytes(content)
            outcome = reader.read(path)
            if "found" in outcome:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / path.name).write_bytes(content)
                findings.append({"file": path.name, "done": done, "what": outcome["found"]})
            elif "reason" in outcome:
                reasons[kind(outcome["reason"])] += 1
            else:
                read += 1
            path.unlink()
    counts = {"files": count, "read": read, "refused": reasons.total(), "reasons": dict(reasons.most_common())}
    facts = environment("cpu", 1)
    return {"schema": 1, "what": "fuzz", "seed": seed, **counts, "findings": findings, "environment": facts}


def kind(reason: str) -> str:
    """Return a reason without what differs from file to file."""
    return re.sub(r"^(damaged \(\w+).*", r"\1)", re.sub(r"\d+", "N", reason))


# Files ----------------------------------------------------------------------------------------------------------------


def whole() -> dict[str, bytes]:
    """Return undamaged files by name: every format, mode, way to compress; turned, with text, of several frames."""
    files: dict[str, bytes] = {}
    numbers = np.random.default_rng(0)
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    icc = ImageCms.ImageCmsProfile(profiles[0]).tobytes()
    exif = Pillow.Exif()
    exif[ORIENTATION] = TURNED

    def add(suffix: str, image: Pillow.Image, **options: Any) -> None:
        buffer = io.BytesIO()
        words = [image.mode.replace(";", ""), f"{image.width}x{image.height}", *options]
        words += [str(options["compression"])] if "compression" in options else []
        form = options.pop("format", Pillow.registered_extensions()[f".{suffix}"])
        if options.get("save_all"):
            options["append_images"] = [image.rotate(180)]
        image.copy().save(buffer, form, **options)  # a copy, because saving leaves marks on an image
        files["-".join(words) + f".{suffix}"] = buffer.getvalue()

    for width, height in SIZES:
        smooth = np.add.outer(np.arange(height) * 5, np.arange(width) * 3)[..., None] + np.array([0, 60, 120, 180])
        rgba = Pillow.fromarray((smooth + numbers.integers(0, 30, smooth.shape)).astype(np.uint8))
        rgb, grey = rgba.convert("RGB"), rgba.convert("L")
        palette, deep = rgb.quantize(16), Pillow.fromarray(smooth[..., 0].astype(np.uint16) * 200)
        modes = (grey, grey.convert("1"), rgba.convert("LA"), palette, rgb, rgba, deep)
        for image in modes:
            add("png", image)
            add("png", image, exif=exif)
        add("png", rgba.quantize(16))
        add("png", rgb, transparency=(0, 60, 120), compress_level=0)
        add("png", rgb, icc_profile=icc[:24] + bytes(12) + icc[36:])  # less the date
        add("png", rgb, save_all=True)
        for image in (grey, rgb, rgb.convert("CMYK")):
            add("jpg", image)
            add("jpg", image, progressive=True, exif=exif)
        add("jpg", rgb, restart_marker_rows=1, subsampling=0)
        add("jpg", rgb, format="MPO", save_all=True)
        for image in (grey, rgb, rgba):
            add("webp", image)
            add("webp", image, lossless=True, exif=exif)
        add("webp", rgb, save_all=True)
        for image in (grey, grey.convert("1"), palette, rgb, rgba):
            add("bmp", image)
        lab = ImageCms.profileToProfile(rgb, *profiles, outputMode="LAB")
        assert lab is not None
        del lab.info["icc_profile"]  # which has the date
        for image in (*modes, rgb.convert("CMYK"), lab, grey.convert("I"), grey.convert("F")):
            add("tif", image)
            add("tif", image, exif=exif)
        for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
            add("tif", rgb, compression=compression)
            add("tif", grey, compression=compression, exif=exif)
        add("tif", grey.convert("1"), compression="group4")
        add("tif", rgb, save_all=True)
        add("gif", rgb)
    return files


def damaged(count: int, seed: int) -> Iterator[tuple[str, bytes, list[str]]]:
    """Give files: a name, the content, and what was done to it."""
    files = whole()
    names = sorted(files)
    draw = random.Random(seed)
    for _ in range(count):
        name, content, done = draw.choice(names), b"", list[str]()
        content = files[name]
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            done.append(draw.choice(sorted(DAMAGE)))
            content = DAMAGE[done[-1]](draw, content, files[draw.choice(names)])
        if name.endswith(".png") and draw.random() < 0.5:  # else a checksum ends most of it early
            content = _checked(content)
            done.append("checksums")
        yield name, content, done


def _bits(draw: random.Random, content: bytes, other: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(min(draw.randint(1, 8), len(changed))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _run(draw: random.Random, content: bytes, other: bytes) -> bytes:
    start, length = draw.randint(0, len(content)), draw.randint(1, 64)
    fill = draw.choice((b"\0" * length, b"\xff" * length, draw.randbytes(length)))
    return (content[:start] + fill + content[start + length :])[: len(content)]


def _cut(draw: random.Random, content: bytes, other: bytes) -> bytes:
    return content[: draw.randint(0, len(content))]


def _removed(draw: random.Random, content: bytes, other: bytes) -> bytes:
    start = draw.randint(0, len(content))
    return content[:start] + content[start + draw.randint(1, 64) :]


def _inserted(draw: random.Random, content: bytes, other: bytes) -> bytes:
    start, length = draw.randint(0, len(content)), draw.randint(1, 64)
    return content[:start] + draw.choice((draw.randbytes(length), content[:length])) + content[start:]


def _header(draw: random.Random, content: bytes, other: bytes) -> bytes:
    return _integer(draw, content, draw.randint(0, min(64, len(content))))


def _field(draw: random.Random, content: bytes, other: bytes) -> bytes:
    return _integer(draw, content, draw.randint(0, len(content)))


def _length(draw: random.Random, content: bytes, other: bytes) -> bytes:
    """Change the number before or after a mark that a format knows: lengths, offsets, counts."""
    marks = [b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"acTL", b"fcTL", b"fdAT", b"IEND", b"RIFF", b"VP8X"]
    marks += [b"VP8L", b"VP8 ", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"Exif\0\0", b"MPF\0", b"\xff\xda", b"\xff\xc0"]
    marks += [b"\xff\xc4", b"\xff\xe1", b"\xff\xe2", b"BM", b"II*\0", b"MM\0*"]
    places = [place + near for mark in marks if (place := content.find(mark)) >= 0 for near in (-4, 2, 4, len(mark))]
    return _integer(draw, content, max(0, draw.choice(places or [0])))


def _spliced(draw: random.Random, content: bytes, other: bytes) -> bytes:
    return content[: draw.randint(0, len(content))] + other[draw.randint(0, len(other)) :]


def _integer(draw: random.Random, content: bytes, place: int) -> bytes:
    order, code = draw.choice("<>"), draw.choice("BHI")
    size = struct.calcsize(code)
    number = struct.pack(order + code, draw.choice(INTEGERS) % (1 << 8 * size))
    return content[:place] + number + content[place + size :]


DAMAGE: dict[str, Callable[[random.Random, bytes, bytes], bytes]] = {
    "bits": _bits, "run": _run, "cut": _cut, "removed": _removed, "inserted": _inserted, "header": _header,
    "field": _field, "length": _length, "spliced": _spliced,
}  # fmt: skip


def _checked(content: bytes) -> bytes:
    """Give each chunk of a PNG the checksum that it should have."""
    fixed, place = bytearray(content), 8
    while place + 12 <= len(fixed):
        end = place + 8 + int.from_bytes(fixed[place : place + 4])
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = zlib.crc32(fixed[place + 4 : end]).to_bytes(4)
        place = end + 4
    return bytes(fixed)


# Reading --------------------------------------------------------------------------------------------------------------


class Reader:
    """A child that reads files, and is replaced when one ends it."""

    def __init__(self, words: Sequence[str] = (sys.executable, __file__, "--reader")) -> None:
        self.words = words
        self.child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, path: Path) -> dict[str, str]:
        """Return {} for an image, its reason for what is refused, or what was found."""
        child = self.child = self.child or self._start()
        assert child.stdin
        assert child.stdout
        child.stdin.write(f"{path}\n")
        child.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                self._end()
                return {"found": f"nothing within {PATIENCE} s"}
        if not (line := child.stdout.readline()):
            code = child.wait()
            self._end()
            return {"found": f"the reader ended with {code}"}
        outcome: dict[str, str] = json.loads(line)
        return outcome

    def _start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        child = subprocess.Popen(self.words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        assert child.stdout
        if child.stdout.readline() != "ready\n":
            raise RuntimeError(f"The reader does not start: {' '.join(self.words)}")
        return child

    def _end(self) -> None:
        if self.child:
            self.child.kill()
            self.child.communicate()
            self.child = None


def _read_on_request() -> None:
    """Read the files that are named on stdin, one after another."""
    used = int(Path("/proc/self/statm").read_text("utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_outcome(Path(line.rstrip("\n")))), flush=True)


def _outcome(path: Path) -> dict[str, str]:
    try:
        seen, unseen = look([path])
        (images, bad), (again, bad_again) = read_images([path]), read_images([path])
    except BaseException as error:  # whatever it is, it should have been a reason
        return {"found": "".join(traceback.format_exception(error)[-3:])}
    reasons = {some[path] for some in (unseen, bad, bad_again) if some}
    if any("MemoryError" in reason for reason in reasons):
        return {"found": f"more than {MEMORY >> 30} GB: {reasons}"}
    if unseen and not bad:
        return {"found": f"refused when looked at ({unseen[path]}), and read"}
    if len(images) + len(bad) != 1 or len(seen) + len(unseen) != 1 or len(reasons) > 1:
        return {"found": f"neither read nor refused: {len(images)} images, {len(seen)} seen, {reasons}"}
    if bad:
        reason = bad[path]
        return {"reason": reason} if reason and reason.isprintable() else {"found": f"a reason like {reason!r}"}
    image = images[0]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < LEAST_SIDE:
        return {"found": f"an image of {image.dtype} {image.shape}"}
    if seen[0].side != min(image.shape[:2]):
        return {"found": f"seen with a side of {seen[0].side}, read as {image.shape}"}
    return {} if np.array_equal(image, again[0]) else {"found": "other pixels when read again"}


if __name__ == "__main__":
    main()
