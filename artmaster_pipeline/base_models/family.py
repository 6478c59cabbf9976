"""What a family of base models is: all that a room asks of a base besides the profile.

A family is found by the pipeline class that a base's `model_index.json` names, or by the class of a loaded model. Each
lives in a folder of its own beside this file, whose `descriptor.py` calls its one instance `FAMILY`; nothing else has
to know of it. Light to import: torch and diffusers come when a method runs.
"""

import importlib
import json
import pkgutil
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import WrongUse

if TYPE_CHECKING:
    import torch
    from PIL import Image

INDEX = "model_index.json"  # diffusers' list of a pipeline's parts
# diffusers' names for the linears of adaptive norms and embedders of vectors, and for those of text tokens alone
_VECTOR = re.compile(r"(?:^|\.)(?:norm\w*|time_\w*embed|\w+_modulation\w*)\.")
_TEXT = re.compile(r"(?:^|\.)(?:add_[qkv]_proj|to_add_out|ff_context|context_embedder)(?:\.|$)")


@dataclass(frozen=True)
class TextEmbedding:
    """A text as a transformer takes it: tensors by the pipeline's own argument names, without a batch dimension."""

    tensors: "Mapping[str, torch.Tensor]"
    words: int = 0  # of the hidden text's tokens the leading ones that are the text's, its end among them; 0: not known


@dataclass(frozen=True)
class Licence:
    """A licence as the hub's model cards name it (https://huggingface.co/docs/hub/model-cards#specifying-a-license)."""

    id: str  # "apache-2.0", or "other" with a name and a link
    name: str = ""
    link: str = ""


@dataclass(frozen=True)
class KohyaNames:
    """How kohya's sd-scripts call a family's linears, where several of diffusers' layers may be one linear."""

    prefix: str  # before every name
    blocks: Mapping[str, str]  # diffusers' list of blocks -> theirs
    # by list of blocks: their linear -> diffusers' parts of it, from the first output row to the last
    fused: Mapping[str, Mapping[str, tuple[str, ...]]]
    wider: Mapping[str, int] = field(default_factory=dict)  # part -> outputs, in widths of the model, where not 1
    implementation: str = ""  # ModelSpec's `modelspec.implementation` of such a file
    network_module: str = ""  # `ss_network_module`


@dataclass(frozen=True)
class Base:
    """What is known of one base model, by its name in a profile."""

    name: str
    title: str
    licence: Licence | None  # of the weights; None: not known here
    architecture: str  # ModelSpec's `modelspec.architecture`, without "/lora"
    version: str = ""  # sd-scripts' `ss_base_model_version`; empty where sd-scripts does not know the base
    public: bool = True  # whether other programs can have it
    disk: float = 40 * 2**30  # bytes to have free for its files, where they come from the hub
    # part -> its configuration, for machines that do not hold the base yet
    configurations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # and how many numbers the text encoders hold, in what quantization packs and in the rest
    encoder_numbers: tuple[float, float] = (0.0, 0.0)


