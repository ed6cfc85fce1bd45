"""Files as nobody should send them: damaged at random, or made to do harm."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

LENGTHS = [0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1]
FORMATS = ["<I", ">I", "<Q", ">Q", "<H", ">H"]


def cut(rng: np.random.Generator, content: bytes) -> bytes:
    """Truncated anywhere."""
    return content[: rng.integers(0, len(content) + 1)]


def swapped(rng: np.random.Generator, content: bytes) -> bytes:
    """Two parts in each other's place."""
    a, b, c = sorted(rng.integers(0, len(content) + 1, 3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def flipped(rng: np.random.Generator, content: bytes) -> bytes:
    """A few bits turned, mostly near the beginning or the end, where the headers are."""
    found = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        reach = min(len(found), int(rng.choice([64, 512, len(found)])))
        place = int(rng.integers(0, reach))
        found[place if rng.random() < 0.6 else len(found) - 1 - place] ^= 1 << int(rng.integers(0, 8))
    return bytes(found)


def lengths(rng: np.random.Generator, content: bytes) -> bytes:
    """A number in it replaced by one that is far too large, or by nothing."""
    length, form = LENGTHS[rng.integers(len(LENGTHS))], FORMATS[rng.integers(len(FORMATS))]
    number = struct.pack(form, length % 2 ** (8 * struct.calcsize(form)))
    reach = min(len(content), int(rng.choice([32, 256, len(content)])))
    place = int(rng.integers(0, reach))
    place = place if rng.random() < 0.6 else len(content) - 1 - place
    return content[:place] + number + content[place + len(number) :]


def repeated(rng: np.random.Generator, content: bytes) -> bytes:
    """A part of it several times over."""
    a, b = sorted(rng.integers(0, len(content) + 1, 2))
    return content[:b] + content[a:b] * int(rng.integers(1, 20)) + content[b:]


def filled(rng: np.random.Generator, content: bytes) -> bytes:
    """A run of it overwritten with one byte, or with noise."""
    a, b = sorted(rng.integers(0, len(content) + 1, 2))
    middle = bytes([int(rng.choice([0, 255, 65]))]) * (b - a) if rng.random() < 0.7 else rng.bytes(b - a)
    return content[:a] + middle + content[b:]


def longer(rng: np.random.Generator, content: bytes) -> bytes:
    """Much behind its end, or before its beginning."""
    more = bytes(int(rng.integers(1, 200_000))) if rng.random() < 0.5 else rng.bytes(int(rng.integers(1, 3000)))
    return content + more if rng.random() < 0.7 else more + content


WAYS: list[Callable[[np.random.Generator, bytes], bytes]] = [cut, swapped, flipped, lengths, repeated, filled, longer]


def damaged(rng: np.random.Generator, content: bytes, others: Sequence[bytes]) -> bytes:
    """The content after one to three of these, or sometimes another file in its place."""
    if rng.random() < 0.03:
        return others[rng.integers(len(others))]
    for _ in range(int(rng.integers(1, 4))):
        content = WAYS[rng.integers(len(WAYS))](rng, content or b"?")
    return content


# --- made to do harm --------------------------------------------------------------------------------------------------


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: str):
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (self.trace,)


def pickles(trace: str) -> list[bytes]:
    """Pickles that would run something, or use up the memory."""
    found = [pickle.dumps({"data": Payload(trace), "labels": [1]}, protocol) for protocol in range(6)]
    command = f"touch {trace}".encode()
    calls = (b"cos\nsystem\n", b"cposix\nsystem\n", b"csubprocess\ngetoutput\n")
    found += [call + b"(S'" + command + b"'\ntR." for call in calls]
    found += [
        b'c__builtin__\neval\n(S\'__import__("os").mkdir("%s")\'\ntR.' % trace.encode(),
        b"(S'%s'\nios\nmkdir\n." % trace.encode(),
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\nK\x00tR.",
        b"\x80\x02cnumpy\nload\nX\x05\x00\x00\x00x.npy\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c" + bytes([len(trace)]) + trace.encode() + b"\x85R.",
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
        b"\x80\x02" + b"(" * 100_000 + b".",
        b"\x80\x02]" + b"2a" * 100_000 + b".",
        b"P1\n.",
        b"(" + b"I1\n" * 1000 + b"l.",
    ]
    return found


def zips(good: bytes) -> list[bytes]:
    """Zips whose names lead elsewhere, that unpack to very much, or lie about their sizes."""
    names = ("../../out.png", "/tmp/deepcore-out.png", "cat/../../../out.png", "cat\\..\\..\\out.png", "cat/\0.png")
    found = [zipped({name: good, "cat/1.png": good}) for name in names]
    for size in (1 << 20, 16 << 20):
        bomb = zipped({"cat/1.png": bytes(size), "cat/2.png": good}, zipfile.ZIP_DEFLATED)
        found += [bomb, bomb.replace(struct.pack("<I", size), struct.pack("<I", 100))]
        for packing in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            found.append(zipped({"cat/1.png": bytes(size)}, packing))
    found.append(zipped({"cat/1.zip": found[-1], "cat/1.png": found[-1]}))
    plain = zipped({"cat/1.png": good})
    size = struct.pack("<I", len(good))
    found += [plain.replace(size, struct.pack("<I", wrong)) for wrong in (0, 1, len(good) + 1, 2**31, 2**32 - 1)]
    found.append(zipped({f"cat/{i}.png": b"" for i in range(5000)}))
    return found


def zipped(files: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tars(good: dict[str, bytes]) -> list[bytes]:
    """Archives with links, devices, names that lead elsewhere, and sizes that cannot be."""
    last = list(good.values())[-1]
    found = [tarred({name: last}) for name in ("../../test_batch.bin", "/tmp/deepcore-out/test_batch.bin")]
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
    found += [tarred(good, kind) for kind in kinds]
    plain = tarred(good, packed=False)
    for size in (b"77777777777\0", b"\x80" + bytes(3) + struct.pack(">Q", 2**62), b"\xff" * 12, b"-0000000001\0"):
        changed = bytearray(plain)
        changed[124:136] = size
        changed[148:156] = b" " * 8
        changed[148:156] = b"%06o\0 " % sum(changed[:512])
        found.append(gzip.compress(bytes(changed)))
    found.append(gzip.compress(bytes(32 << 20)))
    found.append(tarred({"bomb": bytes(32 << 20)} | good))
    return found


def tarred(files: dict[str, bytes], kind: bytes = tarfile.REGTYPE, packed: bool = True) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz" if packed else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"batches/{name}" if "/" not in name else name)
            member.type, member.linkname = kind, "/etc/passwd"
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(content) if member.size else None)
    return file.getvalue()
