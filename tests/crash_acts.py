"""What `crash_points.sweep` kills: the stages, one after the other, and what persons do to a finished painter.

Started as a program by `forked.run`: `build FOLDER FLUX` makes the homes from which the acts begin, `sweep FOLDER ACT
MOST SEED WORKPLACE killed|full` stops one of them and prints what was found as JSON.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crash_points import Act, in_fork, run, sweep
from sharing import linked_copy

from artmaster_pipeline import versioning
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import MANIFEST, Adapter, read_manifest
from artmaster_pipeline.settings import Home, default_painter, save_painter
from artmaster_pipeline.stages import STAGES, stage_named

PAINTER = "a-painter"
PROFILE = """
base_model: {flux}
device: cpu
dtype: float32
size_divisor: 16
max_sequence_length: 16
max_unread: 1.0
super_resolution: realesr-animevideov3-x2
training: {{learning_rate: 1.0e-2, epochs: 1, repeats: 2, batch_size: 2, max_steps: 6, init_r: 4, target_r: 2,
           allocate_every: 2, checkpoint_every: 2}}
evaluation: {{rows: 1, samples: 2, num_inference_steps: 1, far_prompts: [a bowl of fruit], far_samples: 1,
             strengths: []}}
gate: {{better_than_base: [], max_drift: 1, max_suspects: 100, not_worse_than_published: false}}
"""
DONE = "done"  # the home after all stages, each committed


def stage(name: str) -> Act:
    """The act that makes a stage."""

    def made(home: Home, progress: Progress) -> object:
        from artmaster_pipeline.curation.crops import cropping
        from artmaster_pipeline.orchestration.assets import make
        from artmaster_pipeline.scans import registering

        registering._THREADS = cropping._THREADS = 1  # so that points come in the same order each time
        return make(home, stage_named(name), PAINTER, progress)

    return made


def first_commit(home: Home, progress: Progress) -> object:
    return versioning.commit_stage(home, "raw_scans", PAINTER)


def withdrawal(home: Home, progress: Progress) -> object:
    from artmaster_pipeline.withdrawal import withdraw_artwork

    return withdraw_artwork(home, _trained_on(home), "The heirs asked for it", "somebody", purge=True)


def renaming(home: Home, progress: Progress) -> object:
    from artmaster_pipeline.orchestration.painters import rename_painter

    return rename_painter(home, PAINTER, "renamed")


def removal(home: Home, progress: Progress) -> object:
    from artmaster_pipeline.orchestration.painters import remove_painter

    return remove_painter(home, PAINTER)


def addition(home: Home, progress: Progress) -> object:
    from artmaster_pipeline.scans import add_scans

    return add_scans(home, "another", home.root.parent / "archive")


ACTS: dict[str, tuple[str, Act]] = {
    **{name: (name, stage(name)) for name in STAGES},
    "first commit": ("curated_crops", first_commit),
    "withdrawal": (DONE, withdrawal),
    "renaming": (DONE, renaming),
    "removal": (DONE, removal),
    "addition": (DONE, addition),
}

_UNIT = {"curated_crops": 15}  # a scan's crops and masks are cut from one decoding


def build(folder: Path, flux: Path) -> None:
    """Make the home as it is before each stage, and after the last."""
    home = Home(folder / "home")
    told = in_fork(lambda: _begin(home, flux) or {})
    assert not told.status, told.said
    for name in STAGES:
        linked_copy(home.root, folder / name)
        ended = run(stage(name), home)
        assert not ended.status, ended.said
    told = in_fork(lambda: _commit_all(home) or {})
    assert not told.status, told.said
    home.root.rename(folder / DONE)


def _begin(home: Home, flux: Path) -> None:
    import made_scans

    for seed in range(3):
        made_scans.write(home.scans(PAINTER) / f"{seed}.jpg", seed, 540, 800)
    (home.root / "profiles").mkdir()
    (home.root / "profiles" / "tiny.yaml").write_text(PROFILE.format(flux=flux))
    save_painter(home, PAINTER, default_painter(PAINTER).model_copy(update={"profile": "tiny"}))
    for seed in range(3, 5):
        made_scans.write(home.root.parent / "archive" / f"{seed}.jpg", seed)


def _commit_all(home: Home) -> None:
    for name in STAGES:
        versioning.commit_stage(home, name, PAINTER)


def _trained_on(home: Home) -> str:
    (adapter,) = read_manifest(home.adapters(PAINTER) / MANIFEST, Adapter)
    return adapter.scan_sha256s[0]


def look(home: Home) -> list[str]:
    """What is wrong with a home, by its own records."""
    ended = in_fork(lambda: {"seen": _wrong(home)})
    return ended.seen if not ended.status else [ended.said]


def _wrong(home: Home) -> list[str]:
    from artmaster_pipeline.lineage.verifying import verify

    try:
        return [f"{finding.what} {finding.file}: {finding.says}" for finding in verify(home).findings]
    except WrongUse as error:  # there is nothing to verify yet
        return [str(error)] if home.painters() else []


def truncated(folder: Path, name: str, bytes_lost: int, workplace: Path) -> dict[str, Any]:
    """What is said of a finished home whose manifest of a stage lost its end, and what a run of it makes of that."""
    home = Home(linked_copy(folder / DONE, workplace))
    manifest = home.stage_folder(name, PAINTER) / MANIFEST
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-bytes_lost] if bytes_lost else b"".join(whole.splitlines(keepends=True)[:-1]))
    found = look(home)
    ended = run(stage(name), home)
    return {"found": found, "said": ended.said, "healed": manifest.read_bytes() == whole, "after": look(home)}


def main(words: list[str]) -> None:
    if words[0] == "truncated":
        json.dump(truncated(Path(words[1]), words[2], int(words[3]), Path(words[4])), sys.stdout)
        return
    if words[0] == "build":
        build(Path(words[1]), Path(words[2]))
        return
    folder, act, most, seed, workplace, how = words[1:]
    start, doing = ACTS[act]
    linked_copy(Path(folder) / "archive", Path(workplace) / "archive")  # beside the home, as where the homes were made
    swept = sweep(
        Home(Path(folder) / start),
        doing,
        Path(workplace),
        look,
        int(most),
        int(seed),
        _UNIT.get(act, 0),
        full=how == "full",
    )
    json.dump(asdict(swept), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
