"""The adapter's model card: README.md as the Hugging Face hub reads it, with licence, pictures and a way to load it."""

from collections import Counter
from pathlib import Path
from typing import Any, get_args

from artmaster_pipeline.adapters.ancestry import only_inherited
from artmaster_pipeline.adapters.describing import known_family, tags_of, title_of
from artmaster_pipeline.adapters.folder import (
    CARD,
    CONFIG,
    KEPT,
    LIVE,
    LOG,
    LORA,
    LOSS_PLOT,
    MADE,
    RANK_PLOT,
    SAMPLES,
    SAMPLES_SHEET,
    STATE,
    WATCH,
    WATCH_PLOT,
    made_on,
)
from artmaster_pipeline.base_models import describe_base
from artmaster_pipeline.pictures import read_facts
from artmaster_pipeline.records import ADAPTER_RECORD, SNAPSHOT, Adapter, AdapterSnapshot, Split
from artmaster_pipeline.settings import Home, load_painter

_TEMPLATE = Path(__file__).parent / "model_card.md.jinja"
_FILES = {  # what may lie in an adapter's folder, and what each is
    LORA: "the adapter: a folded LoRA, fp32, in diffusers' names. The only file for other programs.",
    f"{LIVE}/{STATE}": "the live AdaLoRA (A, B and E of every layer) that it was folded from. Safetensors, under a "
    "name that no other program takes for the adapter.",
    f"{LIVE}/{CONFIG}": "what rebuilds the live AdaLoRA from its tensors.",
    f"{KEPT}/": "the adapter as it was after earlier steps, under such names, too.",
    ADAPTER_RECORD: "this adapter's record.",
    SNAPSHOT: "the records that it was made from: every scan by sha256, with its crops and captions.",
    MADE: "the day on which it was made.",
    LOG: "step, epoch, losses, learning rate and total rank of every step.",
    WATCH: "losses on the validation works, and the panel's readings, by step.",
    LOSS_PLOT: "the losses by step.",
    RANK_PLOT: "ranks by step and by layer.",
    WATCH_PLOT: "loss on validation works and the panel's score by step.",
    f"{SAMPLES}/": "the last pictures drawn while training, with their prompts in them.",
    SAMPLES_SHEET: "pictures drawn while training: a row for each prompt, a column for each step.",
}


def model_card(home: Home, adapter: Adapter, snapshot: AdapterSnapshot, folder: Path) -> str:
    """The text of README.md for the files that lie in `folder`."""
    import jinja2

    settings = load_painter(home, adapter.painter)
    trained_on = set(adapter.scan_sha256s)
    inherited = only_inherited(adapter, snapshot.inherited)
    learnt = [*(s for s in snapshot.scans if s.sha256 in trained_on), *(each.scan for each in inherited)]
    rights = Counter(one_line(s.rights or settings.rights) or "not stated" for s in learnt)
    environment = jinja2.Environment(  # noqa: S701 - Markdown, made safe by the filter below
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["line"] = one_line
    works = {part: len({i.work for i in snapshot.training_images if i.split == part}) for part in get_args(Split)}
    ranks = [rank for rank in adapter.ranks.values() if rank]
    base = describe_base(adapter.base_model)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        front=_front_matter(adapter, folder),
        title=title_of(adapter, settings.name),
        adapter=adapter,
        base=base,
        painter=settings,
        rights=sorted(rights.items()),
        works=works,
        inherited=len(inherited),
        curation=curation_by_persons(snapshot),
        total_rank=sum(ranks),
        largest_rank=max(ranks, default=0),
        layers=len(adapter.ranks),
        left_out=len(adapter.ranks) - len(ranks),
        made=made_on(folder),
        pictures=bool(_pictures(adapter, folder)),
        arguments=_arguments(adapter),
        plots={"loss": LOSS_PLOT, "ranks": RANK_PLOT},
        lora=LORA,
        card=CARD,
        files={name: says for name, says in _FILES.items() if _will_be_there(folder, name)},
    )


def curation_by_persons(snapshot: AdapterSnapshot) -> str:
    """What persons decided about an adapter's scans, in a sentence without names; empty where they decided nothing."""
    if not any(work.decisions for work in snapshot.curated):
        return ""
    said = [[each.what for each in work.decisions if each.what in ("keep", "leave out")] for work in snapshot.curated]
    left_out = sum(words[-1:] == ["leave out"] for words in said)
    places = sum(each.box is not None for work in snapshot.curated for each in work.decisions)
    drawn = sum(bool(crop.by) for crop in snapshot.crops)
    return (
        f"Persons reviewed the curation: scans left out {left_out}, places drawn or corrected {places}, crops drawn by "
        f"hand {drawn}."
    )


def _arguments(adapter: Adapter) -> dict[str, Any]:
    """The pipeline's arguments that draw as was chosen for the adapter; none where nothing was."""
    drawing = adapter.drawing
    family = known_family(adapter.base_model)
    if drawing is None:
        return {}
    if family is None:
        return {"guidance_scale": drawing.guidance_scale}
    without, guidance = family.negative_prompt(drawing), family.guidance_arguments(drawing)
    return {**guidance, **({} if without is None else {"negative_prompt": without})}


def _front_matter(adapter: Adapter, folder: Path) -> str:
    """The card's metadata as YAML (https://huggingface.co/docs/hub/model-cards), without the lines around it."""
    from huggingface_hub import ModelCardData

    base = describe_base(adapter.base_model)
    licence = base.licence
    data = ModelCardData(
        base_model=base.name,
        library_name="diffusers",
        pipeline_tag="text-to-image",
        license=licence.id if licence else "unknown",
        license_name=licence.name or None if licence else None,
        license_link=licence.link or None if licence else None,
        tags=["text-to-image", "diffusers", "template:sd-lora", *tags_of(adapter.base_model)],
        instance_prompt=adapter.trigger,
        widget=_pictures(adapter, folder) or None,
    )
    return data.to_yaml()


def _pictures(adapter: Adapter, folder: Path) -> list[dict[str, Any]]:
    """What the hub's gallery shows: each picture that lies there with its prompt; the sheet where there is no other."""
    files = sorted((folder / SAMPLES).glob("*.png"))
    found = [
        {"text": str(read_facts(file).get("prompt") or adapter.trigger), "output": {"url": f"{SAMPLES}/{file.name}"}}
        for file in files
    ]
    if not found and (folder / SAMPLES_SHEET).is_file():
        found = [{"text": adapter.trigger, "output": {"url": SAMPLES_SHEET}}]
    return found


def _will_be_there(folder: Path, name: str) -> bool:
    """Whether the card has to name a file or folder; the records are written after the card."""
    return name in (ADAPTER_RECORD, SNAPSHOT) or (folder / name).exists()


def one_line(text: str) -> str:
    """Text from an archive as one line of Markdown in which nothing is mark-up."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return "".join(f"\\{c}" if c in r"\`*_[]<>|#" else c for c in line)
