"""Mixing experts on a tiny FLUX of FLUX.1-dev's configuration keys: gates, regions, batches, compiled blocks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from training_home import tiny_profile

from artmaster_pipeline.adapters import attach, detach
from artmaster_pipeline.base_models import load_pipeline
from artmaster_pipeline.base_models.flux.descriptor import FAMILY
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.experts import FACTORS, BlockGroup, Expert, FactorMap, Gate, block_groups, mixture
from artmaster_pipeline.generation.sampling import compile_blocks, draw_embedded, uncompiled
from artmaster_pipeline.records import identity

PLAIN = DrawingSettings(guidance_scale=2.0)
DOUBLE, SINGLE = "transformer_blocks", "single_transformer_blocks"
# Three experts of other layers and other ranks each, in all four kinds of places
LAYERS = (
    {
        f"{DOUBLE}.0.attn.to_q": 3,
        f"{DOUBLE}.1.attn.add_v_proj": 1,
        f"{SINGLE}.0.proj_mlp": 2,
        f"{SINGLE}.1.attn.to_v": 4,
    },
    {f"{DOUBLE}.0.attn.to_q": 4, f"{DOUBLE}.1.attn.to_v": 2, f"{SINGLE}.1.proj_mlp": 1, f"{DOUBLE}.0.norm1.linear": 2},
    {f"{DOUBLE}.1.ff_context.net.2": 2, f"{SINGLE}.0.norm.linear": 1, f"{SINGLE}.0.attn.to_k": 3, "x_embedder": 2},
)
SHAPES = {  # inputs and outputs, where not 32 and 32
    "proj_mlp": (32, 128), "net.2": (128, 32), "norm1.linear": (32, 192), "norm.linear": (32, 96),
    "x_embedder": (64, 32),
}  # fmt: skip


def write_expert(file: Path, ranks: dict[str, int]) -> Path:
    """A folded adapter as AdaLoRA leaves it: other layers and other ranks."""
    import torch
    from safetensors.torch import save_file

    dice, tensors = torch.Generator().manual_seed(sum(ranks.values())), {}
    for layer, rank in ranks.items():
        inputs, outputs = next((shape for end, shape in SHAPES.items() if layer.endswith(end)), (32, 32))
        tensors[f"transformer.{layer}.lora_A.weight"] = torch.randn(rank, inputs, generator=dice)
        tensors[f"transformer.{layer}.lora_B.weight"] = torch.randn(outputs, rank, generator=dice) / 4
        tensors[f"transformer.{layer}.alpha"] = torch.tensor(float(rank))
    save_file(tensors, file)
    return file


@pytest.fixture(scope="module")
def experts(tmp_path_factory) -> list[Expert]:
    folder = tmp_path_factory.mktemp("experts")
    files = [write_expert(folder / f"{number}.safetensors", ranks) for number, ranks in enumerate(LAYERS)]
    return [Expert(name, file, how) for name, file, how in zip("ABC", files, (1.0, 0.85, 0.7), strict=True)]


@pytest.fixture(scope="module")
def pipe(tiny_flux):
    return load_pipeline(tiny_profile(tiny_flux))


@pytest.fixture(scope="module")
def texts(pipe):
    return [FAMILY.encode_text(pipe, text, "cpu", 24) for text in ("mountain 0", "a river", "")]


@pytest.fixture
def flat(pipe) -> FactorMap:
    return FactorMap.flat(block_groups(pipe.transformer))


def velocity(pipe, texts, sigmas=(0.6,), size=(8, 8)):
    """What the transformer says of noise: (batch, 16, rows, columns), fp32."""
    import torch

    noise = torch.randn(1, 16, *size, generator=torch.Generator().manual_seed(0)).expand(len(sigmas), -1, -1, -1)
    with torch.inference_mode():
        return FAMILY.predict_velocity(pipe.transformer, noise, torch.tensor(sigmas), texts, 2.0, torch.float32)


def gates_in(pipe, layer: str):
    return pipe.transformer.get_submodule(layer).lora_A["experts"].gates


def same(one, other) -> bool:
    import torch

    return torch.equal(one, other)


# --- gates of one and zero


def test_gates_of_one_are_the_plain_adapter_and_of_zero_the_base_bit_for_bit(pipe, texts, experts, flat):
    import torch

    base = velocity(pipe, texts[:1])
    whole = [replace(expert, strength=1.0) for expert in experts]
    for expert in whole:
        attach(pipe, expert.weights)
        plain = velocity(pipe, texts[:1])
        drawn = draw_embedded(pipe, texts[:1], [3], 64, 64, 2, PLAIN)
        detach(pipe)
        assert not same(plain, base)
        with mixture(pipe, [expert], [Gate.uniform([expert.name], flat)]) as mixing:
            assert same(velocity(pipe, texts[:1]), plain)
            assert np.array_equal(draw_embedded(pipe, texts[:1], [3], 64, 64, 2, PLAIN), drawn)
            mixing.use([Gate.weighted({expert.name: 0.0}, flat, convex=False)])
            assert same(velocity(pipe, texts[:1]), base)
        with mixture(pipe, whole, [Gate.weighted({e.name: float(e.name == expert.name) for e in experts}, flat)]):
            assert torch.allclose(velocity(pipe, texts[:1]), plain, atol=1e-6)  # sums with more zeros in them
    assert same(velocity(pipe, texts[:1]), base)


def test_uniform_gates_are_the_weighted_sum_of_diffusers(pipe, texts, experts, flat):
    import torch

    for expert in experts:
        pipe.load_lora_weights(expert.weights, adapter_name=f"plain{expert.name}")
    pipe.set_adapters([f"plain{expert.name}" for expert in experts], [expert.strength / 3 for expert in experts])
    summed = velocity(pipe, texts[:1])
    detach(pipe)
    with mixture(pipe, experts, [Gate.uniform("ABC", flat)]):
        assert torch.allclose(velocity(pipe, texts[:1]), summed, atol=1e-5)


def test_afterwards_and_after_a_fault_the_pipeline_is_the_bases(pipe, texts, experts, flat, tmp_path):
    layers = dict(pipe.transformer.named_modules())
    broken = Expert("broken", tmp_path / "none.safetensors")
    misfit = Expert("misfit", write_expert(tmp_path / "misfit.safetensors", {f"{DOUBLE}.9.attn.to_q": 2}))
    for unfit in (broken, misfit):
        with pytest.raises(BadInput), mixture(pipe, [experts[0], unfit]):
            pass
    with pytest.raises(ZeroDivisionError), mixture(pipe, experts, [Gate.uniform("ABC", flat)]):
        velocity(pipe, texts[:1])
        raise ZeroDivisionError
    assert dict(pipe.transformer.named_modules()) == layers
    assert not pipe.transformer._forward_pre_hooks
    assert not any(pipe.get_list_adapters().values())
    assert "fuse_lora" not in vars(pipe.transformer)


# --- where and when


def one_hot(rows: int, columns: int, left: bool) -> tuple[tuple[float, ...], ...]:
    half = columns // 2
    return ((*(float(left),) * half, *(float(not left),) * (columns - half)),) * rows


def test_an_expert_acts_on_the_tokens_of_its_region_alone(pipe, texts, experts, flat):
    """In the first block's layers of image tokens, before attention has mixed them."""
    gate = Gate.uniform(
        "ABC", flat, regions={"A": one_hot(4, 6, True), "B": one_hot(4, 6, False), "C": ((0.0,) * 6,) * 4}
    )
    with mixture(pipe, experts, [gate]):
        velocity(pipe, texts[:1], size=(8, 12))
        image = gates_in(pipe, f"{DOUBLE}.0.attn.to_q")[0]  # tokens x ranks: three of A's, four of B's
        assert image[:, :3].tolist() == ([[1.0] * 3] * 3 + [[0.0] * 3] * 3) * 4
        assert image[:, 3:].flatten().tolist() == pytest.approx(([0.0] * 12 + [0.85] * 12) * 4)
        both = gates_in(pipe, f"{SINGLE}.0.proj_mlp")[0, :, 0]
        assert both.tolist() == [0.5] * 24 + [1.0, 1.0, 1.0, 0.0, 0.0, 0.0] * 4  # text has the mean
        assert gates_in(pipe, f"{DOUBLE}.1.attn.add_v_proj").flatten().tolist() == [0.5]
        assert gates_in(pipe, f"{DOUBLE}.0.norm1.linear").shape == (1, 2)
        with pytest.raises(WrongUse, match=r"\(4, 6\) tokens.*\(6, 4\)"):
            velocity(pipe, texts[:1], size=(12, 8))


