"""`artmaster export`: the same change of weights in a file of another program's spelling."""

import hashlib
import json
import random
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from sharing import linked_copy, unlinked
from tiny_flux import tiny_transformer, transformer_config
from training_home import PAINTER
from typer.testing import CliRunner

from artmaster_pipeline.adapters import exporting
from artmaster_pipeline.adapters.exporting import export_adapter, to_kohya, to_one_rank
from artmaster_pipeline.adapters.tensor_file import read_words, tensors_hash, write_tensors
from artmaster_pipeline.base_models.flux.descriptor import FAMILY
from artmaster_pipeline.cli import app
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.records import MANIFEST, write_manifest
from artmaster_pipeline.settings import Home
from artmaster_pipeline.training import train_adapter

# What ComfyUI and sd-scripts call a linear of Black Forest Labs' FLUX, with the layers of diffusers' FLUX whose output
# rows follow each other in it. Written out a second time: the package's own table is what is under test.
DOUBLE = {
    "img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
    "img_attn.proj": ["attn.to_out.0"],
    "img_mlp.0": ["ff.net.0.proj"],
    "img_mlp.2": ["ff.net.2"],
    "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    "txt_attn.proj": ["attn.to_add_out"],
    "txt_mlp.0": ["ff_context.net.0.proj"],
    "txt_mlp.2": ["ff_context.net.2"],
}
SINGLE = {"linear1": ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"], "linear2": ["proj_out"]}


def targets(transformer) -> dict:
    return {name: module for name, module in transformer.named_modules() if re.fullmatch(FAMILY.adapted_layers, name)}


def random_folded(transformer, *, kind: str = "", without: tuple[str, ...] = (), seed: int = 0) -> dict:
    """A folded LoRA on a transformer's layers as `fold` gives it: ranks from 1 to 5, some layers left out."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    folded = {}
    for n, (name, module) in enumerate(targets(transformer).items()):
        if not name.startswith(kind) or name in without:
            continue
        rank = 1 + n % 5
        a = torch.randn(rank, module.in_features, generator=chance)
        b = torch.randn(module.out_features, rank, generator=chance)
        folded[f"transformer.{name}.lora_A.weight"] = a / module.in_features**0.5
        folded[f"transformer.{name}.lora_B.weight"] = b * 0.3
        folded[f"transformer.{name}.alpha"] = torch.tensor(float(rank))
    return folded


def delta(folded: dict, layer: str, module):
    """What a folded LoRA adds to a layer's weight; zeros where it leaves the layer out."""
    import torch

    name = f"transformer.{layer}"
    if f"{name}.alpha" not in folded:
        return torch.zeros_like(module.weight)
    return folded[f"{name}.lora_B.weight"] @ folded[f"{name}.lora_A.weight"]


def comfy_deltas(kohya: dict) -> dict:
    """ComfyUI's reading of a LoRA file: what it adds to `double_blocks.0.img_attn.qkv` and all others, by that name."""
    deltas = {}
    for name in (key.removesuffix(".alpha") for key in kohya if key.endswith(".alpha")):
        up, down = kohya[f"{name}.lora_up.weight"], kohya[f"{name}.lora_down.weight"]
        kind, block, linear = re.fullmatch(r"lora_unet_(double|single)_blocks_(\d+)_(\w+)", name).groups()
        linear = re.sub(r"^(img|txt)_(attn|mlp)_", r"\1_\2.", linear)
        deltas[f"{kind}_blocks.{block}.{linear}"] = kohya[f"{name}.alpha"] / len(down) * up @ down
    return deltas


def layers_of(comfy_name: str) -> list[str]:
    """The layers of diffusers' FLUX that one linear of ComfyUI's is made of, from its first output row on."""
    kind, block, linear = comfy_name.split(".", 2)
    parts, prefix = (DOUBLE, "transformer_blocks") if kind == "double_blocks" else (SINGLE, "single_transformer_blocks")
    return [f"{prefix}.{block}.{part}" for part in parts[linear]]


def predict(transformer):
    import torch

    chance = torch.Generator().manual_seed(3)
    config = transformer.config
    with torch.no_grad():
        return transformer(
            hidden_states=torch.randn(1, 6, config.in_channels, generator=chance),
            encoder_hidden_states=torch.randn(1, 4, config.joint_attention_dim, generator=chance),
            pooled_projections=torch.randn(1, config.pooled_projection_dim, generator=chance),
            timestep=torch.tensor([0.5]), guidance=torch.tensor([3.5]),
            img_ids=torch.arange(18.0).reshape(6, 3), txt_ids=torch.zeros(4, 3),
        ).sample  # fmt: skip


def predicted_with(transformer, file):
    """The prediction of a transformer with a LoRA file on it, loaded by stock diffusers and taken off again."""
    from diffusers import FluxPipeline

    pipe = FluxPipeline(*[None] * 6, transformer)
    pipe.load_lora_weights(str(file.parent), weight_name=file.name)
    prediction = predict(transformer)
    pipe.unload_lora_weights()
    return prediction


def both_files(folder, folded: dict):
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    save_file(folded, folder / "diffusers.safetensors")
    save_file(to_kohya(folded), folder / "kohya.safetensors")
    return folder / "diffusers.safetensors", folder / "kohya.safetensors"


# --- the conversion


def test_stock_diffusers_predicts_the_same_with_either_file_on_double_blocks(tmp_path):
    transformer = tiny_transformer()
    missing = ("transformer_blocks.0.attn.to_k", "transformer_blocks.0.ff.net.2", "transformer_blocks.1.attn.to_q",
               "transformer_blocks.1.attn.add_k_proj", "transformer_blocks.1.attn.add_v_proj")  # fmt: skip
    ours, kohya = both_files(tmp_path, random_folded(transformer, kind="transformer_blocks", without=missing))
    base, expected = predict(transformer), predicted_with(transformer, ours)
    assert (expected - base).abs().max() > 0.01
    assert (predicted_with(transformer, kohya) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("missing", [(), ("attn.to_q", "proj_mlp"), ("attn.to_q", "attn.to_k", "attn.to_v")])
def test_stock_diffusers_predicts_the_same_with_either_file_on_a_single_block(tmp_path, missing, wide_single_block):
    without = tuple(f"single_transformer_blocks.0.{part}" for part in missing)
    ours, kohya = both_files(tmp_path, random_folded(wide_single_block, without=without))
    base, expected = predict(wide_single_block), predicted_with(wide_single_block, ours)
    assert (expected - base).abs().max() > 0.01
    assert (predicted_with(wide_single_block, kohya) - expected).abs().max() <= 1e-5


@pytest.fixture(scope="module")
def wide_single_block():
    """One single block of FLUX.1-dev's own width: diffusers' reader of kohya's files knows no other."""
    import torch
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(2)
    small = {"joint_attention_dim": 32, "pooled_projection_dim": 32}
    return FluxTransformer2DModel(**transformer_config(num_layers=0, num_single_layers=1, **small))


def test_the_fused_changes_are_the_parts_stacked_in_comfyuis_order():
    import torch

    transformer = tiny_transformer()
    missing = ("transformer_blocks.0.attn.to_v", "transformer_blocks.1.ff_context.net.0.proj",
               "single_transformer_blocks.0.attn.to_q", "single_transformer_blocks.1.proj_mlp")  # fmt: skip
    folded = random_folded(transformer, without=missing)
    modules = targets(transformer)
    found = comfy_deltas(to_kohya(folded))
    assert "double_blocks.1.txt_mlp.0" not in found
    assert {layer for name in found for layer in layers_of(name)} == set(modules) - {missing[1]}
    for name, change in found.items():
        stacked = torch.cat([delta(folded, layer, modules[layer]) for layer in layers_of(name)])
        assert change.abs().max() > 0.01
        assert torch.allclose(change, stacked, atol=1e-6), name


def test_all_418_layers_of_flux_dev_have_a_place_and_the_shapes_that_sd_scripts_writes():
    import torch
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        layers = targets(FluxTransformer2DModel(**transformer_config()))
    folded = {}
    for name, module in layers.items():
        folded[f"transformer.{name}.lora_A.weight"] = torch.ones(1, module.in_features)
        folded[f"transformer.{name}.lora_B.weight"] = torch.ones(module.out_features, 1)
    kohya = to_kohya(folded)
    assert len(layers) == 418
    assert len(kohya) == 3 * (19 * len(DOUBLE) + 38 * len(SINGLE))
    shapes = {"img_attn_qkv": (3, 3072, 9216), "img_attn_proj": (1, 3072, 3072), "txt_mlp_0": (1, 3072, 12288),
              "txt_mlp_2": (1, 12288, 3072), "linear1": (4, 3072, 21504), "linear2": (1, 15360, 3072)}  # fmt: skip
    for linear, (rank, inputs, outputs) in shapes.items():
        name = f"lora_unet_{'single' if 'linear' in linear else 'double'}_blocks_18_{linear}"
        assert kohya[f"{name}.lora_down.weight"].shape == (rank, inputs)
        assert kohya[f"{name}.lora_up.weight"].shape == (outputs, rank)
        assert kohya[f"{name}.alpha"] == rank


def test_a_layer_that_kohyas_format_does_not_know_is_an_error_that_says_so():
    import torch

    layer = "transformer.transformer_blocks.0.norm1.linear"
    with pytest.raises(BadInput, match=r"transformer_blocks\.0\.norm1\.linear.*--format diffusers"):
        to_kohya({f"{layer}.lora_A.weight": torch.ones(1, 2), f"{layer}.lora_B.weight": torch.ones(2, 1)})


def test_one_rank_for_all_layers_changes_nothing_in_either_form(wide_single_block, tmp_path):
    folded = random_folded(wide_single_block)
    ours, _ = both_files(tmp_path / "own", folded)
    uniform, kohya = both_files(tmp_path / "uniform", to_one_rank(folded))
    assert {len(tensor) for key, tensor in to_one_rank(folded).items() if key.endswith("lora_A.weight")} == {5}
    expected = predicted_with(wide_single_block, ours)
    assert (predict(wide_single_block) - expected).abs().max() > 0.01
    for file in (uniform, kohya):
        assert (predicted_with(wide_single_block, file) - expected).abs().max() <= 1e-5


# --- an adapter that was trained


def test_a_trained_adapter_changes_a_prediction_as_much_in_kohyas_form(trained, tmp_path):
    """Merged as ComfyUI and sd-scripts merge it, single blocks and all."""
    import torch
    from safetensors.torch import load_file

    home, _, _ = trained
    transformer = tiny_transformer()
    base = predict(transformer)
    expected = predicted_with(transformer, export_adapter(home, PAINTER, "diffusers", out=tmp_path).file)
    modules = targets(transformer)
    with torch.no_grad():
        for name, change in comfy_deltas(load_file(export_adapter(home, PAINTER, "kohya", out=tmp_path).file)).items():
            layers = layers_of(name)
            sizes = [modules[layer].out_features for layer in layers]
            for layer, part in zip(layers, change.split(sizes), strict=True):
                modules[layer].weight += part
    assert (expected - base).abs().max() > 1e-3
    assert (predict(transformer) - expected).abs().max() <= 1e-5


def test_the_diffusers_file_holds_the_adapters_own_tensors(trained, tmp_path):
    import torch
    from safetensors.torch import load_file

    home, _, adapter = trained
    own = load_file(home.root / adapter.path / "adapter.safetensors")
    exported = load_file(export_adapter(home, PAINTER, "diffusers", adapter.id, tmp_path / "style.safetensors").file)
    assert set(exported) == set(own)
    assert all(torch.equal(exported[name], own[name]) for name in own)


@pytest.mark.parametrize("file_format", ["diffusers", "kohya"])
def test_the_same_adapter_gives_the_same_bytes_and_says_what_it_is(trained, tmp_path, file_format):
    from safetensors import safe_open

    home, _, adapter = trained
    first = export_adapter(home, PAINTER, file_format, out=tmp_path).file
    second = export_adapter(home, PAINTER, file_format, out=tmp_path / "again.safetensors").file
    assert first.name == f"{PAINTER}-{adapter.id}-{file_format}.safetensors"
    assert first.read_bytes() == second.read_bytes()
    with safe_open(first, "pt") as file:
        said = file.metadata()
    assert said["modelspec.trigger_phrase"] == adapter.trigger
    assert said["artmaster.adapter"] == adapter.id
    assert said["artmaster.sha256"] == adapter.sha256


def test_metadata_in_any_writing_are_kept_and_in_order(tmp_path):
    import torch
    from safetensors import safe_open

    said = {f"entry {n}": f'黄宾虹 "style"\n\\ \x01 \x7f é {n}' for n in range(20)}
    for name in ("one", "other"):
        write_tensors({"a": torch.arange(4.0)}, said, tmp_path / name)
    with safe_open(tmp_path / "one", "pt") as file:
        assert file.metadata() == said | {"format": "pt", "modelspec.hash_sha256": tensors_hash(tmp_path / "one")}
        assert torch.equal(file.get_tensor("a"), torch.arange(4.0))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    length = int.from_bytes((tmp_path / "one").read_bytes()[:8], "little")
    header = json.loads((tmp_path / "one").read_bytes()[8 : 8 + length])
    assert list(header["__metadata__"]) == sorted([*said, "format", "modelspec.hash_sha256"])


SPOKEN = {  # what programs and the two standards ask for
    "modelspec.sai_model_spec", "modelspec.architecture", "modelspec.implementation", "modelspec.title",
    "modelspec.description", "modelspec.author", "modelspec.hash_sha256", "modelspec.tags", "modelspec.resolution",
    "modelspec.trigger_phrase", "modelspec.usage_hint", "ss_v2", "ss_base_model_version", "ss_network_module",
    "ss_network_dim", "ss_network_alpha", "ss_output_name", "ss_tag_frequency", "artmaster.largest_rank",
}  # fmt: skip


def words_of_flux_dev(folder, file_format: str, uniform_rank: bool = False) -> tuple[dict, dict]:
    """(words, tensors) of an export, where the record says that the base is FLUX.1-dev."""
    from safetensors.torch import load_file

    home = Home(folder / "home")
    made = export_adapter(home, PAINTER, file_format, out=folder, uniform_rank=uniform_rank).file
    return read_words(made), load_file(made)


@pytest.fixture
def of_flux_dev(trained, tmp_path):
    """A folder with a copy of the home whose adapter says that it is of FLUX.1-dev."""
    home, _, adapter = trained
    copy = Home(linked_copy(home.root, tmp_path / "home"))
    record = adapter.model_copy(update={"base_model": "black-forest-labs/FLUX.1-dev"})
    unlinked(copy.root / adapter.path / "adapter.json").write_text(record.model_dump_json())
    write_manifest(copy.adapters(PAINTER) / MANIFEST, [record])
    return tmp_path


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("file_format", ["diffusers", "kohya"])
def test_a_file_tells_other_programs_base_trigger_word_ranks_and_licence(of_flux_dev, trained, file_format, uniform):
    _, _, adapter = trained
    said, tensors = words_of_flux_dev(of_flux_dev, file_format, uniform)
    ranks = {len(t) for key, t in tensors.items() if key.endswith(("lora_A.weight", "lora_down.weight"))}
    assert said.keys() >= SPOKEN | {"modelspec.license", "modelspec.date", "artmaster.sha256"}
    assert all(isinstance(value, str) and value for value in said.values())
    assert said["ss_base_model_version"] == "flux1"
    assert said["modelspec.architecture"] == "flux-1-dev/lora"
    assert said["modelspec.license"] == "flux-1-dev-non-commercial-license"
    assert said["ss_network_dim"] == said["ss_network_alpha"] == (str(min(ranks)) if len(ranks) == 1 else "Dynamic")
    assert int(said["artmaster.largest_rank"]) == max(ranks)
    (tags,) = json.loads(said["ss_tag_frequency"]).values()
    assert tags == {adapter.trigger: len(adapter.training_image_ids)}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", said["modelspec.date"])
    assert str(of_flux_dev) not in json.dumps(said)


def test_the_adapters_own_file_says_what_it_is_and_the_same_whenever_it_is_trained(trained):
    home, _, adapter = trained
    said = read_words(home.root / adapter.path / "adapter.safetensors")
    assert said.keys() >= SPOKEN
    assert "modelspec.date" not in said
    assert said["modelspec.trigger_phrase"] == adapter.trigger
    assert said["artmaster.adapter"] == adapter.id
    assert said["artmaster.largest_rank"] == str(max(adapter.ranks.values()))


def test_the_hash_is_of_all_that_follows_the_header(trained):
    """As ModelSpec has it: "a hash of all tensor content (ie excluding the header section), with 0x prefix"."""
    home, _, adapter = trained
    file = home.root / adapter.path / "adapter.safetensors"
    content = file.read_bytes()
    tensors = content[8 + int.from_bytes(content[:8], "little") :]
    assert read_words(file)["modelspec.hash_sha256"] == f"0x{hashlib.sha256(tensors).hexdigest()}"


def test_a_file_of_a_base_in_a_folder_names_no_path_of_this_machine(trained, tmp_path):
    home, _, adapter = trained
    assert Path(adapter.base_model).is_absolute()
    for file_format in ("diffusers", "kohya"):
        said = read_words(export_adapter(home, PAINTER, file_format, out=tmp_path).file)
        assert adapter.base_model not in json.dumps(said)
    assert adapter.base_model not in (home.root / adapter.path / "README.md").read_text()


# --- the adapter's folder on the hub, or in another program's folder of models


OTHERS = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf", ".onnx", ".msgpack", ".h5")


def names_below(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_the_folded_adapter_is_the_only_file_that_another_program_could_take(trained):
    home, _, adapter = trained
    names = names_below(home.root / adapter.path)
    assert [name for name in names if name.lower().endswith(OTHERS)] == ["adapter.safetensors"]
    assert {Path(name).name for name in names}.isdisjoint({"adapter_config.json", "adapter_model.safetensors"})
    assert len([name for name in names if name.endswith(".tensors")]) >= 2  # the live state and earlier steps are there


@pytest.mark.parametrize("seed", range(5))
def test_diffusers_takes_the_folded_adapter_of_a_folder_on_the_hub_in_whatever_order_it_is_listed(
    trained, monkeypatch, seed
):
    from diffusers.loaders import lora_base

    home, _, adapter = trained
    names = names_below(home.root / adapter.path)
    random.Random(seed).shuffle(names)
    listed = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])
    monkeypatch.setattr(lora_base, "model_info", lambda repository: listed)
    assert lora_base._best_guess_weight_name("someone/an-adapter") == "adapter.safetensors"
    assert lora_base._best_guess_weight_name(str(home.root / adapter.path)) == "adapter.safetensors"


def test_stock_diffusers_loads_the_folder_without_a_name_and_has_every_weight(trained):
    import torch
    from diffusers import FluxPipeline
    from safetensors.torch import load_file

    home, _, adapter = trained
    folder = home.root / adapter.path
    transformer = tiny_transformer()
    pipe = FluxPipeline(*[None] * 6, transformer)
    pipe.load_lora_weights(folder)
    own, modules, found = load_file(folder / "adapter.safetensors"), dict(transformer.named_modules()), 0
    for layer, rank in adapter.ranks.items():
        if rank == 0:
            assert not hasattr(modules[layer], "lora_A")
            continue
        module, name = modules[layer], "default_0"
        assert torch.equal(module.lora_A[name].weight, own[f"transformer.{layer}.lora_A.weight"])
        assert torch.equal(module.lora_B[name].weight, own[f"transformer.{layer}.lora_B.weight"])
        assert module.scaling[name] == 1.0
        found += 3
    assert found == len(own) > 0


def test_a_folder_of_an_older_version_is_read_and_becomes_one_that_others_can_take(trained, tmp_path):
    """Once the live state and earlier steps ended in .safetensors."""
    from artmaster_pipeline.adapters.folder import kept_steps, live_state, weights_file

    home, profile, adapter = trained
    old = Home(linked_copy(home.root, tmp_path / "home"))
    folder = old.root / adapter.path
    for file in [*folder.rglob("*.tensors")]:
        file.rename(file.with_suffix(".safetensors"))
    (folder / "made.json").unlink()
    steps = kept_steps(folder)
    assert steps == kept_steps(home.root / adapter.path) != ()
    assert live_state(folder / "adalora").name == "state.safetensors"
    assert all(weights_file(folder, step).is_file() for step in steps)
    again = train_adapter(old, PAINTER, profile)
    assert (again.made, again.records) == (0, (adapter,))
    assert names_below(folder) == names_below(home.root / adapter.path)


# --- names and refusals


def test_a_file_that_holds_something_else_is_not_overwritten(trained, tmp_path):
    home, _, _ = trained
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"another adapter")
    with pytest.raises(WrongUse, match=r"mine\.safetensors is there and holds something else"):
        export_adapter(home, PAINTER, "kohya", out=file)
    assert file.read_bytes() == b"another adapter"
    assert list(tmp_path.iterdir()) == [file]


