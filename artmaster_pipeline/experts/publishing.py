"""The stage mixed_gallery: the mixed pictures of a set of painters that passed, as a site in gallery/<set>/.

It is put together, signed, kept and put in place as a painter's is. Nothing is published unless every expert's own
adapter is, no work that may not be used is in one of them, and the mix itself was judged fit. Of the painters' works
the site shows what all of them let be shown: the strictest rule holds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from artmaster_pipeline import __version__
from artmaster_pipeline.errors import ArtMasterError, NotPublished
from artmaster_pipeline.evaluation.panel.measure import read_panel
from artmaster_pipeline.evaluation.verdicts import last_verdict
from artmaster_pipeline.experts.factors import FACTORS
from artmaster_pipeline.experts.judging import check_judges
from artmaster_pipeline.experts.samples import MixToDraw, samples_of, to_draw
from artmaster_pipeline.experts.style_space import by_pictures, by_weights, chart_svg
from artmaster_pipeline.files import inside
from artmaster_pipeline.gallery import renditions
from artmaster_pipeline.gallery.enlarging import Picture, enlarge_samples
from artmaster_pipeline.gallery.gates import gates_in_words
from artmaster_pipeline.gallery.pages import Contents, picture_files, render, static_files, viewer_layer, works_behind
from artmaster_pipeline.gallery.provenance import Provenance, provenance_json, read_provenance
from artmaster_pipeline.gallery.words import LANGUAGES, Words
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.publishing.publish import publish_site
from artmaster_pipeline.publishing.signing import Site, unsigned
from artmaster_pipeline.publishing.taking_down import take_down
from artmaster_pipeline.records import MANIFEST, PANEL, PROVENANCE, Adapter, Outcome, Sample, Verdict, read_manifest
from artmaster_pipeline.settings import Home, PainterSettings, Profile, load_painter

_CHARTS = ("experts-by-weights.svg", "experts-by-pictures.svg")
_MOST_PICTURES = 12  # of each expert, on the chart


@one_at_a_time
def publish_mixes(home: Home, partition: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Publish gallery/<set>/ with the mixes that passed; gives the records of every picture in the site.

    What shows a withdrawn work is taken down first, whatever comes of the rest. Raises HoldsWithdrawn or NotPublished,
    naming every reason, where an expert or a verdict keeps the mixes back, ArtMasterError where they were not drawn;
    what is published then stays as it is.
    """
    take_down(home, partition, progress)
    mixes = to_draw(home, partition, publishing=True)
    passed = _passed(home, partition, mixes)
    settings = {adapter.painter: load_painter(home, adapter.painter) for adapter in mixes[0].adapters}
    samples = {mix.named.name: samples_of(home, partition, mix) for mix in passed}
    drawn = [sample for of in samples.values() for sample in of]
    single = [sample for mix in passed if not mix.named.is_strip for sample in samples[mix.named.name]]
    provenance = read_provenance(home, mixes[0].adapters[0], drawn)
    enlarged, made, how = enlarge_samples(home, partition, profile, single, progress)
    enlarged = tuple(unsigned(home, partition, picture) for picture in enlarged)
    strips = [_in_strip(s) for mix in passed if mix.named.is_strip for s in samples[mix.named.name]]
    records = (*(picture.record for picture in enlarged), *strips)
    contents = _contents(home, partition, profile, mixes, passed, provenance, settings, enlarged, strips, progress)
    verdicts = {mix.named.name: last_verdict(home.evaluation(partition) / mix.key) for mix in passed}
    said = ", ".join(verdict.id for verdict in verdicts.values() if verdict)
    version = publish_site(home, Site(partition, "", provenance, contents, records), said, progress)
    manifest = home.gallery(partition) / MANIFEST
    works = {scan.sha256 for each in (provenance, *provenance.others) for scan in each.trained_on}
    figures = {"pictures": len(records), "artworks behind them": len(works), "version": version.id} | how
    return Outcome(read_manifest(manifest, Sample), manifest, made, len(records) - made, figures=figures)


def _passed(home: Home, partition: str, mixes: Sequence[MixToDraw]) -> list[MixToDraw]:
    """The mixes that were judged fit. Raises NotPublished, with the reasons for each, where none was."""
    verdicts: dict[str, Verdict | None] = {}
    for mix in mixes:
        verdicts[mix.named.name] = last_verdict(home.evaluation(partition) / mix.key)
    if unjudged := [name for name, verdict in verdicts.items() if verdict is None]:
        raise ArtMasterError(
            f"The mixes {', '.join(unjudged)} of {partition} have not been judged as they are now: run the stage "
            f"mixed_samples first (artmaster run {partition} --until mixed_samples)."
        )
    found = [mix for mix in mixes if (verdict := verdicts[mix.named.name]) and verdict.publish]
    if not found:
        said = " ".join(f"{name}: {' '.join(verdict.reasons)}" for name, verdict in verdicts.items() if verdict)
        raise NotPublished(
            f"No mix of {partition} may be published. {said} To overrule: artmaster gate {partition} --adapter NAME "
            "--publish --reason TEXT"
        )
    panels = {mix.named.name: read_panel(home.evaluation(partition) / mix.key / PANEL) for mix in found}
    check_judges(home, mixes[0].adapters, panels)
    return found


