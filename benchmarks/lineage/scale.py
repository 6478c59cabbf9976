"""How long a question about lineage takes in a large archive: by the index, and by scanning the manifests.

    python benchmarks/lineage/scale.py                                # 100,000 artworks, 1,000,000 crops, 500 adapters
    python benchmarks/lineage/scale.py --artworks 10000 --adapters 50 # a tenth

The archive is made of records alone, as the stages write them: each painter has a register, crops, a training set, an
adapter with its snapshot, an evaluation and a site. Each question is asked in a process of its own, which says its own
time (without Python's start and imports) and its largest memory; the medians of several such processes are printed.
Scanning is the product's own fallback, asked in the same run. It prints the table of docs/benchmarks.md.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HASHES = 64  # hexadecimal digits of a sha256


def named(*parts: object) -> str:
    """A made-up sha256."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def line(row: dict) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def make(root: Path, artworks: int, crops: int, adapters: int) -> None:
    """The records of `adapters` painters with one adapter each, `artworks` and `crops` divided among them."""
    works, of_each = artworks // adapters, crops // artworks
    for number in range(adapters):
        make_painter(root, f"painter-{number}", works, of_each)


def make_painter(root: Path, painter: str, works: int, of_each: int) -> None:
    scans, cut, images = [], [], []
    for work in range(works):
        sha256 = named(painter, work)
        scan = {"id": sha256[:16], "painter": painter, "path": f"{work}.jpg", "sha256": sha256, "bytes": 4_000_000}
        scan |= {"width": 3000, "height": 4000, "format": "JPEG", "colour": "sRGB", "notes": [], "season": ""}
        scan |= {"title": f"Mountain {work} of {painter}", "accession_number": f"{painter}.{work}", "date": "1952"}
        scans.append(scan | {"subject": "", "caption": "", "rights": "In the public domain"})
        for number in range(of_each):
            key = named(painter, work, number)
            of = {"painter": painter, "scan_id": sha256[:16], "scan_sha256": sha256, "sha256": named(key)}
            crop = {"id": key[:16], "path": f"images/{key[:16]}.png", "mask_path": f"masks/{key[:16]}.png"}
            box = {"left": 0, "top": number, "right": 512, "bottom": 512 + number, "width": 512, "height": 512}
            cut.append(of | crop | box | {"source_scale": 1.0, "subject_share": 0.7})
            image = {"id": named("image", key)[:16], "crop_id": key[:16], "path": f"images/{key[:16]}.png"}
            image |= {"caption": f"a style, Mountain {work}, mist", "caption_source": "artworks.csv", "enlarged_by": ""}
            part = "held_out" if work % 7 == 6 else "train"
            images.append(of | image | {"width": 512, "height": 512, "split": part, "group": sha256})
    rows = {"register": scans, "crops": cut, "training_set": images}
    for folder, records in rows.items():
        write(root / folder / painter / "manifest.jsonl", sorted(records, key=lambda row: row["id"]))
    key = named("adapter", painter)[:16]
    trained = [image for image in images if image["split"] == "train"]
    adapter = {
        "id": key, "painter": painter, "path": f"adapters/{painter}/{key}", "sha256": named("weights", painter),
        "profile": "miniature", "base_model": "miniature", "base_revision": "b" * 16, "trigger": "a style",
        "training_set_hash": "c" * HASHES, "training_image_ids": sorted(image["id"] for image in trained),
        "scan_sha256s": sorted({image["scan_sha256"] for image in trained}), "seed": 0, "steps": 400,
        "settings": {"learning_rate": 1e-3}, "ranks": {f"blocks.{n}.attn.to_q": 8 for n in range(418)},
        "final_loss": 0.4,
    }  # fmt: skip
    write(root / "adapters" / painter / "manifest.jsonl", [adapter])
    folder = root / adapter["path"]
    folder.mkdir()
    (folder / "adapter.json").write_text(json.dumps(adapter, indent=1) + "\n", encoding="utf-8")
    snapshot = {"scans": scans, "crops": cut, "training_images": images}
    (folder / "lineage.json").write_text(json.dumps(snapshot, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    samples = [sample(painter, adapter, number, "adapter" if number % 3 else "base") for number in range(42)]
    write(root / "evaluation" / painter / "manifest.jsonl", sorted(samples, key=lambda row: row["id"]))
    site = [each | {"path": f"pictures/{each['id']}.png"} for each in samples[:6]]
    write(root / "gallery" / painter / "manifest.jsonl", sorted(site, key=lambda row: row["id"]))
    said = {"adapters": {key: {"trained_on": adapter["scan_sha256s"]}}}
    (root / "gallery" / painter / "provenance.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def sample(painter: str, adapter: dict, number: int, column: str) -> dict:
    key = named("sample", painter, number)[:16]
    drawn = {"prompt": f"mist {number}", "seed": number, "width": 512, "height": 512, "num_inference_steps": 28}
    drawn |= {"adapter_ids": [adapter["id"]] if column == "adapter" else [], "evaluated_adapter_id": adapter["id"]}
    base = {"id": key, "painter": painter, "column": column, "base_model": "miniature", "base_revision": "b" * 16}
    return drawn | base | {"guidance_scale": 3.5, "path": f"{adapter['id']}/samples/{key}.png", "sha256": named(key)}


def write(file: Path, rows: list[dict]) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"{line(row)}\n" for row in rows), encoding="utf-8")


def picture(root: Path) -> Path:
    """A picture that the archive has evaluated, with what the product writes into it."""
    import numpy as np

    from artmaster_pipeline.pictures import AI_GENERATED, write_png

    painter = "painter-1"
    adapter = named("adapter", painter)[:16]
    key = named("sample", painter, 1)[:16]
    facts = {"id": key, "notice": AI_GENERATED, "prompt": "mist 1", "seed": 1, "adapter": adapter}
    file = root / "evaluation" / painter / adapter / "samples" / f"{key}.png"
    if file.exists():
        return file
    noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    write_png(file, noise, facts)
    return file


def ask(root: Path, question: str, how: str) -> None:
    """One question in this process; prints seconds and MB. The answer's own hash tells whether both ways agree."""
    from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage, index, picture_lineage
    from artmaster_pipeline.settings import Home

    home = Home(root)
    if how == "scanning":
        index.asked_of_index = lambda _home, _question, otherwise: otherwise()
    asked = {
        "an artwork by its sha256": lambda: artwork_lineage(home, named("painter-1", 3)),
        "an artwork by its title": lambda: artwork_lineage(home, "mountain 3 of painter-1"),
        "an adapter": lambda: adapter_lineage(home, named("adapter", "painter-1")[:16]),
        "a picture": lambda: picture_lineage(home, shown),
        "updating": lambda: index.asked_of_index(home, lambda archive: archive.of_scan("x"), lambda: None),
    }
    shown = picture(root)
    begun = time.perf_counter()
    answer = asked[question]()
    seconds = time.perf_counter() - begun
    said = answer.model_dump_json() if hasattr(answer, "model_dump_json") else ""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"seconds": seconds, "MB": memory, "answer": hashlib.sha256(said.encode()).hexdigest()}
    print(json.dumps(result))