def test_what_is_nobodys_is_the_bases(pipe, texts, experts, flat):
    base = velocity(pipe, texts[:1], size=(8, 12))
    nowhere = ((0.0,) * 6,) * 4
    with mixture(pipe, experts, [Gate.uniform("ABC", flat, regions=dict.fromkeys("ABC", nowhere))]):
        assert same(velocity(pipe, texts[:1], size=(8, 12)), base)


def test_noise_bands_and_block_groups_decide(pipe, texts, experts, flat):
    """A composes at high noise, B does the rest; and a factor that lives in the single blocks is silent in others."""
    import torch

    base = velocity(pipe, texts[:1], [0.3])
    early = Gate.uniform("AB", flat, bands={"A": (0, 0, 1, 1), "B": (1, 1, 0, 0)})
    alone = {}
    for expert in experts[:2]:
        attach(pipe, expert.weights, expert.strength)
        alone[expert.name] = {sigma: velocity(pipe, texts[:1], [sigma]) for sigma in (0.3, 0.6)}
        detach(pipe)
    with mixture(pipe, experts[:2], [early]) as mixing:
        assert torch.allclose(velocity(pipe, texts[:1], [0.6]), alone["A"][0.6], atol=1e-5)
        assert torch.allclose(velocity(pipe, texts[:1], [0.3]), alone["B"][0.3], atol=1e-5)
        lives = {
            factor: tuple(float((factor == "brush") == (g.blocks == SINGLE)) for g in flat.groups) for factor in FACTORS
        }
        placed = flat.model_copy(update={"phi": lives})
        rows = {"A": dict.fromkeys(FACTORS, 0.0) | {"brush": 1.0}, "B": {"composition": 1.0, "colour": 1.0}}
        mixing.use([Gate(shares=rows, factor_map=placed)])
        velocity(pipe, texts[:1], [0.3])
        assert gates_in(pipe, f"{SINGLE}.1.attn.to_v").unique().tolist() == [1.0]  # of A alone
        assert gates_in(pipe, f"{DOUBLE}.0.attn.to_q").flatten().tolist() == pytest.approx([0.0] * 3 + [0.85] * 4)
    assert same(velocity(pipe, texts[:1], [0.3]), base)


