"""A loaded base as diffusers' other pipelines; ControlNets asked by a hook, as diffusers does, to the last digit."""

import numpy as np
import pytest
from training_home import tiny_profile

from artmaster_pipeline.base_models import family_for, load_pipeline
from artmaster_pipeline.base_models.flux.descriptor import FAMILY
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.generation.control import ControlSignal, controlled
from artmaster_pipeline.generation.forms import as_form
from artmaster_pipeline.generation.sampling import draw_embedded

PLAIN = DrawingSettings(guidance_scale=2.0)
GUIDED = DrawingSettings(guidance_scale=1.0, true_cfg_scale=3.0)
LINES = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pipe(tiny_flux):
    return load_pipeline(tiny_profile(tiny_flux))


@pytest.fixture(scope="module")
def texts(pipe):
    return [FAMILY.encode_text(pipe, text, "cpu", 24) for text in ("mountain", "")]


@pytest.fixture(scope="module")
def network(pipe):
    """A union ControlNet of the tiny FLUX, which adds something in every block."""
    import torch
    from diffusers import FluxControlNetModel

    torch.manual_seed(5)
    config = {name: value for name, value in pipe.transformer.config.items() if not name.startswith("_")}
    config |= {"num_layers": 1, "num_single_layers": 1, "num_mode": 3}
    config = {
        name: config[name] for name in config if name in FluxControlNetModel.__init__.__wrapped__.__code__.co_varnames
    }
    made = FluxControlNetModel(**config).eval()
    for block in (*made.controlnet_blocks, *made.controlnet_single_blocks, made.controlnet_x_embedder):
        torch.nn.init.normal_(block.weight, std=0.3)
    return made


def drawn(pipe, texts, settings=PLAIN, seeds=(3,), **further):
    negative = texts[1] if settings.true_cfg_scale > 1 else None
    return draw_embedded(pipe, texts[:1] * len(seeds), list(seeds), 64, 64, 4, settings, negative, further)


def test_a_form_is_made_of_the_pipelines_own_parts_and_lets_go_of_them(pipe):
    with as_form(pipe, "picture") as shaped:
        assert type(shaped).__name__ == "FluxImg2ImgPipeline"
        assert all(shaped.components[name] is part for name, part in pipe.components.items())
        assert family_for(shaped) is FAMILY
    assert not any(shaped.components.values())
    assert pipe.transformer is not None


def test_a_form_that_the_family_lacks_is_refused_with_those_it_has(pipe):
    with pytest.raises(WrongUse, match="picture, repaint"), as_form(pipe, "sculpture"):
        pass


@pytest.mark.parametrize("settings", [PLAIN, GUIDED], ids=["plain", "guided"])
def test_a_picture_is_changed_the_less_the_lower_the_strength(pipe, texts, settings):
    from PIL import Image

    picture = Image.fromarray(LINES)
    with as_form(pipe, "picture") as shaped:
        little, much = (drawn(shaped, texts, settings, image=picture, strength=strength)[0] for strength in (0.25, 1.0))
    kept = through_the_autoencoder(pipe, picture)
    assert little.shape == LINES.shape
    assert np.abs(little - kept).mean() < np.abs(much - kept).mean()


def through_the_autoencoder(pipe, picture):
    """A picture as the autoencoder gives it back, 0..255."""
    import torch

    with torch.inference_mode():
        latent = FAMILY.encode_picture(pipe, picture, *picture.size)[None]
        decoded = pipe.vae.decode(FAMILY.decoder_input(pipe.vae, latent)).sample[0]
    return ((decoded / 2 + 0.5).clamp(0, 1) * 255).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("settings", [PLAIN, GUIDED], ids=["plain", "guided"])
@pytest.mark.parametrize("until", [1.0, 0.5])
def test_the_hook_gives_what_diffusers_own_pipeline_gives(pipe, texts, network, settings, until, monkeypatch):
    from diffusers import FluxControlNetPipeline
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
    from PIL import Image

    # diffusers draws the signal's latent from the posterior, by the picture's own generator; the hook takes its mode
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    theirs = FluxControlNetPipeline(**pipe.components, controlnet=network)
    theirs.set_progress_bar_config(disable=True)
    monkeypatch.setitem(FAMILY.forms, "control", "FluxControlNetPipeline")
    control = {
        "control_image": Image.fromarray(LINES),
        "control_mode": 2,
        "controlnet_conditioning_scale": 0.6,
        "control_guidance_end": until,
    }
    expected = drawn(theirs, texts, settings, **control)[0]
    with controlled(pipe, network, [ControlSignal(LINES, 2, 0.6, until)]):
        found = drawn(pipe, texts, settings)[0]
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, drawn(pipe, texts, settings)[0])


def test_a_signal_at_scale_zero_and_no_signal_change_nothing(pipe, texts, network):
    plain = drawn(pipe, texts)[0]
    for signals in ([], [ControlSignal(LINES, 1, 0.0)]):
        with controlled(pipe, network, signals):
            assert np.array_equal(drawn(pipe, texts)[0], plain)


def test_two_signals_add_up_and_a_second_picture_begins_anew(pipe, texts, network):
    one, other = ControlSignal(LINES, 0, 0.5, 0.5), ControlSignal(255 - LINES, 1, 0.5, 1.0)
    with controlled(pipe, network, [one, other]):
        first, again = drawn(pipe, texts)[0], drawn(pipe, texts)[0]
    assert np.array_equal(first, again)
    for alone in (one, other):
        with controlled(pipe, network, [alone]):
            assert not np.array_equal(first, drawn(pipe, texts)[0])


def test_control_holds_in_the_forms_for_which_diffusers_has_no_guided_pipeline(pipe, texts, network):
    from PIL import Image

    further = {"image": Image.fromarray(255 - LINES), "strength": 0.8}
    with as_form(pipe, "picture") as shaped:
        plain = drawn(shaped, texts, GUIDED, **further)[0]
        with controlled(shaped, network, [ControlSignal(LINES, 2, 1.0, 1.0)]):
            held = drawn(shaped, texts, GUIDED, **further)[0]
    assert not np.array_equal(plain, held)
