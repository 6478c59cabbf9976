"""Signals read by models of the hub: HED's edges, Depth Anything's depth, Mask2Former's classes.

None is needed: where one cannot be had, one message names what reads the same without it.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artmaster_pipeline.base_models.networks import snapshot
from artmaster_pipeline.copainting.signals.found import FoundRegions, Signal, likeness, same_three
from artmaster_pipeline.copainting.signals.regions import found_of, ward
from artmaster_pipeline.copainting.signals.superpixels import cut
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.sample_painters.layout import KINDS, Kind
from artmaster_pipeline.settings import Home

if TYPE_CHECKING:
    from torch import Tensor

# name -> (repository, what reads the same without weights)
MODELS = {
    "hed": ("lllyasviel/Annotators@982e7edaec38759d914a963c48c4726685de7d96", "canny"),
    "depth-anything": ("depth-anything/Depth-Anything-V2-Small-hf", "landscape-proxy"),
    "mask2former": ("facebook/mask2former-swin-tiny-ade-semantic", "superpixels"),
}
_HED_FILE = "ControlNetHED.pth"
_FILES = ("*.json", "model*.safetensors")  # neither pickles nor code
_LONG_SIDE = 1024  # pixels at most that a network sees

# What ADE20K's and COCO's names say of a kind; whole words, the first kind that fits
_WORDS: dict[Kind, str] = {
    "sky": "sky|cloud",
    "water": "water|sea|river|lake|waterfall|swimming|fountain",
    "figures": "person|people|animal|horse|cow|dog|sheep|bird|elephant|cat",
    "trees": "tree|plant|grass|flower|palm|bush|field",
    "rock": "mountain|rock|hill|stone|earth|land|dirt|sand",
    "buildings": "building|house|wall|skyscraper|tower|bridge|hovel|roof|pier|hut|fence|door|windowpane|column|stairs",
    "blank": "paper|blank",
}


def missing(name: str, error: Exception) -> MissingRequirement:
    """What a person is told where a model cannot be had."""
    repository, instead = MODELS[name]
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return MissingRequirement(
        f"The signal cannot be read by {name} ({repository}): {reason.rstrip('.')}. Use the source {instead} instead, "
        f"which needs no model, or name a folder that holds the model: {name}=FOLDER."
    )


def read_by(name: str, where: str, picture: np.ndarray, home: Home | None) -> Signal:
    """The signal of a picture that a model reads; `where` is a folder or repository other than the usual one.

    Sureness: the correlation with what the model says of the mirrored picture, mirrored back.
    Raises MissingRequirement where the model cannot be had.
    """
    try:
        ask = _opened(name, where or MODELS[name][0], home)
    except (OSError, ValueError, KeyError, RuntimeError, MissingRequirement) as error:
        raise missing(name, error) from error
    found = ask(picture)
    sureness = likeness(found, ask(np.ascontiguousarray(picture[:, ::-1]))[:, ::-1])
    kind, what = ("edges", "edges") if name == "hed" else ("depth", "depth, learned from photographs")
    doubt = "" if name == "hed" else "; on blank space it is unreliable: look at it and paint over what is wrong"
    says = f"{what}: {sureness:.2f} alike for the mirrored picture{doubt}"
    return Signal(kind, name, same_three(found), sureness, says)  # type: ignore[arg-type]


def _opened(name: str, where: str, home: Home | None) -> Callable[[np.ndarray], np.ndarray]:
    return _hed(where, home) if name == "hed" else _depth_anything(where, home)


def _hed(where: str, home: Home | None) -> Callable[[np.ndarray], np.ndarray]:
    """Holistically-nested edges (Xie and Tu 2015) with the weights that ControlNet's authors retrained (Apache-2.0).

    The file is torch's own format, read with `weights_only`: tensors and nothing else are built from it.
    """
    import torch

    repository, _, commit = where.partition("@")
    folder = Path(where).expanduser()
    if not folder.is_dir():
        from artmaster_pipeline.base_models.hub import commit_of, fetched

        folder = fetched(repository, commit_of(repository, commit or None, home), _HED_FILE).parent
    file = folder / _HED_FILE
    if not file.is_file():
        raise OSError(f"{file} is not there")
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader has an error of its own for each way in which a file can be bad
        raise ValueError(f"{file} is no whole file of tensors alone") from error

    def ask(picture: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return _enlarged(torch.sigmoid(_hed_sides(weights, _as_tensor(picture)).mean(0)), picture)

    return ask


def _hed_sides(weights: dict[str, Any], x: "Tensor") -> "Tensor":
    """The five side outputs at the first one's size, 5 x rows x columns, before the sigmoid."""
    import torch
    from torch.nn.functional import conv2d, interpolate, max_pool2d, relu

    sides: list[Tensor] = []
    x = x - weights["norm"].float()
    for block in range(1, 6):
        x = max_pool2d(x, 2) if block > 1 else x
        layer = 0
        while (name := f"block{block}.convs.{layer}") + ".weight" in weights:
            x = relu(conv2d(x, weights[f"{name}.weight"].float(), weights[f"{name}.bias"].float(), padding=1))
            layer += 1
        name = f"block{block}.projection"
        side = conv2d(x, weights[f"{name}.weight"].float(), weights[f"{name}.bias"].float())
        sides.append(side if not sides else interpolate(side, sides[0].shape[-2:], mode="bilinear"))
    return torch.cat(sides, dim=1)[0]


