"""Style and depiction as large networks of the hub see them, CSD, CLIP and DINOv2; and how a picture fits a prompt.

Each network is named by a folder or by a repository of the hub, used at one commit. Only safetensors and
configurations are fetched, no code of a repository is run. CSD (Somepalli et al. 2024) was published as a pickle; the
repositories `yuxi-liu-wired/CSD` and `vvmatorin/CSD` hold the same tensors as safetensors, under the names of OpenAI's
CLIP, and are read here into transformers' own CLIP.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.miniature.model import quiet_libraries
from artmaster_pipeline.base_models.networks import snapshot
from artmaster_pipeline.base_models.precision import settle_precision
from artmaster_pipeline.errors import ArtMasterError, MissingRequirement
from artmaster_pipeline.evaluation.axes.components import Component
from artmaster_pipeline.evaluation.axes.depiction import euclidean, on_grid
from artmaster_pipeline.evaluation.axes.style import kernel_distance
from artmaster_pipeline.records import identity
from artmaster_pipeline.sessions import kept
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    import numpy as np

_AT_ONCE = 16  # pictures
_FILES = ("*.json", "*.txt", "model*.safetensors")  # a repository's pickles and code are not even fetched
_HEAD_WIDTH = 64  # of every CLIP vision transformer (Radford et al. 2021)

# OpenAI's names of a CLIP vision transformer, in transformers' words
_RENAMED = (
    (r"^conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^ln_post\.", "vision_model.post_layernorm."),
    (r"^transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"\.attn\.", ".self_attn."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)


@dataclass(frozen=True)
class Network:
    """A network of the hub: a folder or a repository, its revision, the home that pins it, the device it runs on."""

    name: str
    revision: str | None = None
    home: Home | None = None
    device: str = "cpu"


def describe(
    pictures: "Sequence[np.ndarray]", clip: Network, dinov2: Network, csd: Network | None = None
) -> "dict[str, np.ndarray]":
    """What each network says of uint8 pictures (height, width, 3): float32 rows of length 1, (n, k) by component.

    Without `csd` there is no such component. CLIP's and DINOv2's patches are gathered as `depiction.on_grid` says. Each
    network takes pictures as its authors prepared them: reduced to 224 pixels along the shorter side, of which the
    middle square is seen. Raises MissingRequirement where the hub, a network's files or its safetensors are absent.
    """
    found = {"CSD": _embed(_csd(csd), pictures)[0]} if csd else {}
    for name, network in (("CLIP", _clip(clip)), ("DINOv2", _dinov2(dinov2))):
        found[name], found[f"{name} patches"] = _embed(network, pictures)
    return found


def prompt_scores(pictures: "Sequence[np.ndarray]", prompts: Sequence[str], clip: Network) -> "np.ndarray":
    """CLIP's cosine similarity of n pictures and m prompts (n, m): CLIPScore without its factor, Hessel et al. 2021.

    A prompt is cut where CLIP's 77 tokens end. Raises MissingRequirement as `describe` does.
    """
    import torch
    from torch.nn.functional import normalize

    network = _clip(clip)
    settle_precision()
    with torch.inference_mode():
        tokens = network.tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt").to(clip.device)
        words = normalize(network.model.get_text_features(**tokens).pooler_output, dim=-1)
    return _embed(network, pictures)[0] @ words.cpu().numpy().T


def cosine_distance(descriptions: "np.ndarray", painter: "np.ndarray") -> "np.ndarray":
    """2 (1 - cosine) of rows of length 1, which is their squared Euclidean distance, (n, n)."""
    import numpy as np

    rows = np.asarray(descriptions, dtype=np.float64)
    return kernel_distance(rows @ rows.T)


_SOURCES = {
    "CSD": "Somepalli et al. 2024, https://arxiv.org/abs/2404.01292",
    "CLIP": "Radford et al. 2021, https://arxiv.org/abs/2103.00020",
    "DINOv2": "Oquab et al. 2024, https://arxiv.org/abs/2304.07193",
}
COMPONENTS = (
    *(
        Component(
            f"{name} patches",
            "depiction",
            f"distance of {name}'s patches on a 2 x 2 grid, each picture's scaled to length 1",
            _SOURCES[name],
            euclidean,
        )
        for name in ("CLIP", "DINOv2")
    ),
    *(
        Component(name, "style", f"2 (1 - cosine) of {name} embeddings", source, cosine_distance)
        for name, source in _SOURCES.items()
    ),
)


def hub_features(
    profile: Profile, home: Home | None = None
) -> "tuple[Callable[[Sequence[np.ndarray]], dict[str, np.ndarray]], tuple[Component, ...], str]":
    """The profile's view of depiction and style: a function that describes, its components, the networks' name."""
    settings = profile.evaluation
    networks = _networks(profile, home)
    names = (settings.clip, settings.dinov2, settings.csd, *settings.other_pins())
    shown = tuple(component for component in COMPONENTS if settings.csd or component.name != "CSD")
    return lambda pictures: describe(pictures, *networks), shown, f"hub-places-{identity('hub', names)}"


def clip_fits(profile: Profile, home: Home | None = None) -> "Callable[[np.ndarray, Sequence[str]], np.ndarray]":
    """How well each of m prompts fits a uint8 picture (height, width, 3), as a function: CLIP's cosines (m,)."""
    clip = _networks(profile, home)[0]
    return lambda picture, prompts: prompt_scores([picture], prompts, clip)[0]


def _networks(profile: Profile, home: Home | None) -> tuple[Network, Network, Network | None]:
    """CLIP, DINOv2 and, where the profile names it, CSD."""
    how = profile.evaluation
    clip = Network(how.clip, how.clip_revision, home, profile.device)
    dinov2 = Network(how.dinov2, how.dinov2_revision, home, profile.device)
    return clip, dinov2, Network(how.csd, how.csd_revision, home, profile.device) if how.csd else None


