"""What is said about each picture: the painter's trigger word, then what varies from work to work.

What the archive says comes first; a captioning model is asked only where the archive says nothing beyond a file name
and the profile names one.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.records import Scan
from artmaster_pipeline.settings import Profile

if TYPE_CHECKING:
    import numpy as np

FILE_NAME = "file name"
_CAMERA_NAME = re.compile(
    r"(?:img|image|dsc[fn]?|pict?|scan|p|untitled|photo|未标题|图片|扫描)?[\W_\d]*", re.IGNORECASE
)


@dataclass(frozen=True)
class Caption:
    """The words for one work, and who says them: "sidecar", "artworks.csv", "file name" or a model's name."""

    text: str
    source: str


def archive_caption(scan: Scan, scans_folder: Path, trigger: str, painter_name: str = "") -> Caption:
    """What the archive says about a scan, behind the trigger: its caption, else title, subject and season.

    Where nothing is known but a file name (the register makes a title of it), the source is "file name" and the words
    are those of the name that are not the painter's; a camera's numbering (IMG_0034) leaves the trigger alone.
    """
    if scan.caption.strip():
        source = "sidecar" if _has_sidecar(scans_folder / scan.path) else "artworks.csv"
        return Caption(with_trigger(trigger, scan.caption), source)
    stem = _form(PurePosixPath(scan.path).stem)
    told = [part for part in (scan.subject, scan.season) if part.strip()]
    if _letters(stem).endswith(_letters(scan.title)):
        title = _words_of_name(scan.title or stem, painter_name)
        return Caption(with_trigger(trigger, title, *told), "artworks.csv" if told else FILE_NAME)
    return Caption(with_trigger(trigger, scan.title, *told), "artworks.csv")


def with_trigger(trigger: str, *parts: str) -> str:
    """The trigger and then the parts, joined by commas on one line; the trigger is never said twice."""
    words = ", ".join(text for part in parts if (text := _one_line(part).strip(" ,.;")))
    if trigger in words:
        return words
    return f"{trigger}, {words}" if words else trigger


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _has_sidecar(scan: Path) -> bool:
    wanted = _form(f"{scan.stem}.txt").casefold()
    return scan.parent.is_dir() and any(_form(entry.name).casefold() == wanted for entry in scan.parent.iterdir())


def _words_of_name(name: str, painter_name: str) -> str:
    """The words of a file's name that say something: what stands in title marks, else all but the painter's name."""
    marked = re.findall(r"[《「『](.+?)[》」』]", name)
    words = _one_line(re.sub(r"[_\[\](){}<>]+", " ", ", ".join(marked) or name))
    for part in filter(None, [painter_name.strip(), *re.split(r"[\s,()]+", painter_name)]):
        words = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", " ", words, flags=re.IGNORECASE)
    words = _one_line(words).strip(" -,.;")
    return "" if _CAMERA_NAME.fullmatch(words) else words


def _form(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _letters(text: str) -> str:
    return "".join(c for c in _form(text).casefold() if c.isalnum())


class Captioner:
    """A captioning model of the hub (BLIP and its kin) that says in one line what a picture shows."""

    def __init__(self, profile: Profile) -> None:
        """Load `profile.captioner` on the profile's device.

        Raises MissingRequirement where the device is not there or the model cannot be had.
        """
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        name = profile.captioner
        if name is None:
            raise MissingRequirement(f"The profile {profile.name!r} names no captioner: set `captioner` in it.")
        if profile.device == "cuda" and not torch.cuda.is_available():
            raise MissingRequirement(
                f"The profile {profile.name!r} captions on CUDA and no CUDA GPU is found here: run on a machine with "
                "one, choose the profile 'miniature', or describe the works in artworks.csv."
            )
        self.name = name
        self._dtype = getattr(torch, profile.dtype)
        self._device = profile.device
        try:
            self._processor: Any = AutoProcessor.from_pretrained(name)
            model: Any = AutoModelForImageTextToText.from_pretrained(name, dtype=self._dtype, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise MissingRequirement(
                f"The captioner {name!r} (setting `captioner` of the profile {profile.name!r}) cannot be loaded: "
                f"{_first_line(error)}. Check the network and `hf auth login`, set `captioner: null`, "
                "or describe the works in artworks.csv."
            ) from error
        self._model = model.to(self._device).eval()

    def describe(self, picture: "np.ndarray") -> str:
        """One line about a picture (uint8, height x width x 3); greedy, so the same picture gives the same line."""
        import torch
        from PIL import Image

        inputs = self._processor(images=Image.fromarray(picture), return_tensors="pt").to(self._device, self._dtype)
        with torch.inference_mode():
            tokens = self._model.generate(**inputs, max_new_tokens=40, do_sample=False, num_beams=1)
        return _one_line(self._processor.batch_decode(tokens, skip_special_tokens=True)[0])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