def test_pictures_of_a_batch_have_gates_and_noise_of_their_own(pipe, texts, experts, flat):
    import torch

    left = {"A": one_hot(4, 4, True), "B": one_hot(4, 4, False)}
    gates = [Gate.uniform("AB", flat, regions=left), Gate.weighted({"A": 0.2, "B": 0.8}, flat)]
    with mixture(pipe, experts[:2], gates) as mixing:
        together = velocity(pipe, texts[:2], [0.2, 0.9])
        with pytest.raises(WrongUse, match="batch of 3"):
            velocity(pipe, texts, [0.2, 0.9, 0.5])
        for number, sigma in enumerate((0.2, 0.9)):
            mixing.use(gates[number : number + 1])
            single = velocity(pipe, texts[number : number + 1], [sigma])
            assert torch.allclose(single[0], together[number], atol=1e-5)


def test_passes_of_other_texts_and_sizes_take_turns(pipe, texts, experts, flat):
    """As with classifier-free guidance, whose second pass may have another text."""
    from artmaster_pipeline.base_models import TextEmbedding

    short = TextEmbedding(texts[1].tensors | {"prompt_embeds": texts[1].tensors["prompt_embeds"][:9]})
    gate = Gate.uniform("AB", flat, regions={"A": one_hot(4, 4, True), "B": one_hot(4, 4, False)})
    alone = []
    for text in (texts[0], short):
        with mixture(pipe, experts[:2], [gate]):
            alone.append(velocity(pipe, [text]))
    with mixture(pipe, experts[:2], [gate]):
        for _ in range(2):
            assert same(velocity(pipe, texts[:1]), alone[0])
            assert same(velocity(pipe, [short]), alone[1])


def test_the_hook_reads_the_schedules_sigmas(pipe, texts, experts, flat):
    seen = []

    class Seen(Gate):
        def band(self, sigma: float) -> int:
            seen.append(sigma)
            return super().band(sigma)

    with mixture(pipe, experts, [Seen(**Gate.uniform("ABC", flat).model_dump())]):
        draw_embedded(pipe, texts[:1], [0], 64, 64, 4, PLAIN)
    assert sorted(set(seen), reverse=True) == pytest.approx(pipe.scheduler.sigmas[:-1].tolist())


