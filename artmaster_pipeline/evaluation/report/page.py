"""The report on an adapter as one page beside its grid: verdict, grid, panel, copies, training, data set.

The page needs nothing from elsewhere: its pictures lie in the same folder, its plots are drawn into it.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from artmaster_pipeline.axes import AXES, AXIS_WORDS
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.evaluation.panel.compare import Contest
from artmaster_pipeline.files import inside, sha256_of, write_text, writing
from artmaster_pipeline.pictures import AI_GENERATED
from artmaster_pipeline.records import MANIFEST, Adapter, Sample, Scan, TrainingImage, Verdict, read_manifest
from artmaster_pipeline.settings import Home, Profile, load_painter
from artmaster_pipeline.templates import html_templates
from artmaster_pipeline.training.monitoring.watch import sample_prompts

REPORT = "report.html"
_NEAREST = 6  # samples shown beside their nearest training work when none is a suspect
_THUMBNAIL = 320  # pixels
_LOW, _HIGH = -0.5, 1.5  # of the scale on which scores are drawn
_PLOTS = {  # of the adapter's folder, and what each shows
    "loss.png": "Training loss by step",
    "watch.png": "Loss on validation works by step, and the validation panel's score, by which the state was chosen",
    "samples.png": "Pictures drawn while training, by step, a row for each of these prompts",
    "ranks.png": "Ranks by step and by layer",
}
_HEADINGS: dict[str, str] = {axis: AXIS_WORDS[axis].capitalize() for axis in AXES}


def write_report(
    home: Home,
    adapter: Adapter,
    profile: Profile,
    images: Sequence[TrainingImage],
    samples: Sequence[Sample],
    panel: dict[str, Any],
    verdict: Verdict,
    contest: Contest | None = None,
) -> Path:
    """Write report.html and the pictures it needs; gives its path. Files that would not change are left alone."""
    folder = home.evaluation(adapter.painter) / adapter.id
    for name in _PLOTS:
        source = inside(home.root, adapter.path) / name
        if source.is_file() and not _same(source, folder / name):
            with writing(folder / name) as temporary:
                shutil.copyfile(source, temporary)
    memorisation = panel["memorisation"]
    shown = memorisation["nearest"][: max(_NEAREST, memorisation["suspects"])]
    titles = {scan.sha256: scan.title or Path(scan.path).stem for scan in _scans(home, adapter.painter)}
    text = (
        html_templates("artmaster_pipeline.evaluation.report")
        .get_template("report.html.jinja")
        .render(
            painter=load_painter(home, adapter.painter).name,
            adapter=adapter,
            profile=profile,
            panel=panel,
            drawing=DrawingSettings(**panel["drawing"]).in_words() if "drawing" in panel else "",
            verdict=verdict,
            contest=contest,
            notice=AI_GENERATED,
            forest=_forest(panel["axes"], panel.get("style_drawable")),
            likeness=_likeness(panel, adapter),
            against=_forest_of_gains(contest.axes) if contest else [],
            strengths=_line(panel["drift"].get("by_strength", {})),
            nearest=[_pair(home, adapter, row, titles) for row in shown],
            parts=_parts(images),
            captions=Counter(image.caption_source for image in images),
            ranks=sorted(adapter.ranks.items()),
            plots=[(name, said) for name, said in _PLOTS.items() if (folder / name).is_file()],
            drawn=[prompt for prompt, _ in sample_prompts(images, profile.training.validation.samples)],
            grids=sorted(file.name for file in folder.glob("grid-*.png")),
            names=_HEADINGS,
        )
    )
    file = folder / REPORT
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)
    return file


def _forest(axes: dict[str, Any], drawable: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The axes and, below each, its components, as marks between the base (0) and the painter's own works (1).

    `drawable` are the figures of whole style with the works as the base's autoencoder gives them back.
    """
    rows = []
    for axis, figures in _in_order(axes):
        rows.append({"name": _HEADINGS[axis], "main": True, **_mark(figures)})
        rows += [{"name": name, "main": False, **_mark(component)} for name, component in figures["components"].items()]
        if axis == "style" and drawable:
            rows.append({"name": "as far as this base can draw", "main": False, **_mark(drawable)})
    return rows