def measured(root: Path, question: str, how: str, times: int) -> dict:
    runs = []
    for _ in range(times):
        words = [sys.executable, __file__, "--ask", question, "--how", how, "--home", str(root)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"failed": f"ended with {done.returncode}", "stderr": done.stderr[-400:]}
        runs.append(json.loads(done.stdout))
    return {name: statistics.median(run[name] for run in runs) for name in ("seconds", "MB")} | {
        "answers": {run["answer"] for run in runs}
    }


def table(root: Path, options: argparse.Namespace) -> None:
    print(
        "| question | by the index, s | MB | by scanning, s | MB | times faster |\n|---|---|---|---|---|---|",
        flush=True,
    )
    questions = ["an artwork by its sha256", "an artwork by its title", "an adapter", "a picture"]
    for question in questions:
        fast = measured(root, question, "index", options.times)
        slow = {} if options.no_scanning else measured(root, question, "scanning", options.scans)
        if "failed" in fast or "failed" in slow:
            print(question, fast, slow, file=sys.stderr)
        if "seconds" in fast and "seconds" in slow:
            assert fast["answers"] == slow["answers"], f"{question}: the answers differ"
        ratio = f"{slow['seconds'] / fast['seconds']:.0f}" if "seconds" in slow else slow.get("failed", "")
        cells = [f"{fast['seconds']:.2f}", f"{fast['MB']:.0f}"]
        cells += [f"{slow['seconds']:.1f}", f"{slow['MB']:.0f}"] if "seconds" in slow else ["", ""]
        print(f"| {question} | {' | '.join(cells)} | {ratio} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artworks", type=int, default=100_000)
    parser.add_argument("--crops", type=int, default=0, help="default: ten for each artwork")
    parser.add_argument("--adapters", type=int, default=500)
    parser.add_argument("--times", type=int, default=5, help="processes for each question by the index")
    parser.add_argument("--scans", type=int, default=3, help="processes for each question by scanning")
    parser.add_argument("--no-scanning", action="store_true")
    parser.add_argument("--home", type=Path, help="where the archive is made, or was (default: a temporary folder)")
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    parser.add_argument("--how", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        ask(options.home, options.ask, options.how)
        return
    root = options.home or Path(tempfile.mkdtemp(prefix="lineage-"))
    try:
        crops = options.crops or 10 * options.artworks
        begun = time.perf_counter()
        if not (root / "register").exists():
            make(root, options.artworks, crops, options.adapters)
        size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        print(f"{datetime.datetime.now(datetime.UTC).date()}, {machine}; python {' '.join(sys.argv)}")
        said = f"{options.artworks:,} artworks, {crops:,} crops, {options.adapters:,} adapters"
        print(f"{said}: {size / 1e6:,.0f} MB of records, made in {time.perf_counter() - begun:.0f} s")
        shutil.rmtree(root / ".cache", ignore_errors=True)
        first = measured(root, "updating", "index", 1)
        index = root / ".cache" / "lineage" / "records.sqlite"
        (root / "register" / "painter-0" / "manifest.jsonl").touch()
        one = measured(root, "updating", "index", 1)
        print(
            f"The index: {index.stat().st_size / 1e6:,.0f} MB, made in {first['seconds']:.1f} s with {first['MB']:.0f} "
            f"MB of memory; after one painter's register changed, {one['seconds']:.2f} s.",
            flush=True,
        )
        table(root, options)
    finally:
        if not options.home:
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