def test_a_place_that_takes_no_file_is_told(trained, tmp_path):
    home, _, _ = trained
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "nowhere")
    for place in (tmp_path / "file" / "x.safetensors", tmp_path / "link.safetensors"):
        with pytest.raises(WrongUse, match="--out"):
            export_adapter(home, PAINTER, "kohya", out=place)
    assert (tmp_path / "file").read_text() == "mine"


def test_exporting_again_to_the_same_file_is_no_error(trained, tmp_path):
    home, _, _ = trained
    first = export_adapter(home, PAINTER, "kohya", out=tmp_path).file
    before = sha256_of(first)
    assert sha256_of(export_adapter(home, PAINTER, "kohya", out=tmp_path).file) == before


def test_weights_that_are_not_those_of_the_record_are_not_exported(trained, tmp_path):
    home, _, adapter = trained
    copy = Home(linked_copy(home.root, tmp_path / "home"))
    weights = unlinked(copy.root / adapter.path / "adapter.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(BadInput, match=r"adapter\.safetensors is not what the record .* says.*dvc checkout"):
        export_adapter(copy, PAINTER, "diffusers", out=tmp_path)
    weights.unlink()
    with pytest.raises(BadInput, match=r"adapter\.safetensors is not there"):
        export_adapter(copy, PAINTER, "diffusers", out=tmp_path)


def test_a_painter_without_an_adapter_is_told_how_to_make_one(tmp_path):
    home = Home(tmp_path)
    home.scans(PAINTER).mkdir(parents=True)
    write_manifest(home.adapters(PAINTER) / MANIFEST, [])
    with pytest.raises(ArtMasterError, match=f"no adapter yet. Make one with: artmaster run {PAINTER}"):
        export_adapter(home, PAINTER, "kohya")


def export_command(home, *words: str):
    return CliRunner().invoke(app, ["export", *words, "--home", str(home.root)])


def test_the_command_writes_into_the_working_folder_and_says_how_to_load(trained, tmp_path, monkeypatch):
    home, _, adapter = trained
    monkeypatch.chdir(tmp_path)
    done = export_command(home, PAINTER, "--format", "kohya")
    assert done.exit_code == 0, done.output
    name = f"{PAINTER}-{adapter.id}-kohya"
    assert (tmp_path / f"{name}.safetensors").is_file()
    assert f"{name}.safetensors (" in done.output
    assert adapter.trigger in done.output
    assert "models/loras" in done.output
    assert f"<lora:{name}:1>" in done.output


def test_a_file_says_how_the_adapter_draws_best(trained, tmp_path, monkeypatch):
    home, _, adapter = trained
    plain = export_adapter(home, PAINTER, "kohya", out=tmp_path / "a.safetensors")
    assert not any("best" in hint for hint in plain.hints)
    chosen = adapter.model_copy(update={"drawing": DrawingSettings(strength=0.8, guidance_scale=2.5)})
    monkeypatch.setattr(exporting, "adapter_in_use", lambda *_, **__: (chosen, ""))
    exported = export_adapter(home, PAINTER, "kohya", out=tmp_path / "b.safetensors")
    assert exported.hints[0].endswith("strength 0.8")
    assert any("<lora:b:0.8>" in hint for hint in exported.hints)
    assert exported.hints[-1] == "It draws best with strength 0.8, guidance 2.5."
    hint = read_words(exported.file)["modelspec.usage_hint"]
    assert hint.endswith(f"{adapter.trigger}; drawn best with strength 0.8, guidance 2.5")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([PAINTER, "--format", "onnx"], "'onnx' is not one of 'diffusers', 'kohya'"),
        (["nobody", "--format", "kohya"], "nobody"),
        ([PAINTER, "--format", "kohya", "--adapter", "0000"], "no adapter '0000'. Known adapters: "),
        ([PAINTER, "--format", "kohya", "--adapter", "../x"], "no adapter '../x'. Known adapters: "),
        ([PAINTER, "--format", "kohya", "--out", "style.ckpt"], "ends in .safetensors"),
    ],
)
def test_wrong_use_is_one_clear_message_and_exit_code_2(trained, tmp_path, monkeypatch, words, message):
    home, _, _ = trained
    monkeypatch.chdir(tmp_path)
    done = export_command(home, *words)
    error = done.exception
    code = error.exit_code if isinstance(error, ArtMasterError) else done.exit_code  # main() turns ours into the code
    assert code == 2
    said = str(error) if isinstance(error, ArtMasterError) else " ".join(done.output.replace("│", " ").split())
    assert message in said
    assert not list(tmp_path.iterdir())
