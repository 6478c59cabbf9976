"""A vision-language model of the hub that is told what the archive knows and asked what is depicted."""

from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.networks import snapshot
from artmaster_pipeline.dataset.captioners.interface import Facts
from artmaster_pipeline.dataset.captioners.plain_words import plain_description
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    import numpy as np

_FILES = ("*.json", "*.txt", "*.jinja", "model*.safetensors")  # of a captioner: neither pickles nor code
_MOST_TOKENS = 160

INSTRUCTION_VERSION = 1  # part of the identity: raise it with the instructions below and with what plain_words leaves
_INSTRUCTION = (
    "Write a caption of this picture for the training of a text-to-image model: two or three long, concrete English "
    "sentences on one line. Say what is depicted: the main subject and what it does, the setting, the season, the time "
    "of day, the weather and the air, where things are in the picture (foreground, middle, background, left, right), "
    "and their colours. Write as if you stood before the place itself. Say nothing about style, medium, technique, "
    "artist, school, period or quality; use no adjectives of mood; leave out seals, signatures, inscriptions, borders "
    'and mounting. Do not begin with "This painting" or "The image": begin with the subject.'
)
_KNOWN = (
    "The archive knows this of the work, in its own language:\n{}\nTake it as fact: use what of it can be seen in the "
    "picture, and say it in English."
)
_SHORT_INSTRUCTION = (
    "Which things are in this picture, where are they, and which colours do they have? Answer in one English sentence "
    "that names these things only."
)


def vision_language_identity(profile: Profile) -> str:
    """The `identity` of the profile's model, without loading it."""
    at = f"@{profile.captioner_revision}" if profile.captioner_revision else ""
    return f"{profile.captioner}{at}, instruction {INSTRUCTION_VERSION}"


class VisionLanguageCaptioner:
    """A model that sees and follows instructions (Qwen3-VL and its kin), of the hub or of a local folder."""

    def __init__(self, profile: Profile, home: Home | None = None) -> None:
        """Load `profile.captioner` on the profile's device, at the commit that the profile names or `home` pins.

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
        self.identity = vision_language_identity(profile)
        self._dtype = getattr(torch, profile.dtype)
        self._device = profile.device
        try:
            folder = snapshot(name, profile.captioner_revision, _FILES, home)
            self._processor: Any = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
            if not getattr(self._processor, "chat_template", None):
                raise ValueError("it has no chat template, so it follows no instructions")
            model: Any = AutoModelForImageTextToText.from_pretrained(
                folder, dtype=self._dtype, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, MissingRequirement) as error:
            raise MissingRequirement(
                f"The captioner {name!r} (setting `captioner` of the profile {profile.name!r}) cannot be loaded: "
                f"{_first_line(error)}. Check the network and `hf auth login`, set `captioner: null`, "
                "or describe the works in artworks.csv."
            ) from error
        self._model = model.to(self._device).eval()

    def describe(self, picture: "np.ndarray", facts: Facts) -> str:
        """What is depicted, in plain English on one line; greedy, so the same picture and facts give the same line.

        Empty where two answers hold nothing but what `plain_description` leaves out.
        """
        # The second time without the archive's words: they may have led the model into their language.
        for instruction in (_with_facts(facts), _SHORT_INSTRUCTION):
            if text := plain_description(self._answer(picture, instruction)):
                return text
        return ""

    def _answer(self, picture: "np.ndarray", instruction: str) -> str:
        import torch
        from PIL import Image

        content = [{"type": "image", "image": Image.fromarray(picture)}, {"type": "text", "text": instruction}]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._device, self._dtype)
        greedy = {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}
        with torch.inference_mode():
            tokens = self._model.generate(**inputs, **greedy, max_new_tokens=_MOST_TOKENS)
        answer = tokens[:, inputs["input_ids"].shape[1] :]
        return str(self._processor.batch_decode(answer, skip_special_tokens=True)[0])


def _with_facts(facts: Facts) -> str:
    said = {name: " ".join(text.split()) for name, text in vars(facts).items()}
    known = "\n".join(f"{name}: {text}" for name, text in said.items() if text)
    return f"{_INSTRUCTION}\n{_KNOWN.format(known)}" if known else _INSTRUCTION


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
