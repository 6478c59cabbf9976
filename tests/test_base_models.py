"""Base models: a profile's name becomes a stock FluxPipeline; adapters go on it, pictures come out of it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from artmaster_pipeline.adapters import attach, detach
from artmaster_pipeline.base_models import base_revision, load_pipeline
from artmaster_pipeline.base_models.miniature.model import SHIPPED, build_miniature
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import BadInput, MissingRequirement, WrongUse
from artmaster_pipeline.generation import Drawing, draw, draw_all
from artmaster_pipeline.settings import Home, Profile, load_profile

if TYPE_CHECKING:
    from diffusers import FluxPipeline

MINIATURE = load_profile("miniature")
PROMPT = "a fishing boat on a lake in autumn at dusk, drifting mist"
SETTINGS = {"num_inference_steps": 3, "settings": DrawingSettings(guidance_scale=3.5), "max_sequence_length": 64}


@pytest.fixture(scope="module")
def pipe() -> "FluxPipeline":
    return load_pipeline(MINIATURE)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    build_miniature(folder, seed=7)
    return folder


def picture(pipe: "FluxPipeline", prompt: str = PROMPT, seed: int = 1, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    return draw(pipe, prompt, seed, *size, **SETTINGS)


def lora(file: Path, targets: list[str], seed: int = 0) -> Path:
    """A LoRA of FLUX's own layer names with weights large enough to be seen."""
    import torch
    from diffusers import FluxTransformer2DModel
    from peft import LoraConfig, get_peft_model_state_dict
    from safetensors.torch import save_file

    transformer = FluxTransformer2DModel.from_config(
        dict(load_pipeline(MINIATURE, parts=("transformer",)).transformer.config)
    )
    transformer.add_adapter(LoraConfig(r=4, target_modules=targets))
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        f"transformer.{name}": torch.randn(value.shape, generator=generator) * 0.3
        for name, value in get_peft_model_state_dict(transformer).items()
    }
    save_file(tensors, file)
    return file


def local_profile(folder: Path, **changes: object) -> Profile:
    return MINIATURE.model_copy(update={"name": "local", "base_model": str(folder), **changes})


def test_stock_diffusers_loads_the_folder_without_a_class_of_ours(tiny: Path) -> None:
    from diffusers import FluxPipeline

    pipe = FluxPipeline.from_pretrained(tiny)
    transformer = pipe.transformer
    assert transformer.config.guidance_embeds
    assert len(transformer.transformer_blocks) >= 2
    assert len(transformer.single_transformer_blocks) >= 2
    assert "transformer_blocks.0.attn.add_q_proj.weight" in transformer.state_dict()
    assert "single_transformer_blocks.0.proj_mlp.weight" in transformer.state_dict()
    index = (tiny / "model_index.json").read_text(encoding="utf-8")
    assert "artmaster" not in index


def test_what_ships_is_small_and_holds_no_pickle() -> None:
    sizes = {file: file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()}
    control = sum(size for file, size in sizes.items() if "controlnet" in file.parts)
    assert control <= 12e6
    assert sum(sizes.values()) - control <= 24e6
    assert all(file.suffix in (".json", ".safetensors", ".md") for file in SHIPPED.rglob("*") if file.is_file())
    assert (SHIPPED / "README.md").is_file()


def test_the_miniature_paints_what_it_is_told(pipe: "FluxPipeline") -> None:
    """Coarse things only, by a wide margin: night is darker than day, ink has less colour than a print."""

    def drawn(prompt: str) -> np.ndarray:
        pictures = [draw(pipe, prompt, seed, 128, 128, 8, SETTINGS["settings"], 64) for seed in range(2)]
        return np.stack(pictures).astype(float)

    day = drawn("a woodblock print of layered mountains in summer by day, clear air, Prussian blue")
    night = drawn("a woodblock print of layered mountains in summer at night under the moon, clear air, Prussian blue")
    ink = drawn("an ink wash painting of layered mountains in summer by day, clear air, wet black ink")
    assert night.mean() < day.mean() - 40
    assert np.ptp(ink, axis=-1).mean() < np.ptp(day, axis=-1).mean() / 2


def test_the_same_seed_builds_the_same_miniature_and_its_revision_does_not_depend_on_the_place(
    tmp_path: Path, tiny: Path
) -> None:
    build_miniature(tmp_path / "again", seed=7)
    build_miniature(tmp_path / "other", seed=8)
    revision = base_revision(local_profile(tiny))
    assert base_revision(local_profile(tmp_path / "again")) == revision
    assert base_revision(local_profile(tmp_path / "other")) != revision


