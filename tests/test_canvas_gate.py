"""The gate of a canvas and what its regions listen to, on a tiny FLUX of FLUX.1-dev's configuration keys."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_mixing import LAYERS, write_expert
from training_home import tiny_profile

from artmaster_pipeline.base_models import load_pipeline
from artmaster_pipeline.base_models.flux.descriptor import FAMILY
from artmaster_pipeline.copainting.painting.gate import CanvasGate, HandGate
from artmaster_pipeline.copainting.painting.listening import (
    Heard,
    Speech,
    bias_at,
    lengthened,
    listening,
    strength_at,
    together,
)
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.experts import FACTORS, BlockGroup, Expert, FactorMap, Gate, block_groups, mixture
from artmaster_pipeline.generation.sampling import draw_embedded

PLAIN = DrawingSettings(guidance_scale=2.0)
GUIDED = DrawingSettings(guidance_scale=1.0, true_cfg_scale=3.0)
ROWS, COLUMNS = 4, 4
LEFT = np.tile(np.array([1.0, 1.0, 0.0, 0.0]), (ROWS, 1))
GROUPS = (
    BlockGroup(name="double", blocks="transformer_blocks", first=0, last=1),
    BlockGroup(name="single", blocks="single_transformer_blocks", first=0, last=1),
)
shares = st.floats(0, 1)
rows = st.lists(st.floats(0.01, 1), min_size=3, max_size=3)


def hand(expert: str, factor_map: FactorMap, strength: float = 1.0, **others) -> HandGate:
    """One painter alone."""
    gate = Gate.weighted({"painter": 1.0}, factor_map)
    return HandGate({"painter": expert}, gate, {"painter": strength}, others.pop("factors", {}), **others)


def canvas_gate(factor_map, masks, ground="A", **regions) -> CanvasGate:
    hands = {"ground": hand(ground, factor_map)} | regions
    return CanvasGate(hands, masks, "ground")


def halves(left: np.ndarray = LEFT) -> dict[str, np.ndarray]:
    return {"ground": 1 - left, "left": left}


@settings(deadline=None, max_examples=40)
@given(rows, st.lists(shares, min_size=3, max_size=3), shares, shares, st.floats(0, 1))
def test_the_gates_of_all_experts_add_up_to_one_whatever_the_regions_have(phi, had, low, high, sigma):
    factor_map = FactorMap(
        groups=GROUPS,
        phi={factor: (value, 1 - value / 2) for factor, value in zip(FACTORS, phi, strict=True)},
        psi={factor: (1.0, value, 0.5, 1.0) for factor, value in zip(FACTORS, phi, strict=True)},
    )
    limits = (min(low, high), max(low, high))
    mask = np.random.default_rng(int(low * 1e6)).random((ROWS, COLUMNS))
    region = hand("B", factor_map, factors=dict(zip(FACTORS, had, strict=True)), sigma_range=limits)
    gate = canvas_gate(factor_map, halves(mask), left=region)
    at = gate.at(sigma)
    assert np.allclose(sum(at.values()), 1)
    assert all((of >= -1e-12).all() for of in at.values())
    if not region.acts(sigma):
        assert np.allclose(at["A"], 1)


def test_what_a_region_leaves_of_a_factor_is_the_grounds():
    whole = FactorMap(
        groups=GROUPS,
        phi={"composition": (1.0, 0.0), "colour": (0.0, 1.0), "brush": (0.0, 0.0)},
        psi=dict.fromkeys(FACTORS, (1.0,) * 4),
    )  # composition lives in double blocks alone, colour in single ones
    region = hand("B", whole, factors={"composition": 0.0, "colour": 0.25})
    at = canvas_gate(whole, halves(np.ones((ROWS, COLUMNS))), left=region).at(0.5)
    assert np.allclose(at["B"], [[0.0] * 16, [0.25] * 16])
    assert np.allclose(at["A"], [[1.0] * 16, [0.75] * 16])


def test_strength_belongs_to_the_hand_that_it_was_said_of():
    flat = FactorMap.flat(GROUPS)
    at = canvas_gate(flat, halves(), left=hand("A", flat, strength=0.5)).at(0.5)
    assert np.allclose(at["A"].reshape(2, ROWS, COLUMNS), np.where(LEFT, 0.5, 1.0))


def test_the_gate_tells_noise_levels_apart_where_a_region_begins_to_act():
    flat = FactorMap.flat(GROUPS)
    gate = canvas_gate(flat, halves(), left=hand("B", flat, sigma_range=(0.3, 0.45)))
    assert gate.band(0.28) != gate.band(0.32) != gate.band(0.46)
    assert gate.band(0.32) == gate.band(0.44)
    assert gate.at(0.2)["B"].sum() == 0 < gate.at(0.4)["B"].sum()


def test_the_identity_is_made_from_all_that_the_gate_says():
    flat = FactorMap.flat(GROUPS)
    said = {
        canvas_gate(flat, halves(mask), ground, left=hand("B", flat, **others)).identity()
        for mask in (LEFT, LEFT.T)
        for ground in "AC"
        for others in ({}, {"strength": 0.5}, {"factors": {"brush": 0.2}}, {"sigma_range": (0.0, 0.5)})
    }
    assert len(said) == 16


# --- on a pipeline


@pytest.fixture(scope="module")
def pipe(tiny_flux):
    return load_pipeline(tiny_profile(tiny_flux))


@pytest.fixture(scope="module")
def texts(pipe):
    return [FAMILY.encode_text(pipe, text, "cpu", 40) for text in ("mountain", "a lake", "")]


@pytest.fixture(scope="module")
def experts(tmp_path_factory) -> list[Expert]:
    folder = tmp_path_factory.mktemp("experts")
    files = [write_expert(folder / f"{name}.safetensors", ranks) for name, ranks in zip("ABC", LAYERS, strict=True)]
    return [Expert(file.stem, file) for file in files]


def drawn(pipe, text, settings=PLAIN, negative=None):
    return draw_embedded(pipe, [text], [3], 64, 64, 3, settings, negative)[0]


def heard_of(texts, *hands) -> Heard:
    areas = dict.fromkeys((name for names in hands for name in names), 0.5)
    speeches = [Speech(text, names) for text, names in zip(texts[1:], hands, strict=False)]
    return together("prompt_embeds", Speech(texts[0]), speeches, areas)


@pytest.mark.parametrize("settings", [PLAIN, GUIDED], ids=["plain", "guided"])
def test_a_region_that_covers_all_is_its_painter_alone_to_the_last_digit(pipe, texts, experts, settings):
    flat, everywhere = FactorMap.flat(block_groups(pipe.transformer)), np.ones((ROWS, COLUMNS))
    negative = texts[2] if settings is GUIDED else None
    with mixture(pipe, experts[1:2], [Gate.uniform(["B"], flat)]):
        alone = drawn(pipe, texts[0], settings, negative)
    gate = canvas_gate(flat, {"ground": 1 - everywhere, "left": everywhere}, left=hand("B", flat))
    with mixture(pipe, experts[:2], [gate]):
        assert np.array_equal(drawn(pipe, texts[0], settings, negative), alone)


def test_words_of_a_region_are_read_by_its_own_expert(pipe, texts, experts):
    flat = FactorMap.flat(block_groups(pipe.transformer))
    heard = heard_of(texts, ("left",))
    gate = CanvasGate({"ground": hand("A", flat), "left": hand("B", flat)}, halves(), "ground", heard.segments)
    at = gate.text_at(0.5)
    (_, whole_begins, whole_ends), (_, begins, ends) = heard.spans
    assert np.allclose(at["B"][:, begins:ends], 1)
    assert np.allclose(at["B"][:, whole_begins:whole_ends], 0.5)
    assert np.allclose(at["A"] + at["B"], 1)
    with mixture(pipe, experts[:2]) as mixing:
        mixing.use([gate])
        spoken = drawn(pipe, heard.text)
        mixing.use([gate], lambda text: False)  # as in a pass without the prompt
        assert not np.array_equal(spoken, drawn(pipe, heard.text))


# --- words by region


def test_all_prompts_together_are_as_long_as_one(texts):
    heard = heard_of(texts, ("left",))
    tokens = heard.text.tensors["prompt_embeds"]
    assert len(tokens) == len(texts[0].tensors["prompt_embeds"])
    (_, _, first), (names, begin, end) = heard.spans
    assert (first, begin, end, names) == (texts[0].words, texts[0].words, texts[0].words + texts[1].words, ("left",))
    assert np.array_equal(tokens[begin:end], texts[1].tensors["prompt_embeds"][: texts[1].words])


def test_prompts_too_long_for_one_text_make_it_longer_and_lose_no_word(pipe):
    long = [FAMILY.encode_text(pipe, "mountain " * 3, "cpu", 24) for _ in range(3)]
    heard = heard_of(long, ("left",), ("right",))
    assert len(heard.text.tensors["prompt_embeds"]) >= sum(text.words for text in long)


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 1), st.integers(0, 10**6))
def test_text_as_a_whole_has_the_weight_on_each_token_that_it_always_has(strength, seed):
    import torch

    from artmaster_pipeline.base_models.family import TextEmbedding

    text = TextEmbedding({"prompt_embeds": torch.zeros(24, 4), "pooled_prompt_embeds": torch.zeros(4)}, 5)
    mask = np.random.default_rng(seed).random((ROWS, COLUMNS))
    speeches = [Speech(text, ("ground",)), Speech(text, ("left",))]
    heard = together("prompt_embeds", Speech(text), speeches, {"ground": 0.5, "left": 0.5})
    bias = bias_at(heard, halves(mask), strength)
    weights = np.exp(bias[24:, :24])
    for begin in range(5):  # the first word of each prompt, the second ...
        assert np.allclose(weights[:, [begin, begin + 5, begin + 10]].sum(1), 1, atol=4e-3)
    assert np.allclose(weights[:, 15:].sum(1), 24 - 5, rtol=1e-5)  # what fills up, as much as ever
    assert (bias[24:, 24:] == 0).all()  # between image tokens nothing


def test_one_prompt_for_all_changes_nothing(pipe, texts):
    plain = drawn(pipe, texts[0])
    heard = together("prompt_embeds", Speech(texts[0]), [], {})
    with listening(pipe, heard, halves()):
        assert np.array_equal(drawn(pipe, heard.text), plain)


def test_a_region_listens_to_its_own_words_and_the_pass_without_a_prompt_to_none(pipe, texts):
    import torch

    heard = heard_of(texts, ("left",))
    free = drawn(pipe, heard.text)
    with listening(pipe, heard, halves()):
        assert not np.array_equal(drawn(pipe, heard.text), free)
    asked = []

    def hears(text: torch.Tensor) -> bool:
        asked.append(torch.equal(text[0], heard.text.tensors["prompt_embeds"]))
        return asked[-1]

    with listening(pipe, heard, halves(), hears):
        drawn(pipe, heard.text, GUIDED, texts[2])
    assert asked == [True, False] * 3


def test_a_text_made_longer_says_what_it_said(pipe, texts):
    import torch

    short = FAMILY.encode_text(pipe, "", "cpu", 24)
    longer, weights = lengthened(short, "prompt_embeds", 70)  # nearly three times
    assert len(longer.tensors["prompt_embeds"]) == len(weights) == 70
    heard = Heard(longer, ((("left",), 0, 1), ((), 1, 2)), (2, 0.0))
    expected = drawn(pipe, short)
    with listening(pipe, heard, halves(), lambda text: False, weights):
        found = drawn(pipe, longer)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert torch.equal(longer.tensors["prompt_embeds"][:24], short.tensors["prompt_embeds"])


def test_regions_keep_to_their_words_most_where_the_layout_is_decided():
    strengths = [strength_at(sigma) for sigma in (0.0, 0.3, 0.6, 1.0)]
    assert strengths == sorted(strengths)
    assert 0 < strengths[0] < strengths[-1] < 1
