"""The networks beside the base model: what they take when they look at, name or enlarge a picture."""

from functools import cache
from pathlib import Path

from artmaster_pipeline.settings import EMBEDDED_READER, Profile
from artmaster_pipeline.superres.engines import Dtype
from artmaster_pipeline.training.memory.base import BYTES

# Parameters of the networks that the hub gives, by name; they are read in fp32, the captioner in the profile's dtype.
# Counted on models of their published configurations.
PARAMETERS = {
    "openai/clip-vit-large-patch14": 427.6e6,
    "facebook/dinov2-base": 86.6e6,
    "yuxi-liu-wired/CSD": 304.0e6,
    "vvmatorin/CSD": 304.0e6,
    "Qwen/Qwen3-VL-4B-Instruct": 4437.8e6,
}
_UNKNOWN = 430e6  # parameters of a network of the panel that is not known here: as many as the largest of those
_UNKNOWN_CAPTIONER = 4.5e9  # of one on the hub; a folder's files are counted
_VGG = 14.7e6
_VGG_FEATURES = 2.0**28  # bytes, of the pictures that VGG16 sees at once; measured
_SEES = 2.0**28  # bytes, of the 16 pictures that a transformer of the hub sees at once; an estimate


def parameters_of(name: str) -> float:
    """How many numbers a network of the panel has; for one that is not known here, about as many as the largest."""
    return PARAMETERS.get(name.partition("@")[0], _UNKNOWN)


def judging_networks(profile: Profile) -> dict[str, float]:
    """Parts of the panel: the networks that look at style and read prompts, and what they see."""
    how, held = profile.evaluation, 4 * _VGG  # VGG16 finds copies whatever looks at style
    names = {how.clip} if how.adherence == "clip" else set()
    if how.style_features == "hub":
        names |= {name for name in (how.clip, how.dinov2, how.csd) if name}
    sees = _VGG_FEATURES if how.style_features == "vgg16" else _SEES
    return {
        "the panel's networks": held + 4 * sum(map(parameters_of, names)),
        "what they see in pictures": sees,
    }


def captioning(profile: Profile) -> dict[str, float]:
    """Parts of the captioner, where the profile names one."""
    if profile.captioner is None:
        return {}
    if profile.captioner == EMBEDDED_READER:  # VGG16, on pictures one by one
        return {"the captioner": 4 * _VGG, "a picture being described": _VGG_FEATURES / 16}
    if (folder := Path(profile.captioner).expanduser()).is_dir():
        held = float(sum(file.stat().st_size for file in folder.glob("model*.safetensors")))
    else:
        held = PARAMETERS.get(profile.captioner.partition("@")[0], _UNKNOWN_CAPTIONER) * BYTES[profile.dtype]
    return {"the captioner": held, "a picture being described": _SEES}


def enlarging(profile: Profile) -> dict[str, float]:
    """Parts of the super-resolution network and of a tile that goes through it. Raises as `load_network` does."""
    dtype = "float32" if profile.super_resolution_dtype == "float32" else "bfloat16"  # float16 takes as much
    weights, transformed, passing = _enlarger(profile.super_resolution, dtype, profile.super_resolution_engine)
    weights += transformed if profile.device == "cpu" else 0
    return {"super-resolution network": float(weights), "a tile being enlarged": float(passing)}


@cache
def _enlarger(name: str, dtype: Dtype, engine: str) -> tuple[int, int, int]:
    """Bytes of a network, or of all of a family, those that a CPU holds beside them, and of the largest tile."""
    from artmaster_pipeline.superres import load_networks

    networks = load_networks(name, "cpu", dtype, engine).members
    held = sum(network.engine.weight_bytes for network in networks)
    transformed = sum(network.engine.transformed_bytes for network in networks)
    passing = max(network.engine.tile_bytes(network.tile, network.tile) for network in networks)
    return held - transformed, transformed, passing
