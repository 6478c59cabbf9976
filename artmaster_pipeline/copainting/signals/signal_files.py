"""Signals as PNGs that say what they are, and back: a person may have painted over one in between."""

from pathlib import Path
from typing import get_args

import numpy as np

from artmaster_pipeline.copainting.records import SignalKind
from artmaster_pipeline.copainting.signals.found import ReadKind, Signal
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.pictures import pixels_hash, read_facts, write_png

_MOST_PIXELS = 2048 * 2048  # of a canvas
_MOST_BYTES = 64 * 2**20
_MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "I;16")
_KINDS = (*get_args(SignalKind), "segmentation")


def write_signal(file: Path, signal: Signal) -> None:
    """Write a signal as a PNG; its facts say kind, reader, sureness and doubts, and hold the hash of its pixels."""
    facts = {"signal": signal.kind, "by": signal.by, "sureness": round(signal.sureness, 4), "says": signal.says}
    write_png(file, signal.pixels, facts)


def read_signal_file(file: Path, kind: ReadKind, size: tuple[int, int] | None = None) -> Signal:
    """A signal from a PNG: one that was written here, was painted over, or was drawn elsewhere.

    `size` is (width, height) as it has to be. What a person changed or drew is "by a person", with the sureness 1; what
    lies untouched keeps its reader and sureness. Header and file size are looked at before a pixel is decoded.
    Raises BadInput, naming every fault, for what is no such PNG; transparent parts count as white.
    """
    from PIL import Image

    faults = list(_faults(file, kind, size))
    if faults:
        raise BadInput(f"{file}: {'; '.join(faults)}", _way_out(size))
    try:
        with Image.open(file) as image:
            pixels = _decoded(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"{file} is damaged ({type(error).__name__})", _way_out(size)) from error
    facts = read_facts(file)
    if facts.get("signal") == kind and facts.get("pixels_sha256") == pixels_hash(file):
        return Signal(kind, str(facts.get("by")), pixels, _share(facts.get("sureness")), str(facts.get("says", "")))
    return Signal(kind, "a person", pixels, 1.0, f"drawn or painted over by a person ({file.name})")


def _faults(file: Path, kind: str, size: tuple[int, int] | None) -> "list[str]":
    """What is wrong with a file, by its header."""
    from PIL import Image

    if not file.is_file():
        return ["there is no such file"]
    if file.stat().st_size > _MOST_BYTES:
        return [f"it has {file.stat().st_size / 2**20:.0f} MB, and a signal at most {_MOST_BYTES >> 20}"]
    try:
        with Image.open(file, formats=["PNG"]) as image:
            (width, height), mode, frames = image.size, image.mode, getattr(image, "n_frames", 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ["it is no PNG"]
    faults = []
    if width * height > _MOST_PIXELS:
        faults.append(f"it has {width} x {height} pixels, and a canvas at most {_MOST_PIXELS >> 20} million")
    if size is not None and (width, height) != size:
        faults.append(f"it has {width} x {height} pixels, and {size[0]} x {size[1]} are asked for")
    if mode not in _MODES:
        faults.append(f"its pixels are of the mode {mode}, which is neither grey nor RGB")
    if frames > 1:
        faults.append(f"it moves ({frames} pictures)")
    said = read_facts(file).get("signal") if width * height <= _MOST_PIXELS else None
    if said in _KINDS and said != kind:
        faults.append(f"it says that it is the signal {said}, and {kind} is asked for")
    return faults


def _way_out(size: tuple[int, int] | None) -> str:
    of_size = f" of {size[0]} x {size[1]} pixels" if size else ""
    return f"Save it as an 8-bit PNG in grey or RGB{of_size}, or let it be read anew from the picture."


def _decoded(image: "object") -> np.ndarray:
    """uint8 (height, width, 3); sixteen bits are brought to eight, transparent parts are white."""
    from PIL import Image

    assert isinstance(image, Image.Image)
    if image.mode == "I;16":
        grey = (np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _share(value: object) -> float:
    return min(1.0, max(0.0, float(value))) if isinstance(value, int | float) else 0.0
