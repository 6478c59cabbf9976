"""Which of PyTorch's attention kernels may be used on a GPU: those that compute there what attention is.

`scaled_dot_product_attention` picks one of several kernels by the GPU, the library's version and the shapes, and such a
pick can be broken, which looks like a training that diverged. So each is tried before a GPU is worked on, forward and
backward, in the number type and at the shapes of the work, against plain matrix products in fp32; one that raises,
gives NaN or is off is not used in this process. A kernel that reads where it must not takes its whole process along, so
the trial runs in one of its own. A trial with an answer takes some seconds, once in a process.

cuDNN's is used only where it is asked for: under torch 2.11, on an H100 and on an H200, its backward pass read memory
that is not its own, so trainings gave NaN or ended ("illegal memory access") after a trial that it had passed.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import MissingRequirement, WrongUse

if TYPE_CHECKING:
    import torch

CHOICE = "ARTMASTER_ATTENTION"  # an environment variable: the one kernel to use, untried
KERNELS = ("cudnn", "flash", "efficient", "math")  # PyTorch's backends; math is plain matrix products
_TITLES = {"cudnn": "cuDNN's", "flash": "flash", "efficient": "memory-efficient", "math": "plain"}
_MEMBERS = {
    "cudnn": "CUDNN_ATTENTION",
    "flash": "FLASH_ATTENTION",
    "efficient": "EFFICIENT_ATTENTION",
    "math": "MATH",
}
# How far from plain products in fp32 an outcome may be, as a share of its norm. Rounding factors to bf16 costs 0.004.
_TOLERANCE = {"bfloat16": 0.02, "float16": 0.005, "float32": 1e-4}
# Never used unasked, whatever a trial says: what it reads depends on what lay in the memory before
_NEVER = {"cudnn": "gave NaN and illegal reads in trainings on Hopper cards, whatever its trial said"}
_NOT_FOR_THIS = ("No available kernel", "No viable backend")  # what PyTorch says, on CUDA and on the CPU
_SECONDS = 180  # for a kernel that never returns

Shape = tuple[int, int, int, int]  # batch, heads, tokens, width of a head


@dataclass(frozen=True)
class Attention:
    """What may be used: the kernels that work, in PyTorch's words, and why others may not."""

    used: str  # what PyTorch takes of the kernels that are left, at the last shape that was tried
    refused: dict[str, str] = field(default_factory=dict)  # kernel -> what it did
    asked_for: bool = False  # by the environment: nothing was tried

    def __str__(self) -> str:
        """One line for a person."""
        if self.asked_for:
            return f"{_TITLES[self.used]} attention, as {CHOICE} says"
        off = "; ".join(f"{_TITLES[name]} attention is off, since it {why}" for name, why in self.refused.items())
        return f"{_TITLES[self.used]} attention" + (f" ({off})" if off else ", and all others that apply, agree")


def settle_attention(shapes: Iterable[Shape], dtype: str, device: str = "cuda") -> Attention:
    """Try the kernels at these shapes, forbid those that fail to PyTorch in this process, and say what is used.

    The environment's `ARTMASTER_ATTENTION` (cudnn, flash, efficient, math) takes that one kernel untried. Raises
    WrongUse where it names another, MissingRequirement where the trial itself cannot be made.
    """
    chosen = os.environ.get(CHOICE, "")
    if chosen and chosen not in KERNELS:
        raise WrongUse(f"{CHOICE}={chosen} is no attention kernel: choose from {', '.join(KERNELS)}, or unset it.")
    if chosen:
        _allow({chosen, "math"} if chosen != "math" else {"math"})
        return Attention(chosen, asked_for=True)
    found = _tried(tuple(shapes), dtype, device)
    _allow(set(KERNELS) - set(found.refused))
    return found


@cache
def _tried(shapes: tuple[Shape, ...], dtype: str, device: str) -> Attention:
    refused = dict(_NEVER)
    while True:  # each turn refuses one kernel at least
        lines, ending = _trial([name for name in KERNELS if name not in refused], shapes, dtype, device)
        found = {line["kernel"]: line["fault"] for line in lines if "fault" in line}
        used = next((line["used"] for line in lines if "used" in line), "")
        if used:
            return Attention(used, refused | found)
        begun = next((line["begun"] for line in reversed(lines) if "begun" in line), "math")
        found = found or {begun: f"ended its process ({ending})"}
        if "math" in found:
            raise MissingRequirement(
                f"The attention kernels of {device} could not be tried: {ending or found['math']}. Free memory on the "
                "GPU, check its driver with `nvidia-smi`, or name a kernel that is used untried: "
                f"{CHOICE}=math is the slowest and the safest."
            )
        refused |= found


