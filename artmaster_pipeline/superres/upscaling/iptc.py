"""IPTC captions (IIM 4.2) as files hold them: JPEG and PNG inside a Photoshop resource, TIFF bare (words.py).

PNG has no place for them; ImageMagick and ExifTool keep them in a text called `Raw profile type iptc`, in hexadecimal.
"""

import struct

PNG_TEXT = "Raw profile type iptc"
_LEAD = b"Photoshop 3.0\0"
_RESOURCE, _CAPTIONS = b"8BIM", 0x0404
_LINE = 72  # hexadecimal digits in a line of the text


def captions_in(block: bytes) -> bytes:
    """The captions in a JPEG's APP13 segment, or in the resources of one; empty where there are none."""
    rest = block.removeprefix(_LEAD)
    while rest.startswith(_RESOURCE) and len(rest) >= 12:
        (kind,) = struct.unpack_from(">H", rest, 4)
        behind = (
            6 + (rest[6] // 2 + 1) * 2
        )  # a name of an odd number of bytes with its length, filled up to an even one
        if behind + 4 > len(rest):
            break
        (size,) = struct.unpack_from(">I", rest, behind)
        content = rest[behind + 4 : behind + 4 + size]
        if kind == _CAPTIONS:
            return content
        rest = rest[behind + 4 + size + size % 2 :]
    return b""


def segment_of(captions: bytes) -> bytes:
    """A JPEG's APP13 segment."""
    filled = captions + b"\0" * (len(captions) % 2)
    return _LEAD + _RESOURCE + struct.pack(">HHI", _CAPTIONS, 0, len(captions)) + filled


def captions_in_text(text: str) -> bytes:
    """The captions in a PNG's text; empty where it holds none."""
    words = text.split()
    try:
        content = bytes.fromhex("".join(words[2:])) if words[:1] == ["iptc"] else b""
    except ValueError:
        return b""
    return captions_in(content) or (content if content.startswith(b"\x1c") else b"")


def text_of(captions: bytes) -> str:
    """A PNG's text."""
    digits = segment_of(captions).removeprefix(_LEAD).hex()
    lines = [digits[at : at + _LINE] for at in range(0, len(digits), _LINE)]
    return "\n".join(["", "iptc", f"{len(digits) // 2:8d}", *lines, ""])