class Family(ABC):
    """Base models of one architecture; subclasses say how it is loaded, adapted, asked, drawn with and named."""

    name: ClassVar[str]
    pipeline_class: ClassVar[str]  # of diffusers, as the three that follow
    # what else a loaded base can do -> diffusers' pipeline of the same parts that does it
    forms: ClassVar[Mapping[str, str]] = {}
    transformer_class: ClassVar[str]
    autoencoder_class: ClassVar[str]
    text_encoders: ClassVar[tuple[str, ...]]  # the pipeline's parts that embed texts
    quantized: ClassVar[tuple[str, ...]]  # the parts that hold nearly all the weights
    adapted_layers: ClassVar[str]  # a pattern of the linears that an adapter changes, by their path in the transformer
    # what a training stage may call layers -> a pattern of their paths
    layer_kinds: ClassVar[Mapping[str, str]]
    # what blocks are called -> the transformer's list of them, in the order of a forward pass
    block_lists: ClassVar[Mapping[str, str]] = {
        "double": "transformer_blocks",
        "single": "single_transformer_blocks",
    }
    hidden_text: ClassVar[str] = "prompt_embeds"  # of a text's tensors what the transformer calls encoder_hidden_states
    pixels_per_token: ClassVar[int]  # along one side: the autoencoder's factor times the packing's
    scripts: ClassVar[tuple[str, ...]]  # ISO 15924 codes of the scripts that the text encoders read
    tags: ClassVar[tuple[str, ...]]  # of a model card
    alphas: ClassVar[bool] = True  # whether diffusers reads a scale per layer from LoRA files of this family
    bases: ClassVar[Mapping[str, Base]]
    kohya: ClassVar[KohyaNames | None] = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The pipeline's parts that hold weights."""
        return ("vae", *self.text_encoders, "transformer")

    def base(self, name: str) -> Base:
        """What is known of the base of that name, or of a folder called as it is; else its name and its family."""
        own = PurePath(name).name
        known = self.bases.get(name) or next((b for b in self.bases.values() if PurePath(b.name).name == own), None)
        return known or unknown_base(name, self.name)

    def is_of(self, layer: str, kinds: Iterable[str]) -> bool:
        """Whether a layer (its path in the transformer) is of any of these kinds; of none, every layer is.

        Raises WrongUse for a kind that this family's layers are not told apart by.
        """
        wanted = tuple(kinds)
        if unknown := sorted(set(wanted) - set(self.layer_kinds)):
            raise WrongUse(
                f"A stage trains layers of the kind {', '.join(unknown)}, which {self.name} has not: choose from "
                f"{', '.join(self.layer_kinds)}."
            )
        return not wanted or any(re.match(self.layer_kinds[kind], layer) for kind in wanted)

    def sees(self, layer: str) -> str:
        """What a linear's input holds: "image" or "text" tokens, "both" (text, then image), or "vector", no tokens."""
        if _VECTOR.search(layer):
            return "vector"
        if layer.startswith(self.block_lists["single"] + "."):
            return "both"
        return "text" if _TEXT.search(layer) else "image"

    @abstractmethod
    def latent_shape(self, config: Mapping[str, Any], width: int, height: int) -> tuple[int, int, int]:
        """(channels, rows, columns) of a clean latent of a picture, `config` being the transformer's."""

    @abstractmethod
    def tokens(self, rows: int, columns: int) -> int:
        """How many image tokens the transformer makes of a latent."""

    @abstractmethod
    def text_shapes(self, config: Mapping[str, Any], tokens: int) -> dict[str, tuple[int, ...]]:
        """The shapes of a `TextEmbedding`'s tensors, `config` being the transformer's."""

    @abstractmethod
    def encode_picture(self, pipe: Any, picture: "Image.Image", width: int, height: int) -> "torch.Tensor":
        """A picture's clean latent at `width` x `height` of the model's pixels: fp32, as `latent_shape` says."""

    @abstractmethod
    def decoder_input(self, vae: Any, latents: "torch.Tensor") -> "torch.Tensor":
        """What the autoencoder's `decode` takes for clean latents (batch, channels, rows, columns)."""

    @abstractmethod
    def encode_text(self, pipe: Any, text: str, device: str, max_sequence_length: int) -> TextEmbedding:
        """A text's embedding in the encoders' dtype, on `device`."""

    @abstractmethod
    def predict_velocity(
        self,
        transformer: Any,
        noisy: "torch.Tensor",
        sigmas: "torch.Tensor",
        texts: Sequence[TextEmbedding],
        guidance_scale: float,
        dtype: "torch.dtype",
    ) -> "torch.Tensor":
        """The model's velocity, noise minus clean latent, for latents (batch, channels, rows, columns), in that shape.

        `dtype` is the base weights' (asked of a wrapped or quantised model it would not be it). `guidance_scale` is
        what a guidance-embedded model is told; others pass over it.
        """

    @abstractmethod
    def shift(self, scheduler: Any, tokens: int) -> float:
        """By what factor the noise schedule favours high noise for so many image tokens; 1 is not at all."""

    def packed(self, latent: "torch.Tensor") -> "torch.Tensor":
        """A clean latent (channels, rows, columns) as the transformer's image tokens, (1, tokens, channels).

        Raises WrongUse where a family does not say how, and so has no ControlNets here.
        """
        raise WrongUse(f"Models of the family {self.name} cannot be held to a structure here: leave `control` out.")

    def text_arguments(self, conditioning: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
        """What of a transformer's arguments is text, from a batch's `conditioning`. Tokens have no places."""
        import torch

        hidden = conditioning[self.hidden_text]
        return {"encoder_hidden_states": hidden, "txt_ids": torch.zeros(hidden.shape[1], 3).to(hidden)}

    def pooled_text(self, embedding: TextEmbedding) -> "torch.Tensor":
        """A text as one vector, (features,): the mean of its tokens, where the family has no vector of its own."""
        return embedding.tensors[self.hidden_text].mean(0)

    def negative_prompt(self, drawing: DrawingSettings) -> str | None:
        """The prompt that drawing takes away from, where these settings ask for one; None where they do not."""
        return None

    def guidance_arguments(self, drawing: DrawingSettings) -> dict[str, Any]:
        """What of the pipeline's arguments says how strongly it is guided.

        Raises WrongUse where the settings ask for true classifier-free guidance and the family's pipeline has none
        besides `guidance_scale`.
        """
        if drawing.true_cfg_scale > 1:
            raise WrongUse(
                f"Models of the family {self.name} take no true_cfg_scale ({drawing.true_cfg_scale:g} was asked for): "
                "leave it at 1 and set guidance_scale."
            )
        return {"guidance_scale": drawing.guidance_scale}

    def conditioning(
        self, texts: Sequence[TextEmbedding], negative: TextEmbedding | None, device: Any, dtype: Any
    ) -> "dict[str, torch.Tensor]":
        """A batch's embeddings as arguments of the pipeline's call."""
        import torch

        def stacked(of: Sequence[TextEmbedding], name: str) -> "torch.Tensor":
            return torch.stack([text.tensors[name] for text in of]).to(device=device, dtype=dtype)

        given = {name: stacked(texts, name) for name in texts[0].tensors}
        if negative is not None:
            given |= {f"negative_{name}": stacked([negative] * len(texts), name) for name in negative.tensors}
        return given


def unknown_base(name: str, architecture: str = "") -> Base:
    """A base of which the name alone is known: a hub repository, or a folder, whose path is nobody's business."""
    path = PurePath(name)
    repository = len(path.parts) == 2 and not path.is_absolute()
    return Base(name if repository else path.name, path.name, None, architecture or path.name)


_registered: dict[str, Family] = {}


def register(family: Family) -> None:
    """Make a family known whose folder is not beside this file."""
    _registered[family.pipeline_class] = family


def families() -> tuple[Family, ...]:
    """All families that are known."""
    return (*_built_in(), *_registered.values())


def family_by_class(pipeline_class: str) -> Family | None:
    """The family whose pipelines are of that class of diffusers."""
    return next((family for family in families() if family.pipeline_class == pipeline_class), None)


def family_for(model: Any) -> Family:
    """The family of a loaded pipeline or transformer. Raises WrongUse where it is of none that is known."""
    names = {kind.__name__ for kind in type(model).__mro__}
    for family in families():
        if names & {family.pipeline_class, family.transformer_class, *family.forms.values()}:
            return family
    raise WrongUse(f"{type(model).__name__} is of no known family of base models: {_known()}.")


def family_of_folder(folder: Path) -> Family:
    """The family of a diffusers folder, by its index. Raises WrongUse where it is of none that is known."""
    try:
        named = json.loads((folder / INDEX).read_text(encoding="utf-8")).get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise WrongUse(f"{folder / INDEX} cannot be read, so nobody can say what model this is: {error}") from error
    family = family_by_class(str(named))
    if family is None:
        raise WrongUse(f"{folder} holds a {named}, which is of no known family of base models: {_known()}.")
    return family


def family_by_name(base_model: str) -> Family | None:
    """The family of a base that is known by its name, without looking at any file."""
    return next((family for family in families() if base_model in family.bases), None)


@cache
def _built_in() -> tuple[Family, ...]:
    here = Path(__file__).parent
    found = []
    for module in pkgutil.iter_modules([str(here)]):
        if module.ispkg and (here / module.name / "descriptor.py").is_file():
            found.append(importlib.import_module(f"{__package__}.{module.name}.descriptor").FAMILY)
    return tuple(found)


def _known() -> str:
    return ", ".join(f"{family.name} ({family.pipeline_class})" for family in families())