# --- guidance, other callers


def test_experts_are_off_in_the_pass_without_the_prompt_where_the_drawing_says_so(pipe, texts, experts, flat):
    settings = DrawingSettings(guidance_scale=1.0, true_cfg_scale=2.0)
    on_and_off = (settings, settings.model_copy(update={"adapter_in_unguided": False}))
    plain = []
    for how in on_and_off:
        attach(pipe, experts[0].weights)
        plain.append(draw_embedded(pipe, texts[:1], [0], 64, 64, 2, how, texts[2]))
        detach(pipe)
    with mixture(pipe, experts[:1], [Gate.uniform("A", flat)]):
        for how, expected in zip(on_and_off, plain, strict=True):
            assert np.array_equal(draw_embedded(pipe, texts[:1], [0], 64, 64, 2, how, texts[2]), expected)
    assert not np.array_equal(*plain)


def test_what_would_undo_the_gates_is_refused(pipe, texts, experts, flat):
    with mixture(pipe, experts) as mixing:
        with pytest.raises(WrongUse, match="without a gate"):
            velocity(pipe, texts[:1])
        with pytest.raises(WrongUse, match="A, B, the mix of A, B, C"):
            mixing.use([Gate.uniform("AB", flat)])
        mixing.use([Gate.uniform("ABC", flat)])
        velocity(pipe, texts[:1])
        with pytest.raises(WrongUse, match="cannot be fused"):
            pipe.fuse_lora()
        with pytest.raises(WrongUse, match=r"A is in the mix twice.*another adapter"), mixture(pipe, experts[:1] * 2):
            pass


def test_gates_are_computed_once_for_each_noise_band(pipe, texts, experts, flat, monkeypatch):
    asked = []
    real = Gate.at
    monkeypatch.setattr(Gate, "at", lambda gate, sigma: asked.append(gate.band(sigma)) or real(gate, sigma))
    with mixture(pipe, experts, [Gate.uniform("ABC", flat)]):
        draw_embedded(pipe, texts[:1], [0], 64, 64, 12, PLAIN)
    assert asked == [3, 2, 1, 0]


# --- compiled


def test_compiled_blocks_are_compiled_once_whatever_the_gates(tiny_flux, texts, experts, flat):
    import torch

    fresh = load_pipeline(tiny_profile(tiny_flux))
    compile_blocks(fresh, backend="eager")
    inner = [Expert(e.name, e.weights, e.strength) for e in experts]
    with mixture(fresh, inner, [Gate.uniform("ABC", flat)], alike=True) as mixing:
        torch._dynamo.utils.counters.clear()
        draw_embedded(fresh, texts[:1], [0], 64, 64, 2, PLAIN)
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        assert 2 <= graphs <= 4  # a form or two for each kind of block
        with torch.compiler.set_stance("fail_on_recompile"):
            for weights in ({"A": 1.0, "B": 0.0, "C": 0.0}, {"A": 0.2, "B": 0.3, "C": 0.5}):
                mixing.use([Gate.weighted(weights, flat)])
                compiled = draw_embedded(fresh, texts[:1], [0], 64, 64, 4, PLAIN)
                with uncompiled():
                    assert np.array_equal(draw_embedded(fresh, texts[:1], [0], 64, 64, 4, PLAIN), compiled)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs


# --- maps and gates by themselves


def some_groups(double: int, single: int) -> tuple[BlockGroup, ...]:
    from types import SimpleNamespace

    made = type("FluxTransformer2DModel", (SimpleNamespace,), {})
    return block_groups(made(transformer_blocks=[0] * double, single_transformer_blocks=[0] * single))


def test_block_groups_cover_every_block_once_in_order():
    assert [group.name for group in some_groups(19, 38)] == [
        "double 0-6", "double 7-12", "double 13-18", "single 0-6", "single 7-13", "single 14-19", "single 20-25",
        "single 26-31", "single 32-37",
    ]  # fmt: skip
    for double, single in ((2, 4), (1, 1), (2, 10), (5, 20), (8, 24), (0, 12)):
        assert len(some_groups(double, single)) <= 9
        blocks = [(g.blocks, n) for g in some_groups(double, single) for n in range(g.first, g.last + 1)]
        assert blocks == [(DOUBLE, n) for n in range(double)] + [(SINGLE, n) for n in range(single)]