class _Loaded:
    """A model on its device, the preparation of its pictures, and its tokenizer where it reads words."""

    def __init__(self, model: Any, processor: Any, device: str, tokenizer: Any = None) -> None:
        settle_precision()
        self.model = model.eval().requires_grad_(False).to(device)
        self.processor = processor
        self.tokenizer = tokenizer
        self.device = device

    def see(self, pictures: "Sequence[np.ndarray]") -> tuple[Any, Any]:
        """The network's vector for each picture, (n, k), and its last vectors of each patch, (n, k, rows, columns)."""
        pixels = self.processor(images=list(pictures), return_tensors="pt")["pixel_values"].to(self.device)
        if hasattr(self.model, "get_image_features"):
            seen = self.model.get_image_features(pixels)
        else:
            seen = self.model(pixels)
        patches = seen.last_hidden_state[:, 1:]  # without the picture's own
        side = round(patches.shape[1] ** 0.5)
        whole = seen.image_embeds if hasattr(seen, "image_embeds") else seen.pooler_output
        return whole, patches.transpose(1, 2).unflatten(2, (side, side))


def _embed(network: _Loaded, pictures: "Sequence[np.ndarray]") -> "tuple[np.ndarray, np.ndarray]":
    """Rows of length 1, (n, k): the network's vectors of the pictures, and of their patches on a grid."""
    import numpy as np
    import torch
    from torch.nn.functional import normalize

    settle_precision()
    wholes, places = [], []
    with torch.inference_mode():
        for start in range(0, len(pictures), _AT_ONCE):
            whole, patches = network.see(pictures[start : start + _AT_ONCE])
            wholes.append(normalize(whole, dim=-1).cpu().numpy())
            places.append(on_grid(patches))
    return np.concatenate(wholes).astype(np.float32), np.concatenate(places).astype(np.float32)


@kept
def _clip(asked: Network) -> _Loaded:
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    folder = _folder(asked)
    with _readable(asked.name):
        model = CLIPModel.from_pretrained(folder, use_safetensors=True)
        processor, tokenizer = AutoImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = model.config.text_config.max_position_embeddings
    return _Loaded(model, processor, asked.device, tokenizer)


@kept
def _dinov2(asked: Network) -> _Loaded:
    from transformers import AutoImageProcessor, Dinov2Model

    folder = _folder(asked)
    with _readable(asked.name):
        model = Dinov2Model.from_pretrained(folder, use_safetensors=True)
        return _Loaded(model, AutoImageProcessor.from_pretrained(folder), asked.device)


@kept
def _csd(asked: Network) -> _Loaded:
    from safetensors.torch import load_file
    from transformers import CLIPImageProcessor

    file = _folder(asked) / "model.safetensors"
    if not file.is_file():
        raise MissingRequirement(
            f"{asked.name} holds no model.safetensors, and CSD is not read from a pickle. {_CSD_REMEDY}"
        )
    with _readable(asked.name):
        model = csd_model(load_file(file))
    side = model.config.image_size
    size = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    return _Loaded(model, CLIPImageProcessor(**size), asked.device)


_CSD_REMEDY = "Let the profile's evaluation setting `csd` name yuxi-liu-wired/CSD, or set it to null."


def csd_model(state: Mapping[str, Any]) -> Any:
    """CSD as transformers' `CLIPVisionModelWithProjection`, whose `image_embeds` are the style descriptors.

    `state` has OpenAI's names, the transformer under `backbone.`, the style head as `last_layer_style`; a prefix
    `model.` or `module.` may stand before all. Raises MissingRequirement where tensors are missing or unknown.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    plain = {re.sub(r"^(model|module)\.", "", name): value for name, value in state.items()}
    try:
        tensors = {"visual_projection.weight": plain["last_layer_style"].T.contiguous()}
        for name, value in plain.items():
            if name.startswith("backbone.") and name != "backbone.proj":
                tensors |= _translated(name.removeprefix("backbone."), value)
        width, _, patch, _ = plain["backbone.conv1.weight"].shape
        config = CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=plain["backbone.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
            num_hidden_layers=1 + max(int(n) for n in re.findall(r"resblocks\.(\d+)\.ln_1\.bias", " ".join(plain))),
            num_attention_heads=width // _HEAD_WIDTH,
            patch_size=patch,
            image_size=patch * round((len(plain["backbone.positional_embedding"]) - 1) ** 0.5),
            projection_dim=plain["last_layer_style"].shape[1],
            hidden_act="quick_gelu",
        )
        model = CLIPVisionModelWithProjection(config)
        model.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        raise MissingRequirement(f"These are not the tensors of CSD ({_first_line(error)}). {_CSD_REMEDY}") from error
    return model


def _translated(name: str, value: Any) -> dict[str, Any]:
    for pattern, word in _RENAMED:
        name = re.sub(pattern, word, name)
    before, joined, kind = name.partition("in_proj_")
    if not joined:
        return {name: value}
    return {f"{before}{part}_proj.{kind}": rows for part, rows in zip("qkv", value.chunk(3), strict=True)}


def _folder(network: Network) -> Path:
    """The local folder of a network: itself, or the snapshot that the hub's client fetched or has in its cache."""
    quiet_libraries()
    return snapshot(network.name, network.revision, _FILES, network.home)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what transformers and safetensors raise over a folder's files into one MissingRequirement."""
    from safetensors import SafetensorError

    try:
        yield
    except ArtMasterError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise MissingRequirement(
            f"The network {name!r} of the profile's evaluation settings cannot be read: {_first_line(error)} Name a "
            "repository or folder that holds it as safetensors, or set `style_features: vgg16`."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
