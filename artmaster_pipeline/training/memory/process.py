"""This process's memory: its peak, what its libraries take before any work, and giving large blocks back."""

import subprocess
import sys
from functools import cache
from pathlib import Path

from artmaster_pipeline.base_models.hub import family_of
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.settings import Profile
from artmaster_pipeline.training.memory.counting import KEPT_BY_GLIBC

_CUDA_CONTEXT = 2**29  # bytes: kernels and libraries; PyTorch's own figures leave it out
_BASELINE = """
import torch, torchvision, transformers, torch.utils.tensorboard
from diffusers import {pipeline}
from peft import AdaLoraConfig, get_peft_model
import artmaster_pipeline.training.trainer
x = torch.rand(4, 8, 64, 64, requires_grad=True)
y = torch.nn.functional.scaled_dot_product_attention(x, x, x) @ x
torch.nn.functional.conv2d(y, x[:, :, :3, :3]).sum().backward()
from artmaster_pipeline.training.memory.process import peak_of_this_process
print(peak_of_this_process())
"""  # some arithmetic, because kernels become resident when they first run


def around(profile: Profile) -> dict[str, float]:
    """The process itself, or what CUDA keeps on the GPU."""
    if profile.device == "cpu":
        return {"Python and its libraries": baseline(family_of(profile).pipeline_class)}
    return {"CUDA itself": float(_CUDA_CONTEXT)}


@cache
def library_baseline(module: str) -> float:
    """Peak resident bytes of a process that has imported a module of ours: measured, in a second."""
    lines = f"import pyvips, {module}", "from artmaster_pipeline.training.memory.process import peak_of_this_process"
    code = "; ".join([*lines, "print(peak_of_this_process())"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ArtMasterError(f"The libraries cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.strip().splitlines()[-1])


@cache
def baseline(pipeline: str) -> float:
    """Peak resident bytes of a process that has imported what the trainer imports: measured, in some seconds."""
    done = subprocess.run(
        [sys.executable, "-c", _BASELINE.format(pipeline=pipeline)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ArtMasterError(f"The libraries cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.strip().splitlines()[-1])


def give_memory_back() -> None:
    """Have large freed blocks given back to the system at once, in this process, where its C library is glibc.

    By itself glibc raises the size from which it does so to 32 MiB as a program goes on, and keeps what is smaller in a
    heap where blocks of many sizes leave holes: a training on the CPU then holds up to a third more than it uses, never
    twice the same. Does nothing elsewhere.
    """
    import ctypes

    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-3, KEPT_BY_GLIBC)  # M_MMAP_THRESHOLD of malloc.h; set once, it no longer grows


def peak_of_this_process() -> int:
    """The most bytes that this process has had resident since it began.

    Linux's `ru_maxrss` is not that: a process starts with the peak of the one that started it (man 2 getrusage has it
    kept across execve), so under a large parent it says too much.
    """
    import resource

    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