positive = st.floats(0, 1, allow_subnormal=False)
GROUPS = some_groups(2, 4)


def rows_of(length: int):
    return st.lists(positive, min_size=length, max_size=length).map(tuple)


@st.composite
def gates(draw, regional: bool):
    names = "ABC"[: draw(st.integers(1, 3))]
    maps = {
        name: {factor: draw(rows_of(length)) for factor in FACTORS}
        for name, length in (("phi", len(GROUPS)), ("psi", 4))
    }
    shares = {name: {} for name in names}
    for factor in FACTORS:
        given = np.array([draw(positive) + 1e-3 for _ in names])
        for name, share in zip(names, given / given.sum(), strict=True):
            shares[name][factor] = float(share)
    owners = np.array(draw(st.lists(st.sampled_from(names), min_size=12, max_size=12))).reshape(3, 4)
    regions = {name: (owners == name).astype(float).tolist() for name in names} if regional else {}
    return Gate(shares=shares, factor_map=FactorMap(groups=GROUPS, **maps), regions=regions)


@settings(max_examples=60)
@given(gates(regional=False), positive)
def test_gates_are_convex(gate, sigma):
    found = np.array(list(gate.at(sigma).values()))
    assert found.shape == (len(gate.experts), len(GROUPS), 1)
    assert found.min() >= 0
    assert np.allclose(found.sum(axis=0), 1)


@settings(max_examples=60)
@given(gates(regional=True), positive)
def test_in_a_partition_each_token_has_its_experts_hand_in_full(gate, sigma):
    found = gate.at(sigma)
    assert np.allclose(sum(found.values()), 1)
    for name, of_expert in found.items():
        assert np.allclose(of_expert, np.reshape(gate.regions[name], -1)[None])


@settings(max_examples=30)
@given(gates(regional=True), st.lists(positive, min_size=12, max_size=12), positive)
def test_a_feathered_region_fades_into_the_base(gate, cover, sigma):
    faded = {name: (np.array(r) * np.reshape(cover, (3, 4))).tolist() for name, r in gate.regions.items()}
    found = Gate.model_validate(gate.model_dump() | {"regions": faded}).at(sigma)
    assert np.allclose(sum(found.values()), np.array(cover)[None])


def test_a_gate_that_is_not_convex_is_share_times_region_as_it_is():
    flat = FactorMap.flat(GROUPS)
    gate = Gate.weighted({"A": 1.0, "B": 0.5}, flat, convex=False, regions={"A": ((1.0, 0.25),)})
    assert np.allclose(gate.at(0.5)["A"], [[1.0, 0.25]])
    assert np.allclose(gate.at(0.5)["B"], [[0.5, 0.5]])


def test_faults_of_a_gate_are_told_at_once():
    flat = FactorMap.flat(GROUPS)
    with pytest.raises(ValidationError) as caught:
        Gate(
            shares={"A": {"colour": 0.7, "brush": -1}, "B": {"composition": 1, "colour": 0.2, "brush": 2}},
            factor_map=flat,
            regions={"A": ((1.0,), (1.0, 2.0)), "D": ((1.0,),)},
            bands={"B": (1.0,)},
        )
    for said in (
        "A has the share -1 in brush", "colour add up to 0.9 instead of 1", "D has a region and no share",
        "B's noise bands are not 4 numbers", "not of one size", "A's region has values",
    ):  # fmt: skip
        assert said in str(caught.value)
    with pytest.raises(ValidationError, match="no factors: line"):
        Gate(shares={"A": {"line": 1}}, factor_map=flat)
    with pytest.raises(ValidationError, match=r"do not rise.*phi is of colour"):
        FactorMap(groups=GROUPS, noise_bands=(0, 0.5), phi={"colour": ()}, psi=flat.psi)


def test_a_map_of_another_base_is_refused(pipe, experts):
    with mixture(pipe, experts) as mixing, pytest.raises(WrongUse, match="no group with the block"):
        mixing.use([Gate.uniform("ABC", FactorMap.flat(some_groups(1, 1)))])