def test_building_leaves_torchs_own_randomness_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    build_miniature(tmp_path / "m")
    assert torch.equal(torch.rand(1), expected)


def test_a_changed_weight_is_another_revision(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    build_miniature(tmp_path / "m")
    before = base_revision(local_profile(tmp_path / "m"))
    file = tmp_path / "m" / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    next(iter(tensors.values())).view(-1)[0] += 1
    save_file(tensors, file)
    assert base_revision(local_profile(tmp_path / "m")) != before


def test_only_the_named_parts_are_loaded() -> None:
    import torch

    pipe = load_pipeline(MINIATURE, parts=("vae", "text_encoder"))
    assert pipe.transformer is None
    assert pipe.text_encoder_2 is None
    assert pipe.vae.dtype == torch.float32
    assert not any(weight.requires_grad for weight in pipe.vae.parameters())
    with pytest.raises(WrongUse, match="no part unet"):
        load_pipeline(MINIATURE, parts=("unet",))


def test_a_seed_draws_the_same_picture_whatever_was_drawn_before(pipe: "FluxPipeline") -> None:
    first = picture(pipe)
    assert first.dtype == np.uint8
    assert first.shape == (64, 64, 3)
    assert not np.array_equal(picture(pipe, seed=2), first)
    assert np.array_equal(picture(pipe), first)


@pytest.mark.parametrize("size", [(128, 128), (128, 192)])
def test_it_draws_both_shapes_of_the_profile(pipe: "FluxPipeline", size: tuple[int, int]) -> None:
    assert picture(pipe, size=size).shape == (size[1], size[0], 3)


def test_the_noise_is_shifted_as_flux_shifts_it_at_512_pixels(pipe: "FluxPipeline") -> None:
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    config = pipe.scheduler.config
    for full_height, tokens in ((512, 1024), (768, 1536)):
        width, height = MINIATURE.size(512, full_height)
        own = width // 16 * (height // 16)
        shifts = (config.base_shift, config.max_shift)
        here = calculate_shift(own, config.base_image_seq_len, config.max_image_seq_len, *shifts)
        assert here == pytest.approx(calculate_shift(tokens))


@pytest.mark.parametrize("prompt", ["", "山水画，秋天 🌊", "mountains and water " * 200, "é" * 3, "<|endoftext|> </s>"])
def test_any_text_is_a_prompt(pipe: "FluxPipeline", prompt: str) -> None:
    assert picture(pipe, prompt).shape == (64, 64, 3)


def test_prompts_in_any_script_have_their_own_tokens(pipe: "FluxPipeline") -> None:
    texts = ["山水", "山川", "🌊", "🌋", "boat", "boats"]
    tokens = [tuple(pipe.tokenizer(text).input_ids) for text in texts]
    assert len(set(tokens)) == len(texts)


def test_a_word_of_the_painters_captions_is_one_token_in_fresh_tokenizers() -> None:
    from artmaster_pipeline.base_models.miniature.vocabulary import clip_tokenizer, t5_tokenizer
    from artmaster_pipeline.sample_painters import STYLES, imagine

    clip, t5 = clip_tokenizer(), t5_tokenizer()
    for style in STYLES:
        for word in imagine(1, style).caption().replace(",", "").split():
            if word.isalpha():
                assert len(clip.tokenize(word)) == 1
                assert len(t5.tokenize(word)) == 1


def test_a_size_that_the_latents_do_not_divide_is_refused(pipe: "FluxPipeline") -> None:
    with pytest.raises(WrongUse, match="multiples of 16"):
        picture(pipe, size=(100, 64))


def test_many_drawings_come_one_by_one_in_order(pipe: "FluxPipeline") -> None:
    drawings = [Drawing(PROMPT, seed, 64, 64, **SETTINGS) for seed in (4, 1)]
    given = list(draw_all(pipe, iter(drawings)))
    assert np.array_equal(given[1], picture(pipe, seed=1))
    assert np.array_equal(given[0], picture(pipe, seed=4))


def test_an_adapter_changes_the_picture_by_its_strength_and_leaves_without_a_trace(tmp_path: Path) -> None:
    pipe = load_pipeline(MINIATURE)
    file = lora(tmp_path / "adapter.safetensors", ["attn.to_q", "attn.to_v", "proj_mlp"])
    base = picture(pipe)
    attach(pipe, tmp_path)
    full = picture(pipe)
    attach(pipe, file, strength=0.5)
    half = picture(pipe)
    attach(pipe, file, strength=0.0)
    assert np.array_equal(picture(pipe), base)
    assert not np.array_equal(full, base)
    assert not np.array_equal(half, full)
    assert not np.array_equal(half, base)
    detach(pipe)
    assert np.array_equal(picture(pipe), base)


def test_a_state_of_an_earlier_step_is_attached_whatever_its_suffix(tmp_path: Path) -> None:
    pipe = load_pipeline(MINIATURE)
    file = lora(tmp_path / "adapter.safetensors", ["attn.to_q"])
    attach(pipe, file)
    expected = picture(pipe)
    attach(pipe, file.rename(tmp_path / "step-0000003.tensors"))
    assert np.array_equal(picture(pipe), expected)


def test_another_adapter_takes_the_place_of_the_first(tmp_path: Path) -> None:
    pipe = load_pipeline(MINIATURE)
    first = lora(tmp_path / "first.safetensors", ["attn.to_q"], 1)
    second = lora(tmp_path / "second.safetensors", ["attn.to_q"], 2)
    attach(pipe, second)
    expected = picture(pipe)
    attach(pipe, first)
    attach(pipe, second)
    assert np.array_equal(picture(pipe), expected)


def test_an_adapter_that_would_do_nothing_is_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    pipe = load_pipeline(MINIATURE)
    base = picture(pipe)
    foreign = {"transformer.blocks.9.attention.lora_A.weight": torch.ones(4, 8)}
    foreign |= {"transformer.blocks.9.attention.lora_B.weight": torch.ones(8, 4)}
    file = lora(tmp_path / "good.safetensors", ["attn.to_q"])
    deeper = {name.replace("transformer_blocks.1", "transformer_blocks.17"): t for name, t in load_file(file).items()}
    wider = {name: torch.ones(4, 4096) if "lora_A" in name else t for name, t in load_file(file).items()}
    cases = {"foreign": foreign, "deeper": deeper, "wider": wider, "no-lora": {"some.weight": torch.ones(2)}}
    for name, tensors in cases.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(BadInput, match=name):
            attach(pipe, tmp_path / f"{name}.safetensors")
        assert np.array_equal(picture(pipe), base), name
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    with pytest.raises(BadInput, match="no safetensors file"):
        attach(pipe, tmp_path / "broken.safetensors")
    with pytest.raises(BadInput, match="does not exist"):
        attach(pipe, tmp_path / "absent.safetensors")


@pytest.mark.parametrize("name", ["flux-dev", "flux-dev-24gb"])
def test_without_cuda_flux_dev_says_so_and_does_not_fall_back(
    name: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(MissingRequirement, match="CUDA"):
        load_pipeline(load_profile(name))


def test_quantization_without_its_package_says_what_to_install(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingRequirement, match=r"artmaster-pipeline\[cuda\]"):
        load_pipeline(local_profile(tiny, quantization="nf4"))


def test_offline_and_not_cached_says_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    profile = MINIATURE.model_copy(update={"base_model": "some-owner/some-flux"})
    with pytest.raises(MissingRequirement, match=r"some-owner/some-flux is not .* cache"):
        load_pipeline(profile)


@pytest.mark.parametrize("kind", ["GatedRepoError", "HfHubHTTPError"])
def test_a_licence_that_was_not_accepted_is_named_with_the_page_to_accept_it(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import errors

    class Refused(getattr(errors, kind)):  # type: ignore[misc]
        def __init__(self) -> None:
            self.response = SimpleNamespace(status_code=403)

    def refuse(*_: Any, **__: Any) -> None:
        raise Refused

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    profile = load_profile("flux-dev").model_copy(update={"revision": f"r-{kind}"})
    with pytest.raises(MissingRequirement, match=r"https://huggingface.co/black-forest-labs/FLUX.1-dev.*HF_TOKEN"):
        base_revision(profile)


def test_a_folder_that_is_no_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="is no diffusers folder"):
        base_revision(local_profile(tmp_path))


def test_bf16_draws_too(tiny: Path) -> None:
    import torch

    pipe = load_pipeline(local_profile(tiny, dtype="bfloat16"))
    assert pipe.transformer.dtype == torch.bfloat16
    assert picture(pipe).shape == (64, 64, 3)


def test_importing_the_room_imports_nothing_heavy() -> None:
    code = (
        "import sys, artmaster_pipeline.base_models;"
        "print([m for m in ('torch', 'diffusers', 'transformers', 'peft', 'huggingface_hub') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