def _trial(kernels: list[str], shapes: tuple[Shape, ...], dtype: str, device: str) -> tuple[list[dict[str, str]], str]:
    """What a process that tries the kernels printed, line by line, and how it ended."""
    asked = json.dumps({"kernels": kernels, "shapes": shapes, "dtype": dtype, "device": device})
    command = [sys.executable, "-m", __name__, asked]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
        printed, said = done.stdout, done.stderr.strip().splitlines()
        ending = said[-1] if said else f"exit status {done.returncode}"
    except subprocess.TimeoutExpired as error:
        printed = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        ending = f"no answer in {_SECONDS} s"
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines], ending


def try_kernels(kernels: Iterable[str], shapes: Iterable[Shape], dtype: str, device: str) -> "Iterable[dict[str, str]]":
    """Try kernels one after the other: {"begun": name} before each, then {"kernel": name, "fault": why} if it fails.

    At the end {"used": name}: what PyTorch takes of those that did not fail. What cannot take such shapes at all is
    passed over; PyTorch passes over it, too. After a kernel that raised nothing more is tried, since on a GPU all that
    comes after it may raise, too.
    """
    import torch

    kernels = list(kernels)
    allowed = set(kernels)
    cases = [_case(shape, getattr(torch, dtype), device) for shape in shapes]
    wanted = [_in_fp32(case) for case in cases]
    for name in kernels:
        yield {"begun": name}
        try:
            faults = [_fault(name, *pair, _TOLERANCE[dtype]) for pair in zip(cases, wanted, strict=True)]
        except RuntimeError as error:
            yield {
                "kernel": name,
                "fault": f"raised {(str(error).strip().splitlines() or [type(error).__name__])[0]!r}",
            }
            return
        if any(faults):
            allowed.remove(name)
            yield {"kernel": name, "fault": next(filter(None, faults))}
    _allow(allowed)
    yield {"used": _taken(cases[-1])}


def _case(shape: Shape, dtype: "torch.dtype", device: str) -> "tuple[torch.Tensor, ...]":
    """Query, key, value and the gradient of the outcome, laid out as diffusers does: (batch, tokens, heads, width)."""
    import torch

    chance, (batch, heads, tokens, width) = torch.Generator().manual_seed(0), shape
    made = (torch.randn(batch, tokens, heads, width, generator=chance) for _ in range(4))
    return tuple(tensor.to(device, dtype).transpose(1, 2) for tensor in made)


def _attend(name: str, query: Any, key: Any, value: Any, gradient: Any) -> "list[torch.Tensor]":
    """The outcome and its gradients by query, key and value."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    leaves = [tensor.detach().requires_grad_(True) for tensor in (query, key, value)]
    with sdpa_kernel(SDPBackend.__members__[_MEMBERS[name]]):
        out = torch.nn.functional.scaled_dot_product_attention(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, gradient)]


def _in_fp32(case: "tuple[torch.Tensor, ...]") -> "list[torch.Tensor]":
    """The truth for a case, by plain products of fp32, picture by picture, since those hold all the scores at once."""
    import torch

    rows = [_attend("math", *(tensor[n : n + 1].float() for tensor in case)) for n in range(len(case[0]))]
    return [torch.cat(parts) for parts in zip(*rows, strict=True)]


def _fault(name: str, case: "tuple[torch.Tensor, ...]", wanted: "list[torch.Tensor]", tolerance: float) -> str:
    """What a kernel does wrong short of raising; empty where nothing, or where it does not apply."""
    try:
        found = [tensor.float() for tensor in _attend(name, *case)]
    except RuntimeError as error:
        if any(words in str(error) for words in _NOT_FOR_THIS):
            return ""
        raise
    off = [float((mine - truth).norm() / truth.norm()) for mine, truth in zip(found, wanted, strict=True)]
    if any(map(math.isnan, off)):
        return "gave NaN"
    return "" if max(off) <= tolerance else f"was off by {max(off):.1%}"


def _taken(case: "tuple[torch.Tensor, ...]") -> str:
    """What PyTorch takes for a case as things are."""
    import torch

    number = torch._fused_sdp_choice(*(tensor.detach().requires_grad_(True) for tensor in case[:3]))
    members = torch.nn.attention.SDPBackend.__members__
    return next((name for name, member in _MEMBERS.items() if int(members[member]) == number), "math")


def _allow(kernels: set[str]) -> None:
    import torch

    torch.backends.cuda.enable_cudnn_sdp("cudnn" in kernels)
    torch.backends.cuda.enable_flash_sdp("flash" in kernels)
    torch.backends.cuda.enable_mem_efficient_sdp("efficient" in kernels)
    torch.backends.cuda.enable_math_sdp(True)


if __name__ == "__main__":  # what `_trial` starts
    for line in try_kernels(**json.loads(sys.argv[1])):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
