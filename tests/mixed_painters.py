"""Several painters with an adapter each: three published archives of drawn pictures; three experts on a tiny FLUX."""

import json
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import published_gallery
import pytest
import small_archive
import yaml
from sharing import linked_copy
from training_home import PAINTER as TRAINED

from artmaster_pipeline.experts import drawing, samples
from artmaster_pipeline.files import sha256_of, write_text
from artmaster_pipeline.records import MANIFEST, Adapter, identity, read_manifest
from artmaster_pipeline.settings import Home, PainterSettings, Profile, load_profile, save_painter

A, B, C = "a-painter", "b-painter", "c-painter"
SET = f"{A}--{B}--{C}"
PROFILE = load_profile("miniature").model_copy(update={"super_resolution": "realesr-animevideov3-x2"})  # a quick one
THREE_HANDS = {
    "mix": f"composition={A} colour={B} brush={C}",
    "prompts": ["a village by a river", "islands in still water"],
    "seeds": [1, 2],
}


def three_published(home: Home) -> Home:
    """A home of three painters, each with works of its own and a published gallery."""
    for number, painter in enumerate((A, B, C)):
        with _as_painter(painter, 100 * number):
            published_gallery.published(home, rows=2, works=4, held_out=2)
    return home


@contextmanager
def _as_painter(painter: str, offset: int) -> Any:
    """Let the small archive's functions fill the folders of another painter, with other pictures."""
    painted = small_archive.painted
    with pytest.MonkeyPatch.context() as patch:
        for module in (small_archive, published_gallery):
            patch.setattr(module, "PAINTER", painter)
        patch.setattr(published_gallery, "PROFILE", PROFILE)
        patch.setattr(small_archive, "TRIGGER", f"{painter} style")
        weights = partial(small_archive.add_adapter, weights=_lora(offset))
        patch.setattr(small_archive, "add_adapter", weights)
        patch.setattr(small_archive, "painted", lambda seed, *size_and_ink: painted(seed + offset, *size_and_ink))
        yield


def _lora(seed: int) -> bytes:
    """An adapter's file of two small layers."""
    from safetensors.numpy import save

    dice, tensors = np.random.default_rng(seed), {}
    for layer in ("to_q", "to_k"):
        tensors[f"transformer.{layer}.lora_A.weight"] = dice.normal(size=(2, 8)).astype(np.float32)
        tensors[f"transformer.{layer}.lora_B.weight"] = dice.normal(size=(8, 2)).astype(np.float32)
    return bytes(save(tensors))


def write_mixes(home: Home, **mixes: Any) -> None:
    """Write mixes.yaml; an underscore in a name is a hyphen."""
    said = {name.replace("_", "-"): entry for name, entry in mixes.items()}
    (home.root / "mixes.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")


def quick_mixing(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    """`small_archive.quick_drawing` for mixes: gates are not asked for; gives what is drawn (prompt, seed, mixed?)."""
    drawn = small_archive.quick_drawing(monkeypatch)

    @contextmanager
    def mixture(pipe: Any, experts: Any) -> Any:
        assert all((expert.weights / "adapter.safetensors").is_file() for expert in experts)
        pipe.adapter = experts[0].weights
        try:
            yield _Mixing()
        finally:
            pipe.adapter = None

    monkeypatch.setattr(drawing, "mixture", mixture)
    monkeypatch.setattr(drawing, "_gate", lambda *_: None)
    monkeypatch.setattr(drawing, "_heard", lambda _, drawing: "; ".join(text for text, _ in drawing.heard))
    return drawn


def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let mixes be measured in no time: their panel holds no figures but that nothing was copied."""

    def write_panel(home: Home, partition: str, key: str, said: tuple[str, str], *_: Any) -> dict[str, Any]:
        none: dict[str, Any] = {"axes": {}, "nearest": {}, "drift": {"loss": 0.0}, "counts": {}, "judged_by": []}
        panel = {"id": key, "adapter_id": key, said[0]: said[1], "memorisation": {"suspects": 0, "pictures": 1}} | none
        write_text(home.evaluation(partition) / key / "panel.json", json.dumps(panel))
        return panel

    monkeypatch.setattr(samples, "write_panel", write_panel)


class _Mixing:
    def use(self, gates: list[Any]) -> None:
        pass


def three_experts(home: Home, trained: Home, profile: Profile, adapter: Adapter) -> tuple[Adapter, ...]:
    """Fill `home` with three painters that have the trained adapter, each with other weights and other works."""
    from safetensors.torch import load_file, save_file

    (home.root / "profiles").mkdir(parents=True)
    said = profile.model_dump(mode="json", exclude={"name"})
    (home.root / "profiles" / "tiny.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
    found = []
    for sign, painter in enumerate((A, B, C)):
        home.scans(painter).mkdir(parents=True)
        save_painter(home, painter, PainterSettings(name=painter.title(), trigger=f"{painter} style", profile="tiny"))
        key = identity("expert", painter)
        linked_copy(trained.root / adapter.path, home.adapters(painter) / key)
        folder = home.adapters(painter) / key
        ids = {scan: identity(scan, painter) for scan in {sha256[:16] for sha256 in adapter.scan_sha256s}}
        weights = {
            name: tensor * (1 - sign) + 0.05 * sign
            for name, tensor in load_file(folder / "adapter.safetensors").items()
        }
        _replaced(folder / "adapter.safetensors", lambda file, weights=weights: save_file(weights, file))
        for name in ("adapter.json", "lineage.json"):
            text = (folder / name).read_text(encoding="utf-8")
            for old, new in {adapter.id: key, TRAINED: painter, **ids}.items():
                text = text.replace(old, new)
            row = json.loads(text)
            if name == "adapter.json":
                row |= {"sha256": sha256_of(folder / "adapter.safetensors"), "trigger": f"{painter} style"}
            _replaced(folder / name, lambda file, row=row: Path(file).write_text(json.dumps(row), encoding="utf-8"))
        record = (folder / "adapter.json").read_text(encoding="utf-8")
        (home.adapters(painter) / MANIFEST).write_text(record + "\n", encoding="utf-8")
        found += read_manifest(home.adapters(painter) / MANIFEST, Adapter)
    return tuple(found)


def _replaced(file: Path, write: Any) -> None:
    """Write a file anew: what it shares with others by a hard link stays as it is."""
    file.unlink()
    write(file)


def halves(folder: Path, width: int = 512, height: int = 512) -> dict[str, Path]:
    """Two maps of regions: the left half and the right half."""
    from PIL import Image

    found = {}
    for name, half in (("left", slice(0, width // 2)), ("right", slice(width // 2, width))):
        pixels = np.zeros((height, width), dtype=np.uint8)
        pixels[:, half] = 255
        found[name] = folder / f"{name}.png"
        Image.fromarray(pixels).save(found[name])
    return found
