"""In which precision the miniature is trained: bfloat16 where the machine multiplies in it, and else float32."""

from typing import Any


def autocast(device: Any) -> Any:
    """A context that computes in bfloat16 on CUDA and on processors with instructions for it.

    Others imitate it: measured on a server's processor with AVX-512 alone, a matrix product takes 4.7 times as long in
    bfloat16 as in float32. `device` is a torch.device.
    """
    import torch

    known = torch.cpu.get_capabilities() if device.type == "cpu" else {"bf16": True}
    able = any(value for name, value in known.items() if name.endswith("bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=able)


def plain_attention(device: Any) -> Any:
    """A context that trains with attention in separate operations on a processor.

    The fused kernel's backward pass in bfloat16 took 57 ms a block there where the forward took 2 (a batch of 32).
    """
    from contextlib import nullcontext

    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
