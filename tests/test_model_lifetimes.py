"""After a stage the memory of its models is free: every network that was made in it is gone, without further help."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_style_features import networks  # noqa: F401 - a fixture
from tiny_captioner import save_tiny_captioner
from tiny_flux import save_tiny_flux
from training_home import PAINTER, TRAINING, fill_home, tiny_profile

from artmaster_pipeline.base_models import load_pipeline, open_pipeline, vgg
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.evaluation import evaluate_adapter, validation_panel
from artmaster_pipeline.gallery.enlarging import enlarge_samples
from artmaster_pipeline.generation import draw
from artmaster_pipeline.generation.on_request import generate
from artmaster_pipeline.generation.sampling import compile_blocks
from artmaster_pipeline.progress import SILENT
from artmaster_pipeline.sessions import kept, session
from artmaster_pipeline.settings import EvaluationSettings, Home, Profile
from artmaster_pipeline.superres import load_network
from artmaster_pipeline.training import train_adapter
from artmaster_pipeline.training.adapter_check import check_adapter

# Every mechanism that asks a model: the judge and pictures while training, the constraint, what words mean.
EVALUATION = {"samples": 4, "num_inference_steps": 1, "far_prompts": ("a vase",), "far_samples": 1, "rows": 1}


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_flux(tmp_path_factory.mktemp("flux"))


def profile_on(flux: Path, **evaluation: Any) -> Profile:
    constraint = TRAINING.style_constraint.model_copy(update={"weight": 0.1, "max_sigma": 1.0})
    validation = TRAINING.validation.model_copy(update={"panel_samples": 2, "far_prompts": ("a pine",), "samples": 1})
    training = {"style_constraint": constraint, "validation": validation, "max_steps": 4, "checkpoints": 0}
    return tiny_profile(
        flux,
        training=TRAINING.model_copy(update=training),
        evaluation=EvaluationSettings(**(EVALUATION | evaluation)),
        captioner=None,
        held_out_share=0.25,
        validate_share=0.2,
    )


class Born:
    """Everything that is a model and was made since `__init__`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        self.seen: list[weakref.ref[Any]] = []
        for kind in (torch.nn.Module, vgg.Vgg):
            monkeypatch.setattr(kind, "__init__", self._noting(kind.__init__))

    def _noting(self, real: Any) -> Any:
        def init(model: Any, *args: Any, **kwargs: Any) -> None:
            real(model, *args, **kwargs)
            self.seen.append(weakref.ref(model))

        return init

    @property
    def kinds(self) -> set[str]:
        """What is still there, but for the functions without weights that transformers keeps one of each of."""
        alive = [model for ref in self.seen if (model := ref()) is not None]
        return {type(model).__name__ for model in alive if isinstance(model, vgg.Vgg) or list(model.parameters())}


@pytest.fixture
def born(monkeypatch: pytest.MonkeyPatch) -> Iterator[Born]:
    """With Python's own collector off: what is gone was let go by the product."""
    gc.collect()
    gc.disable()
    yield Born(monkeypatch)
    gc.enable()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, flux: Path) -> Home:
    home = fill_home(Home(tmp_path_factory.mktemp("home")), works=10, small=1)
    build_training_set(home, PAINTER, profile_on(flux))
    train_adapter(home, PAINTER, profile_on(flux), judge_for=validation_panel)
    return home


def test_a_session_holds_one_of_each_and_lets_it_go(born: Born) -> None:
    import torch

    load = kept(lambda width: torch.nn.Linear(width, 2))
    with session():
        with session():
            first = load(3)
        assert load(3) is first
        assert load(4) is not first
        del first
        assert born.kinds == {"Linear"}
    assert not born.kinds
    assert load(3) is not load(3)