def test_where_a_map_says_nothing_all_factors_weigh_the_same_and_maps_have_a_mean():
    flat = FactorMap.flat(GROUPS)
    silent = flat.model_copy(update={"phi": {factor: (0.0,) * len(GROUPS) for factor in FACTORS}})
    assert np.allclose(silent.weights(0.4), 1 / 3)
    loud = flat.model_copy(update={"phi": flat.phi | {"brush": (3.0, *(0.0,) * (len(GROUPS) - 1))}})
    mean = FactorMap.mean([flat, loud])
    assert mean.phi["brush"][0] > 3 * mean.phi["brush"][1] > 0
    with pytest.raises(WrongUse, match="different groups"):
        FactorMap.mean([flat, FactorMap.flat(some_groups(1, 1))])


def test_the_form_of_a_gate_is_stable_and_tells_gates_apart():
    flat = FactorMap.flat(GROUPS)
    regions = {"A": one_hot(8, 12, True), "B": one_hot(8, 12, False)}
    gate = Gate.uniform("AB", flat, regions=regions)
    again = Gate.model_validate_json(gate.model_dump_json())
    assert again == gate
    assert identity(again.form()) == identity(gate.form()) == identity(Gate.uniform("BA", flat, regions=regions).form())
    others = [Gate.uniform("AB", flat), Gate.weighted({"A": 0.4, "B": 0.6}, flat, regions=regions)]
    others.append(Gate.uniform("AB", flat, regions=regions | {"A": one_hot(8, 12, False)}))
    assert len({identity(a.form()) for a in (gate, *others)}) == 4
    assert gate.form()["regions"]["A"]["mean"] == 0.5


def test_experts_mix_on_a_base_of_four_bits(pipe, texts, experts, monkeypatch):
    pytest.importorskip("bitsandbytes")
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks" / "flux_dev"))
    from train_step import quantised, tiny_place

    monkeypatch.setattr(pipe, "transformer", quantised(tiny_place()))
    for module in pipe.transformer.modules():  # where a CPU has bfloat16, its packing wants layers wider than these
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    flat = FactorMap.flat(block_groups(pipe.transformer))
    base = velocity(pipe, texts[:1])
    attach(pipe, experts[0].weights)
    plain = velocity(pipe, texts[:1])
    detach(pipe)
    with mixture(pipe, experts[:1], [Gate.uniform("A", flat)]):
        assert same(velocity(pipe, texts[:1]), plain)
    with mixture(pipe, experts, [Gate.uniform("ABC", flat, regions={"A": one_hot(4, 4, True)})]):
        assert not same(velocity(pipe, texts[:1]), base)
    assert same(velocity(pipe, texts[:1]), base)


@pytest.mark.cuda
@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_experts_mix_on_a_gpu_and_on_a_base_of_four_bits(tiny_flux, experts, quantization):
    if quantization:
        pytest.importorskip("bitsandbytes")
    profile = tiny_profile(tiny_flux, device="cuda", dtype="bfloat16", quantization=quantization)
    pipe = load_pipeline(profile)
    text = [FAMILY.encode_text(pipe, "mountain 0", "cuda", 24)]
    flat = FactorMap.flat(block_groups(pipe.transformer))
    (base,) = draw_embedded(pipe, text, [0], 64, 64, 2, PLAIN)
    (attached,) = [expert for expert in experts if expert.name == "A"]
    attach(pipe, attached.weights)
    (plain,) = draw_embedded(pipe, text, [0], 64, 64, 2, PLAIN)
    detach(pipe)
    regions = {"A": one_hot(4, 4, True), "B": one_hot(4, 4, False)}
    with mixture(pipe, experts[:2], [Gate.weighted({"A": 1.0, "B": 0.0}, flat)]) as mixing:
        (one,) = draw_embedded(pipe, text, [0], 64, 64, 2, PLAIN)
        assert np.abs(one.astype(int) - plain).max() <= 2
        mixing.use([Gate.uniform("AB", flat, regions=regions)])
        (mixed,) = draw_embedded(pipe, text, [0], 64, 64, 2, PLAIN)
        mixing.use([Gate.weighted({"A": 0.0, "B": 0.0}, flat, convex=False)])
        assert np.array_equal(draw_embedded(pipe, text, [0], 64, 64, 2, PLAIN)[0], base)
    assert not np.array_equal(mixed, base)
    assert np.array_equal(draw_embedded(pipe, text, [0], 64, 64, 2, PLAIN)[0], base)
