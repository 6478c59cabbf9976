"""What an adapter's file says of itself to programs that know nothing of ArtMaster: base, trigger word, ranks, licence.

ModelSpec's entries (https://github.com/Stability-AI/ModelSpec, with sd-scripts' `tags`), and those entries of kohya's
sd-scripts by which other programs know the base (`ss_base_model_version`), show the trigger word (`ss_tag_frequency`)
and the rank (`ss_network_dim`, "Dynamic" where ranks vary, as sd-scripts' resizing writes).
"""

import json
from collections.abc import Iterable

from artmaster_pipeline.base_models import describe_base
from artmaster_pipeline.base_models.family import Base, Family
from artmaster_pipeline.base_models.hub import family_here
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.records import Adapter
from artmaster_pipeline.settings import CROP_SIZES

_AUTHOR = "ArtMaster"  # who wrote the file; the painter did not
_DYNAMIC = "Dynamic"
DIFFUSERS = "diffusers"  # ModelSpec's name of the code whose names the tensors have
TAGS = ("lora", "adalora", "style", "artmaster")


def words_of(
    adapter: Adapter,
    painter_name: str,
    ranks: Iterable[int],
    *,
    implementation: str,
    output_name: str,
    date: str = "",
) -> dict[str, str]:
    """The metadata of a file of `adapter`; `ranks` are those of the file's own layers, without those left out.

    `date` is the day on which the adapter was made. The adapter's own file has none: its bytes follow from what was
    trained, whenever that was.
    """
    base = describe_base(adapter.base_model)
    known = sorted(set(ranks))
    rank = str(known[0]) if len(known) == 1 else _DYNAMIC
    resolution = CROP_SIZES[0]
    words = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{base.architecture}/lora",
        "modelspec.implementation": implementation,
        "modelspec.title": title_of(adapter, painter_name),
        "modelspec.description": _description(adapter, painter_name, base, known),
        "modelspec.author": _AUTHOR,
        "modelspec.tags": ", ".join(tags_of(adapter.base_model)),
        "modelspec.resolution": "x".join(map(str, resolution)),
        "modelspec.trigger_phrase": adapter.trigger,
        "modelspec.usage_hint": f"Say in the prompt: {adapter.trigger}",
        "ss_v2": "False",
        "ss_base_model_version": base.version or base.architecture,
        "ss_sd_model_name": base.name,
        "ss_network_dim": rank,
        "ss_network_alpha": rank,  # every layer's alpha is its rank
        "ss_output_name": output_name,
        "ss_tag_frequency": json.dumps(_tags(adapter), ensure_ascii=False),
        "ss_num_train_images": str(len(adapter.training_image_ids)),
        "ss_steps": str(adapter.step),
        "ss_seed": str(adapter.seed),
        "ss_resolution": str(resolution),
        "artmaster.adapter": adapter.id,
        "artmaster.base_model": f"{base.name}@{adapter.base_revision}",
        "artmaster.largest_rank": str(known[-1] if known else 0),
    }
    if adapter.started_from:
        words["artmaster.started_from"] = adapter.started_from
    family = known_family(adapter.base_model)
    if family is None or family.kohya:
        words["ss_network_module"] = family.kohya.network_module if family and family.kohya else "networks.lora"
    if base.licence:
        words["modelspec.license"] = base.licence.name or base.licence.id
    if date:
        words["modelspec.date"] = date
    return words


def own_words(adapter: Adapter, painter_name: str) -> dict[str, str]:
    """The metadata of the adapter's own file, in diffusers' names: they depend on what was trained alone."""
    ranks = [rank for rank in adapter.ranks.values() if rank]
    name = f"{adapter.painter}-{adapter.id}"
    return words_of(adapter, painter_name, ranks, implementation=DIFFUSERS, output_name=name)


def title_of(adapter: Adapter, painter_name: str) -> str:
    """What the adapter is called in other programs."""
    return f"{painter_name}, adapter {adapter.id}"


def tags_of(base_model: str) -> tuple[str, ...]:
    """The words by which an adapter of that base is found, on the hub and elsewhere."""
    family = known_family(base_model)
    return (*(family.tags if family else ()), *TAGS)


def known_family(base_model: str) -> Family | None:
    """The family of an adapter's base; None where it cannot be told without the hub, or its folder is gone."""
    try:
        return family_here(base_model)
    except WrongUse:  # a folder that holds something else by now
        return None


def _tags(adapter: Adapter) -> dict[str, dict[str, int]]:
    """sd-scripts' folders (repeats_name) with the tags in their captions, and how often: here the trigger word alone.

    Whoever shows the most frequent tag shows the trigger word; what else the captions say stays in lineage.json.
    """
    return {
        f"{adapter.settings.get('repeats', 1)}_{adapter.trigger}": {adapter.trigger: len(adapter.training_image_ids)}
    }


def _description(adapter: Adapter, painter_name: str, base: Base, ranks: list[int]) -> str:
    varied = f"ranks from {ranks[0]} to {ranks[-1]}" if len(ranks) > 1 else f"rank {ranks[0] if ranks else 0}"
    said = [
        f"A style adapter of {base.name} for the hand of {painter_name}, trained on {len(adapter.scan_sha256s)} scans "
        f"({varied}).",
        *(
            [f"It was started from the adapter {adapter.started_from}, whose scans are in it, too."]
            if adapter.started_from
            else []
        ),
        f"Say in the prompt: {adapter.trigger}.",
        "Pictures made with it are AI generated; they are not works of the painter.",
    ]
    if adapter.started_from:
        said.insert(1, f"It was started from the adapter {adapter.started_from}, whose scans are in it, too.")
    if base.licence and base.licence.link:
        said.append(f"Licence of the base model, which holds for the adapter: {base.licence.link}")
    return " ".join(said)