def test_a_pipeline_is_empty_after_its_block_even_where_it_fails(born: Born, flux: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_pipeline(tiny_profile(flux)) as pipe:
        assert {"FluxTransformer2DModel", "AutoencoderKL", "CLIPTextModel", "T5EncoderModel"} <= born.kinds
        _ = 1 / 0
    assert pipe.transformer is pipe.vae is pipe.text_encoder is pipe.text_encoder_2 is None
    assert not born.kinds


def test_compiled_blocks_hold_no_model(born: Born, flux: Path) -> None:
    with open_pipeline(tiny_profile(flux)) as pipe:
        compile_blocks(pipe, backend="eager")
        draw(pipe, "a boat", 0, 64, 64, 1, DrawingSettings(guidance_scale=1.0), 24)
    assert not born.kinds


def test_after_the_training_set(born: Born, flux: Path, tmp_path: Path) -> None:
    home = fill_home(Home(tmp_path / "home"), works=10, small=1)
    for n in range(10):
        (home.scans(PAINTER) / f"{n}.png").touch()
    from artmaster_pipeline.records import MANIFEST, Scan, read_manifest, write_manifest

    file = home.register(PAINTER) / MANIFEST
    write_manifest(file, (s.model_copy(update={"title": "", "season": ""}) for s in read_manifest(file, Scan)))
    profile = profile_on(flux).model_copy(update={"captioner": str(save_tiny_captioner(tmp_path / "captioner"))})
    born.seen.clear()
    build_training_set(home, PAINTER, profile)
    assert len(born.seen) > 20  # a captioner and a network that enlarges
    assert not born.kinds


def test_after_a_training_with_all_its_mechanisms(born: Born, flux: Path, tmp_path: Path) -> None:
    home = fill_home(Home(tmp_path / "home"), works=10)
    build_training_set(home, PAINTER, profile_on(flux))
    born.seen.clear()
    train_adapter(home, PAINTER, profile_on(flux), judge_for=validation_panel)
    assert len(born.seen) > 100
    assert not born.kinds
    check_adapter(home, PAINTER, profile_on(flux))
    assert not born.kinds


@pytest.mark.parametrize("hub", [False, True])
def test_after_an_evaluation(
    born: Born,
    flux: Path,
    home: Home,
    networks: dict[str, str],  # noqa: F811
    hub: bool,
) -> None:
    seen_by = networks | {"style_features": "hub", "adherence": "clip"} if hub else {}
    evaluate_adapter(home, PAINTER, profile_on(flux, **seen_by))
    assert len(born.seen) > 100
    assert not born.kinds


def test_after_a_gallery_and_after_pictures_on_request(born: Born, flux: Path, home: Home, tmp_path: Path) -> None:
    profile = profile_on(flux)
    samples = [s for s in evaluate_adapter(home, PAINTER, profile).records if s.column == "adapter"]
    born.seen.clear()
    enlarge_samples(home, PAINTER, profile, samples[:1], SILENT)
    assert born.seen
    assert not born.kinds
    generate(home, PAINTER, profile, "a boat", out=tmp_path, enlarge=True)
    assert not born.kinds


def test_each_network_is_loaded_once_in_a_stage(flux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = fill_home(Home(tmp_path / "home"), works=10)
    build_training_set(home, PAINTER, profile_on(flux))
    loaded: list[str] = []
    real = vgg.Vgg.__init__
    monkeypatch.setattr(vgg.Vgg, "__init__", lambda *a: (loaded.append("vgg"), real(*a))[1])
    train_adapter(home, PAINTER, profile_on(flux), judge_for=validation_panel)
    assert loaded == ["vgg"]
    evaluate_adapter(home, PAINTER, profile_on(flux))
    assert loaded == ["vgg"] * 2


def test_no_encoder_is_loaded_while_a_transformer_is(
    flux: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a card of 24 GB never holds T5 and the transformer together."""
    together: list[set[str]] = []

    def noting(profile: Profile, parts: Any = None, home: Any = None) -> Any:
        pipe = load_pipeline(profile, parts, home)
        together.append(set(parts))
        return pipe

    monkeypatch.setattr("artmaster_pipeline.base_models.loading.load_pipeline", noting)
    generate(home, PAINTER, profile_on(flux), "another boat", out=tmp_path)
    evaluate_adapter(home, PAINTER, profile_on(flux, seed=5))
    assert any("text_encoder" in parts for parts in together)
    assert all(not parts & {"text_encoder", "text_encoder_2"} or "transformer" not in parts for parts in together)


@pytest.mark.cuda
def test_the_gpus_memory_is_free_after_every_stage(flux: Path, tmp_path: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    cuda = profile_on(flux).model_copy(update={"device": "cuda"})
    home = fill_home(Home(tmp_path / "home"), works=10, small=1)
    torch.zeros(1, device="cuda") @ torch.zeros(1, device="cuda")  # cuBLAS keeps its workspace
    torch.cuda.synchronize()

    def held(stage: Any) -> int:
        stage()
        return torch.cuda.memory_allocated()

    build_training_set(home, PAINTER, cuda)
    train_adapter(home, PAINTER, cuda, judge_for=validation_panel)
    before = torch.cuda.memory_allocated()  # workspaces of the libraries: made once, kept by PyTorch
    weights = 2**18  # bytes; the tiny transformer alone has more
    assert before < 64 * 2**20
    assert held(lambda: train_adapter(home, PAINTER, _again(cuda, 1), judge_for=validation_panel)) - before < weights
    assert held(lambda: check_adapter(home, PAINTER, _again(cuda, 1))) - before < weights
    assert held(lambda: evaluate_adapter(home, PAINTER, _again(cuda, 1))) - before < weights
    assert (
        held(lambda: generate(home, PAINTER, _again(cuda, 1), "a boat", out=tmp_path, enlarge=True)) - before < weights
    )
    with session():
        enlarger = load_network(cuda.super_resolution, "cuda")
        enlarger.enlarge(np.zeros((32, 32, 3), np.uint8))
        del enlarger
    assert torch.cuda.memory_allocated() - before < weights


def _again(profile: Profile, seed: int) -> Profile:
    return profile.model_copy(update={"training": profile.training.model_copy(update={"seed": seed})})