def _likeness(panel: dict[str, Any], adapter: Adapter) -> list[tuple[str, list[dict[str, Any]]]]:
    """The samples most and least like the works, each with the axes on which it is nearest to them and farthest off.

    Distances count as multiples of what two of the painter's works are apart on that axis.
    """
    of = panel.get("likeness")
    if not of or not any(own > 0 for own in of["own"].values()):  # works that are all the same have no variety
        return []
    groups = []
    for name, words in (("most", "Most like the works"), ("least", "Least like them")):
        rows = []
        for row in of[name]:
            times = {axis: row["axes"][axis] / own for axis, own in of["own"].items() if own > 0}
            ordered = sorted(times, key=lambda axis: times[axis])
            rows.append(
                {
                    **row,
                    "file": row["sample"].removeprefix(f"{adapter.id}/"),
                    "nearest": AXIS_WORDS[ordered[0]],
                    "farthest": AXIS_WORDS[ordered[-1]],
                    "times": times[ordered[-1]],
                }
            )
        groups.append((words, rows))
    return groups


def _mark(figures: dict[str, Any]) -> dict[str, Any]:
    score = figures["score"]
    low, high = figures["score_interval"]
    return {
        "score": score,
        "low": low,
        "high": high,
        "x": None if score is None else _percent(score),
        "left": _percent(_LOW if low is None else low),
        "right": _percent(_HIGH if high is None else high),
        "figures": figures,
    }


def _forest_of_gains(axes: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for axis, figures in _in_order(axes):
        low, high = figures["gain_interval"]
        rows.append({"name": _HEADINGS[axis], "gain": figures["gain"], "low": low, "high": high, "p": figures["p"]})
    return rows


def _in_order(axes: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(axis, axes[axis]) for axis in AXES if axis in axes]


def _percent(score: float) -> float:
    """Where a score stands on the scale, in percent."""
    return round(100 * (min(max(score, _LOW), _HIGH) - _LOW) / (_HIGH - _LOW), 2)


def _line(by_strength: dict[str, float]) -> list[dict[str, Any]]:
    """Points (x, y in percent) of adherence by strength; chance lies at the bottom, always right at the top."""
    if not by_strength:
        return []
    strongest = max(float(strength) for strength in by_strength) or 1.0
    points = sorted((float(strength), value) for strength, value in by_strength.items())
    return [
        {"strength": f"{strength:g}", "value": value, "x": round(100 * strength / strongest, 2),
         "y": round(100 - 200 * (min(max(value, 0.5), 1.0) - 0.5), 2)}
        for strength, value in points
    ]  # fmt: skip


def _pair(home: Home, adapter: Adapter, row: dict[str, Any], titles: dict[str, str]) -> dict[str, Any]:
    """A sample beside its nearest training crop, whose thumbnail is put into the report's folder."""
    from PIL import Image

    folder = home.evaluation(adapter.painter) / adapter.id
    name = f"nearest/{Path(row['crop']).stem}.jpg"
    source, target = inside(home.training_set(adapter.painter), row["crop"]), inside(folder, name)
    if source.is_file() and not target.exists():
        with Image.open(source) as file, writing(target) as temporary:
            picture = file.convert("RGB")
            picture.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
            picture.save(temporary, "JPEG", quality=88)
    return {
        **row,
        "sample_file": row["sample"].removeprefix(f"{adapter.id}/"),
        "crop_file": name if target.exists() else "",
        "title": titles.get(row["scan_sha256"], row["scan_sha256"][:12]),
    }


def _parts(images: Sequence[TrainingImage]) -> list[tuple[str, int, int]]:
    """Part, works, pictures."""
    names = {"train": "Trained on", "validate": "For validation", "held_out": "Held out to judge"}
    return [
        (
            said,
            len({image.work for image in images if image.split == part}),
            sum(image.split == part for image in images),
        )
        for part, said in names.items()
    ]


def _scans(home: Home, painter: str) -> tuple[Scan, ...]:
    return read_manifest(home.register(painter) / MANIFEST, Scan)


def _same(a: Path, b: Path) -> bool:
    return b.is_file() and sha256_of(a) == sha256_of(b)
