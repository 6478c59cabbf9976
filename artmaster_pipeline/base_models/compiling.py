"""Compiling a transformer's blocks, once for all blocks of a kind, under every version of PyTorch that is supported."""

import inspect
from typing import Any

# A form for every size, batch and kind of pass, and FLUX's single blocks need two for their strides: more than
# PyTorch's own limit of eight, beyond which it gives up.
_FORMS = 64


def compile_repeated_blocks(transformer: Any, backend: str = "inductor") -> None:
    """Have the blocks of a diffusers transformer compiled when they are first called."""
    import torch

    how: dict[str, Any] = {"fullgraph": True, "dynamic": False, "backend": backend}
    if "recompile_limit" in inspect.signature(torch.compile).parameters:
        how["recompile_limit"] = _FORMS
    else:  # torch 2.11 knows the limit as a setting of the process only
        from torch._dynamo import config

        config.recompile_limit = max(config.recompile_limit, _FORMS)
    transformer.compile_repeated_blocks(**how)