def _as_tensor(picture: np.ndarray) -> "Tensor":
    """1 x 3 x rows x columns of 0..255, at most 1,024 pixels long, in multiples of 16."""
    import torch
    from PIL import Image

    scale = min(1.0, _LONG_SIDE / max(picture.shape[:2]))
    rows, columns = (max(16, round(side * scale / 16) * 16) for side in picture.shape[:2])
    small = np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.LANCZOS))
    return torch.tensor(small).permute(2, 0, 1)[None].float()


def _enlarged(found: "Tensor", picture: np.ndarray) -> np.ndarray:
    from torch.nn.functional import interpolate

    whole = interpolate(found[None, None].float(), picture.shape[:2], mode="bicubic")[0, 0]
    return np.asarray(whole.clamp(0, 1).numpy())


def _depth_anything(where: str, home: Home | None) -> Callable[[np.ndarray], np.ndarray]:
    """Depth Anything V2 (Yang et al. 2024): near is white."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    folder = snapshot(where, None, _FILES, home)
    processor: Any = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    model: Any = AutoModelForDepthEstimation.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
    model.eval()

    def ask(picture: np.ndarray) -> np.ndarray:
        inputs = processor(images=Image.fromarray(picture), return_tensors="pt")
        with torch.inference_mode():
            near = model(**inputs).predicted_depth[0].float()
            return _enlarged((near - near.min()) / (near.max() - near.min()).clamp(min=1e-6), picture)

    return ask


def regions_by_mask2former(where: str, picture: np.ndarray, most: int, home: Home | None) -> FoundRegions:
    """Regions from Mask2Former's classes (Cheng et al. 2022), whose names are put into our kinds.

    Sureness: the mean probability of the region's kind. Raises MissingRequirement where the model cannot be had.
    """
    try:
        chances = _class_chances(where or MODELS["mask2former"][0], picture, home)
    except (OSError, ValueError, KeyError, RuntimeError, MissingRequirement) as error:
        raise missing("mask2former", error) from error
    pixels = cut(picture)
    rows, columns = pixels.labels.shape
    near = [np.minimum(np.arange(n) * m // n, m - 1) for n, m in zip((rows, columns), chances.shape[:2], strict=True)]
    of_superpixel = pixels.means(chances[near[0][:, None], near[1][None, :]])
    features = np.sqrt(np.maximum(of_superpixel, 0))
    sizes = pixels.sizes / pixels.sizes.sum()
    merged = ward(features, sizes, pixels.neighbours(), most, 0.005, 0.012)
    found = found_of(pixels, merged, of_superpixel, picture.shape[:2])
    return FoundRegions(found.labels, found.regions, "mask2former", found.says)


def _class_chances(where: str, picture: np.ndarray, home: Home | None) -> np.ndarray:
    """Probabilities of our kinds at the network's own size, float64 (rows, columns, 8), summing to one."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForUniversalSegmentation

    folder = snapshot(where, None, _FILES, home)
    processor: Any = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    model: Any = AutoModelForUniversalSegmentation.from_pretrained(
        folder, use_safetensors=True, trust_remote_code=False
    )
    inputs = processor(images=Image.fromarray(picture), return_tensors="pt")
    with torch.inference_mode():
        said = model.eval()(**inputs)
        classes = said.class_queries_logits[0].float().softmax(-1)[:, :-1]  # the last one is "nothing"
        masks = said.masks_queries_logits[0].float().sigmoid()
        scores = torch.einsum("qc,qhw->hwc", classes, masks).numpy().astype(np.float64)
    names = model.config.id2label
    table = np.zeros((scores.shape[2], len(KINDS)))
    for number in range(scores.shape[2]):
        table[number, KINDS.index(kind_of_name(str(names[number])))] = 1
    chances = scores @ table + 1e-9
    return np.asarray(chances / chances.sum(2, keepdims=True))


def kind_of_name(name: str) -> Kind:
    """The kind that a class of ADE20K or COCO is of: "other" where none of its words is known."""
    for kind, words in _WORDS.items():
        if re.search(rf"\b({words})s?\b", name.lower()):
            return kind
    return "other"