def _in_strip(sample: Sample) -> Sample:
    """The record of a picture of an interpolation as it lies in the site: as it was drawn, not enlarged."""
    return sample.model_copy(update={"path": f"strips/{sample.id}.png"})


def _contents(
    home: Home,
    partition: str,
    profile: Profile,
    mixes: Sequence[MixToDraw],
    passed: Sequence[MixToDraw],
    provenance: Provenance,
    settings: Mapping[str, PainterSettings],
    enlarged: Sequence[Picture],
    strips: Sequence[Sample],
    progress: Progress,
) -> Contents:
    """All files of the site but its manifest."""
    contents = static_files() | picture_files(enlarged)
    drawn = {s.id: s.path for s in read_manifest(home.evaluation(partition) / MANIFEST, Sample)}
    for record in strips:
        file = inside(home.evaluation(partition), drawn[record.id])
        contents[record.path] = file
        contents |= renditions.renditions(record, file)
    works, experts = works_behind(home, provenance, settings)
    contents |= works
    records = [*(picture.record for picture in enlarged), *strips]
    contents[PROVENANCE] = provenance_json(provenance, records).encode()
    charts = _charts(home, partition, profile, mixes[0].adapters, passed, settings, progress)
    contents |= {name: text.encode() for name, text in charts.items()}
    facts = {
        "painters": [settings[adapter.painter] for adapter in mixes[0].adapters],
        "experts": experts,
        "mixes": [_shown(home, partition, mix, records, settings) for mix in passed],
        "kept_back": [mix.named.name for mix in mixes if mix not in passed],
        "charts": list(charts),
        "rights": sorted({scan.rights for e in experts for scan in e["of"].trained_on if scan.rights}),
        "version": __version__,
    }
    return contents | _pages(facts, records)


def _charts(
    home: Home,
    partition: str,
    profile: Profile,
    adapters: Sequence[Adapter],
    passed: Sequence[MixToDraw],
    settings: Mapping[str, PainterSettings],
    progress: Progress,
) -> dict[str, str]:
    """The maps of the experts: by their weights, and by their own pictures and those of the mixes."""
    pictures: dict[str, list[Path]] = {}
    for adapter in adapters:
        root = home.evaluation(adapter.painter)
        rows = [s for s in read_manifest(root / MANIFEST, Sample) if s.adapter_ids == (adapter.id,)]
        pictures[settings[adapter.painter].name] = [inside(root, s.path) for s in rows[:_MOST_PICTURES]]
    for mix in (mix for mix in passed if not mix.named.is_strip):
        of = samples_of(home, partition, mix)[:_MOST_PICTURES]
        pictures[f"{mix.named.name} (mix)"] = [inside(home.evaluation(partition), s.path) for s in of]
    weights = chart_svg(by_weights(home, adapters), "Experts by what they change in the base's weights")
    looks = by_pictures(home, profile, {name: of for name, of in pictures.items() if of}, progress)
    return {_CHARTS[0]: weights, _CHARTS[1]: chart_svg(looks, "Experts and mixes by what their pictures look like")}


def _shown(
    home: Home,
    partition: str,
    mix: MixToDraw,
    records: Sequence[Sample],
    settings: Mapping[str, PainterSettings],
) -> dict[str, Any]:
    """A mix as the page shows it."""
    own = [record for record in records if record.mix == mix.named.name]
    panel = read_panel(home.evaluation(partition) / mix.key / PANEL)
    nearest = {factor: min(of, key=of.__getitem__) for factor, of in panel.get("nearest", {}).items() if of}
    strips: dict[tuple[str, int], list[Sample]] = {}
    for record in own if mix.named.is_strip else ():
        strips.setdefault((record.prompt, record.seed), []).append(record)
    return {
        "name": mix.named.name,
        "words": gates_in_words(mix.steps[0].record()),
        "ends": [settings[painter].name for painter in mix.named.painters] if mix.named.is_strip else [],
        "pictures": [] if mix.named.is_strip else own,
        "strips": [sorted(of, key=lambda record: record.gates["step"]) for of in strips.values()],
        "nearest": [{"factor": factor, "painter": settings[nearest[factor]].name} for factor in FACTORS if nearest],
        "suspects": panel.get("memorisation", {}).get("suspects"),
    }


def _pages(facts: dict[str, Any], records: Sequence[Sample]) -> dict[str, bytes]:
    return {t.page("index"): render("mixed.html", "index", t, facts | _seen(t, records)) for t in LANGUAGES}


def _seen(t: Words, records: Sequence[Sample]) -> dict[str, Any]:
    """What the viewer opens, by the picture's id."""
    layers = (viewer_layer(r, str(t("mixed")), str(t("picture_alt", prompt=r.prompt).unescape())) for r in records)
    return {"layers": {record.id: [layer] for record, layer in zip(records, layers, strict=True)}}
