"""A PNG's own texts (W3C PNG, 11.3.3), in front of its pixels, where readers look who read no further.

libvips writes no keyword with a space in it and nothing beyond Latin-1, so they are put into the finished file.
"""

import shutil
import struct
import zlib
from pathlib import Path

_HEAD = 8 + 25  # bytes: the signature, and the chunk that comes first


def put_into_png(file: Path, texts: dict[str, str]) -> None:
    """Write the PNG anew with texts, by their keywords, behind its first chunk; untouched where there are none."""
    if not texts:
        return
    before = file.rename(file.with_name(f"{file.name}.before"))
    try:
        with before.open("rb") as source, file.open("wb") as target:
            target.write(source.read(_HEAD))
            for keyword, text in texts.items():
                target.write(_chunk(keyword, text))
            shutil.copyfileobj(source, target, 2**20)
    finally:
        before.unlink()


def _chunk(keyword: str, text: str) -> bytes:
    name = keyword.encode("latin-1", "replace") + b"\0"
    try:
        chunk = b"tEXt" + name + text.encode("latin-1")
    except UnicodeEncodeError:
        chunk = b"iTXt" + name + b"\0" * 4 + text.encode()
    return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
