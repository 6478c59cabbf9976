"""The six assets, one partition per painter. Each calls its room and shows what came of it; the work is in the rooms.

An asset's data version is the hash of its manifest: the same scans and settings give the same version on every machine,
whichever way the asset was started.
"""

from typing import Any

import dagster as dg

from artmaster_pipeline.curation import crop_scans
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.evaluation import evaluate_adapter, validation_panel
from artmaster_pipeline.orchestration import metadata
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.publishing import publish_gallery
from artmaster_pipeline.records import Outcome, identity
from artmaster_pipeline.scans import register_scans
from artmaster_pipeline.settings import Profile
from artmaster_pipeline.training import train_adapter

PAINTERS = dg.DynamicPartitionsDefinition(name="painter")
PROFILE_TAG = "artmaster/profile"  # the settings an asset was made with: name and content


def profile_tag(profile: Profile) -> str:
    """A profile's name and the identity of its settings, so that an edited profile counts as another."""
    return f"{profile.name}-{identity(profile.model_dump(mode='json'))}"


def _result(outcome: Outcome[Any], profile: Profile, **shown: Any) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={**metadata.counts(outcome), **shown},
        data_version=dg.DataVersion(outcome.hash),
        tags={PROFILE_TAG: profile_tag(profile)},
    )


@dg.asset(partitions_def=PAINTERS, group_name="pictures", kinds={"python"}, code_version="1")
def raw_scans(context: dg.AssetExecutionContext, data_home: DataHome) -> dg.MaterializeResult:
    """The painter's scans that can be used: decoded once, identified by sha256, described; the others quarantined."""
    home, painter = data_home.home, context.partition_key
    outcome = register_scans(home, painter, data_home.progress(context))
    thumbnails = [home.register(painter) / "thumbnails" / f"{scan.id}.jpg" for scan in outcome.records]
    return _result(
        outcome,
        data_home.profile(painter),
        formats=metadata.tally(outcome.records, "format"),
        colour=metadata.tally(outcome.records, "colour"),
        scans=metadata.contact_sheet(thumbnails),
        **outcome.figures,
    )


@dg.asset(partitions_def=PAINTERS, group_name="pictures", kinds={"python"}, code_version="1", deps=[raw_scans])
def curated_crops(context: dg.AssetExecutionContext, data_home: DataHome) -> dg.MaterializeResult:
    """512x512 and 512x768 crops that keep each picture's main subject and leave borders out, with saliency masks."""
    home, painter = data_home.home, context.partition_key
    outcome = crop_scans(home, painter, data_home.progress(context))
    return _result(
        outcome,
        data_home.profile(painter),
        crops=metadata.contact_sheet([home.crops(painter) / crop.path for crop in outcome.records]),
        **{"crops that need enlarging": sum(crop.source_scale < 1 for crop in outcome.records)},
        **outcome.figures,
    )


@dg.asset(
    partitions_def=PAINTERS,
    group_name="training",
    kinds={"python", "pytorch"},
    code_version="2",
    deps=[raw_scans, curated_crops],
    pool="gpu",
)
def training_set(context: dg.AssetExecutionContext, data_home: DataHome) -> dg.MaterializeResult:
    """The crops as the trainer sees them: super-resolved where a scan lacked detail, captioned, split by work."""
    home, painter = data_home.home, context.partition_key
    profile = data_home.profile(painter)
    outcome = build_training_set(home, painter, profile, data_home.progress(context))
    return _result(
        outcome,
        profile,
        parts=metadata.tally(outcome.records, "split"),
        enlarged=metadata.tally(outcome.records, "enlarged_by"),
        captions=metadata.table([{"caption": r.caption, "from": r.caption_source} for r in outcome.records[:20]]),
        pictures=metadata.contact_sheet([home.training_set(painter) / r.path for r in outcome.records]),
        **outcome.figures,
    )


@dg.asset(
    partitions_def=PAINTERS,
    group_name="training",
    kinds={"pytorch", "huggingface"},
    code_version="2",
    deps=[training_set],
    pool="gpu",
)
def style_adapter(context: dg.AssetExecutionContext, data_home: DataHome) -> dg.MaterializeResult:
    """An AdaLoRA adapter of the base model for this painter, folded to a plain LoRA that stock diffusers loads."""
    home, painter = data_home.home, context.partition_key
    profile = data_home.profile(painter)
    outcome = train_adapter(home, painter, profile, data_home.progress(context), validation_panel)
    (adapter,) = outcome.records
    folder = home.root / adapter.path
    sheet = folder / "samples.png"
    return _result(
        outcome,
        profile,
        adapter=adapter.id,
        folder=dg.MetadataValue.path(str(folder)),
        artworks=len(adapter.scan_sha256s),
        steps=adapter.steps,
        loss=adapter.final_loss,
        loss_curve=metadata.picture(folder / "loss.png", 720),
        rank_curve=metadata.picture(folder / "ranks.png", 960),
        validation=metadata.picture(folder / "watch.png", 720),
        **({"pictures while training": metadata.picture(sheet, 960)} if sheet.is_file() else {}),
        ranks=metadata.table([{"layer": layer, "rank": rank} for layer, rank in sorted(adapter.ranks.items())]),
        **outcome.figures,
    )


@dg.asset(
    partitions_def=PAINTERS,
    group_name="evaluation",
    kinds={"pytorch"},
    code_version="1",
    deps=[training_set, style_adapter],
    pool="gpu",
)
def evaluation_grid(context: dg.AssetExecutionContext, data_home: DataHome) -> dg.MaterializeResult:
    """Original | base | adapter, the same prompts and seeds; the panel, the verdict and the report of the adapter."""
    home, painter = data_home.home, context.partition_key
    profile = data_home.profile(painter)
    outcome = evaluate_adapter(home, painter, profile, data_home.progress(context))
    folder = home.evaluation(painter) / outcome.records[0].evaluated_adapter_id
    return _result(
        outcome,
        profile,
        grid=metadata.picture(folder / "grid.png", 900),
        report=dg.MetadataValue.path(str(folder / "report.html")),
        open_report=dg.MetadataValue.url((folder / "report.html").as_uri()),
        **outcome.figures,
    )


@dg.asset(
    partitions_def=PAINTERS,
    group_name="gallery",
    kinds={"pytorch", "html"},
    code_version="1",
    deps=[raw_scans, style_adapter, evaluation_grid],
    pool="gpu",
)
def sample_gallery(context: dg.AssetExecutionContext, data_home: DataHome) -> dg.MaterializeResult:
    """A static site of enlarged samples: prompt, seed, adapter, and the artworks it was trained on."""
    home, painter = data_home.home, context.partition_key
    profile = data_home.profile(painter)
    outcome = publish_gallery(home, painter, profile, data_home.progress(context))
    page = home.gallery(painter) / "index.html"
    return _result(
        outcome,
        profile,
        page=dg.MetadataValue.path(str(page)),
        open_page=dg.MetadataValue.url(page.as_uri()),
        samples=metadata.contact_sheet([home.gallery(painter) / r.path for r in outcome.records]),
        **outcome.figures,
    )


ASSETS = (raw_scans, curated_crops, training_set, style_adapter, evaluation_grid, sample_gallery)
