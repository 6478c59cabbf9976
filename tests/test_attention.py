"""An attention kernel that is broken on a GPU is found before anything is computed with it, and not used."""

import json
import os
import signal

import pytest

from artmaster_pipeline.base_models import attention
from artmaster_pipeline.base_models.attention import Attention, settle_attention, try_kernels
from artmaster_pipeline.errors import MissingRequirement, WrongUse

SHAPES = [(2, 2, 24, 16)]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    import torch

    cuda = torch.backends.cuda
    before = cuda.cudnn_sdp_enabled(), cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled()
    monkeypatch.delenv(attention.CHOICE, raising=False)
    attention._tried.cache_clear()
    yield
    attention._tried.cache_clear()
    for enable, on in zip(
        (cuda.enable_cudnn_sdp, cuda.enable_flash_sdp, cuda.enable_mem_efficient_sdp), before, strict=True
    ):
        enable(on)


def broken(how):
    """PyTorch's attention, but `how` is done to the gradient of the query wherever FlashAttention is taken alone."""
    import torch

    real = torch.nn.functional.scaled_dot_product_attention

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, out):
            return out.clone()

        @staticmethod
        def backward(ctx, grad):
            return how(grad)

    def attend(*given):
        cuda = torch.backends.cuda
        alone = cuda.flash_sdp_enabled() and not cuda.math_sdp_enabled()
        return Broken.apply(real(*given)) if alone else real(*given)

    return attend


def raises(_):
    raise RuntimeError("mha_graph.execute(handle, variant_pack, workspace_ptr.get()).is_good() INTERNAL ASSERT\nmore")


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_kernels_that_agree_with_plain_products_are_used(dtype):
    lines = list(try_kernels(attention.KERNELS, SHAPES, dtype, "cpu"))
    assert not [line for line in lines if "fault" in line]
    assert lines[-1] == {"used": "flash"}


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        (lambda grad: grad * float("nan"), "gave NaN"),
        (lambda grad: grad * 1.1, "was off by 10.0%"),
        (raises, "raised 'mha_graph"),
    ],
)
def test_a_kernel_that_is_broken_in_the_backward_pass_alone_is_found(monkeypatch, how, fault):
    import torch

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", broken(how))
    lines = list(try_kernels(attention.KERNELS, SHAPES, "float32", "cpu"))
    (said,) = [line for line in lines if "fault" in line]
    assert said["kernel"] == "flash"
    assert said["fault"].startswith(fault)
    if how is raises:  # on a GPU what comes after it might raise for its sake
        assert lines[-1] is said
    else:
        assert lines[-1] == {"used": "math"}


def test_a_kernel_that_takes_its_process_along_is_not_used(monkeypatch):
    asked = []

    def trial(kernels, shapes, dtype, device):
        asked.append(kernels)
        if "flash" in kernels:
            return [{"begun": "flash"}], "CUDA error: an illegal memory access was encountered"
        if "efficient" in kernels:
            return [{"begun": "efficient"}, {"kernel": "efficient", "fault": "raised 'x'"}], "exit status 0"
        return [{"begun": "math"}, {"used": "math"}], ""

    import torch

    monkeypatch.setattr(attention, "_trial", trial)
    found = settle_attention(SHAPES, "bfloat16")
    ended = "ended its process (CUDA error: an illegal memory access was encountered)"
    assert found == Attention("math", attention._NEVER | {"flash": ended, "efficient": "raised 'x'"})
    assert "flash attention is off, since it ended its process" in str(found)
    assert not torch.backends.cuda.flash_sdp_enabled()
    assert not torch.backends.cuda.mem_efficient_sdp_enabled()
    settle_attention(SHAPES, "bfloat16")
    assert asked == [["flash", "efficient", "math"], ["efficient", "math"], ["math"]]  # once a process


def test_what_is_not_tried_is_not_said_to_be_used():
    assert list(try_kernels(["efficient", "math"], SHAPES, "float32", "cpu"))[-1] == {"used": "math"}


def test_cudnns_kernel_is_used_only_where_it_is_asked_for(monkeypatch):
    import torch

    monkeypatch.setattr(attention, "_trial", lambda *_: ([{"used": "flash"}], ""))
    said = str(settle_attention(SHAPES, "bfloat16"))
    assert said.startswith("flash attention (cuDNN's attention is off, since it gave NaN and illegal reads in")
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    monkeypatch.setenv(attention.CHOICE, "cudnn")
    settle_attention(SHAPES, "bfloat16")
    assert torch.backends.cuda.cudnn_sdp_enabled()
    assert not torch.backends.cuda.flash_sdp_enabled()


def test_a_trial_that_cannot_be_made_says_so_and_how_to_go_on_without(monkeypatch):
    monkeypatch.setattr(attention, "_trial", lambda *_: ([], "CUDA out of memory"))
    with pytest.raises(MissingRequirement, match=r"could not be tried: CUDA out of memory.*ARTMASTER_ATTENTION=math"):
        settle_attention(SHAPES, "bfloat16")


def test_the_environment_names_a_kernel_untried(monkeypatch):
    import torch

    monkeypatch.setattr(attention, "_trial", lambda *_: pytest.fail("tried"))
    monkeypatch.setenv(attention.CHOICE, "math")
    assert str(settle_attention(SHAPES, "bfloat16")) == "plain attention, as ARTMASTER_ATTENTION says"
    assert not torch.backends.cuda.flash_sdp_enabled()
    monkeypatch.setenv(attention.CHOICE, "cuDNN")
    with pytest.raises(WrongUse, match="choose from cudnn, flash, efficient, math"):
        settle_attention(SHAPES, "bfloat16")


def test_the_trial_is_a_process_of_its_own(tmp_path, monkeypatch):
    found = settle_attention(SHAPES, "bfloat16", "cpu")
    assert (found.used, found.refused) == ("flash", attention._NEVER)
    killed = tmp_path / "killed.py"
    killed.write_text(
        f"#!/bin/sh\necho '{json.dumps({'begun': 'cudnn'})}'\nkill -{int(signal.SIGSEGV)} $$\n", encoding="utf-8"
    )
    killed.chmod(0o755)
    monkeypatch.setattr(attention.sys, "executable", os.fspath(killed))
    lines, ending = attention._trial(["cudnn"], SHAPES, "bfloat16", "cpu")
    assert lines == [{"begun": "cudnn"}]
    assert ending == f"exit status -{int(signal.SIGSEGV)}"


@pytest.mark.cuda
def test_the_kernels_of_this_gpu_are_tried_at_flux_devs_shapes():
    found = settle_attention([(1, 24, 1024 + 512, 128), (1, 24, 1536 + 512, 128)], "bfloat16")
    print(found)
    assert found.used in attention.KERNELS
