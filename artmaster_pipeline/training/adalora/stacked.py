"""The adapter's parameters in one tensor per kind and shape, and layers that add their change without detours.

An adapter has thousands of small matrices. Kept one by one, the upkeep of AdaLoRA (orthogonality, importance, masks,
the optimizer) is tens of thousands of small operations a step; kept in stacks it is a few dozen. PEFT's modules still
own their parameters, which become views of the stacks, so names, saving and switching off stay PEFT's. What the layers
compute with are working copies in the model's dtype, with E and the scale multiplied in; their gradients are summed in
fp32 over all backward passes of a step, and turned into those of A, B and E stack by stack (the chain rule, no more).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.base_models.family import family_for

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LayerGroup:
    """Layers of one shape that learn in the same stages: A is (layers, r, in), B (layers, out, r), E (layers, r, 1).

    Plain LoRA has no E. `down` and `up` are the working copies of E A and B. Their gradients, `down_grad` and
    `up_grad`, are in fp32 at least: summed in bf16, a step would depend on how many backward passes it is made in.
    """

    layers: tuple[str, ...]
    learns: tuple[bool, ...]  # by stage
    a: "torch.nn.Parameter"
    b: "torch.nn.Parameter"
    e: "torch.nn.Parameter | None"
    down: "torch.Tensor"
    up: "torch.Tensor"
    down_grad: "torch.Tensor"
    up_grad: "torch.Tensor"

    @property
    def tensors(self) -> "tuple[torch.nn.Parameter, ...]":
        """A, B and, with AdaLoRA, E."""
        return (self.a, self.b) if self.e is None else (self.a, self.b, self.e)


class Stacks:
    """All parameters of a PeftModel's adapter, stacked. `groups` are in a fixed order.

    The model is changed: its layers compute with the working copies, which `refresh` fills.
    """

    def __init__(
        self,
        model: Any,
        named: "dict[str, torch.nn.Parameter]",
        dtype: "torch.dtype",
        stages: Sequence[Sequence[str]] = ((),),
    ) -> None:
        """Move the parameters (`adalora.parameters`) into stacks; `stages` are the kinds of layers of each stage."""
        family = family_for(model.base_model.model)
        members: dict[Any, list[str]] = {}
        for name, p in named.items():
            if name.endswith(".lora_A"):
                layer = name.removesuffix(".lora_A")
                learns = tuple(family.is_of(layer, kinds) for kinds in stages)
                members.setdefault((tuple(p.shape), tuple(named[f"{layer}.lora_B"].shape), learns), []).append(layer)
        modules = dict(model.base_model.model.named_modules())
        self.groups = tuple(_group(named, layers, learns, dtype) for (_, _, learns), layers in members.items())
        self._modules = [modules[layer] for group in self.groups for layer in group.layers]
        self._leaves = [_use(group, modules) for group in self.groups]
        self._grads = [[tensor.grad for tensor in group.tensors] for group in self.groups]
        self._scale = 1.0
        self.learn(0)

    @property
    def tensors(self) -> "list[torch.nn.Parameter]":
        """Every stack, group by group: what the optimizer is given."""
        return [tensor for group in self.groups for tensor in group.tensors]

    def learn(self, stage: int) -> None:
        """Let the layers of a stage learn and no others: an optimizer passes over tensors without a gradient."""
        for group, grads, leaves in zip(self.groups, self._grads, self._leaves, strict=True):
            for tensor, grad in zip(group.tensors, grads, strict=True):
                tensor.grad = grad if group.learns[stage] else None
            for leaf in leaves:
                leaf.requires_grad_(group.learns[stage])

    @contextmanager
    def off(self) -> Iterator[None]:
        """Let the layers be the base's for a while."""
        for module in self._modules:
            module._disable_adapters = True
        try:
            yield
        finally:
            for module in self._modules:
                module._disable_adapters = False

    def refresh(self, scale: float) -> None:
        """Fill the working copies from A, B and E; the layers' change then enters with `scale`."""
        import torch

        self._scale = scale
        with torch.no_grad():
            for group in self.groups:
                group.down.copy_(group.a * scale if group.e is None else group.a * (group.e * scale))
                group.up.copy_(group.b)

    def collect(self) -> None:
        """Add the working copies' gradients to those of A, B and E, and set them to zero."""
        import torch

        with torch.no_grad():
            for group in self.groups:
                if group.a.grad is None:
                    continue
                down = group.down_grad.to(group.a.dtype)
                if group.e is None:
                    group.a.grad.add_(down, alpha=self._scale)
                else:
                    group.a.grad.addcmul_(down, group.e, value=self._scale)
                    group.e.grad.add_((down * group.a).sum(-1, keepdim=True), alpha=self._scale)
                group.b.grad.add_(group.up_grad)
            torch._foreach_zero_([grad for group in self.groups for grad in (group.down_grad, group.up_grad)])

    def zero_grad(self) -> None:
        """Set all gradients to zero, in place."""
        import torch

        torch._foreach_zero_([grad for grads in self._grads for grad in grads])

    def add_orthogonal_loss(self, weight: float) -> "torch.Tensor":
        """Add to the gradients what `weight` times the orthogonal loss has; gives the loss, without a graph.

        The loss is PEFT's (which never runs on a diffusers model, whose output has no `.loss`): the mean over all A and
        B of ||P P^T - I||_F (https://arxiv.org/abs/2303.10512, equation 4). Its derivative by P is
        2 (P P^T - I) P / ||P P^T - I||_F.
        """
        import torch

        total = torch.zeros((), device=self.groups[0].a.device)
        count = 2 * sum(len(group.layers) for group in self.groups)
        with torch.no_grad():
            for group in self.groups:
                for matrix, rows in ((group.a, group.a), (group.b, group.b.transpose(1, 2))):
                    off = rows @ rows.transpose(1, 2)
                    off.diagonal(dim1=1, dim2=2).sub_(1)
                    norm = torch.linalg.matrix_norm(off)
                    total += norm.sum()
                    if matrix.grad is None:
                        continue
                    off *= (2 * weight / count / norm.clamp_min(1e-12)).view(-1, 1, 1)
                    if matrix is group.a:
                        matrix.grad.baddbmm_(off, matrix)
                    else:
                        matrix.grad.baddbmm_(matrix, off)
        return total / count


def _group(
    named: "dict[str, torch.nn.Parameter]", layers: list[str], learns: tuple[bool, ...], dtype: "torch.dtype"
) -> LayerGroup:
    import torch

    def stack(part: str) -> "torch.nn.Parameter":
        members = [named[f"{layer}.lora_{part}"] for layer in layers]
        stacked = torch.nn.Parameter(torch.stack([p.detach() for p in members]))
        stacked.grad = torch.zeros_like(stacked)
        for number, p in enumerate(members):
            p.data = stacked.detach()[number]
            p.requires_grad_(False)
        return stacked

    a, b = stack("A"), stack("B")
    e = stack("E") if f"{layers[0]}.lora_E" in named else None
    down, up = torch.zeros_like(a, dtype=dtype), torch.zeros_like(b, dtype=dtype)
    down, up = down.detach(), up.detach()
    wide = torch.promote_types(dtype, torch.float32)
    grads = torch.zeros_like(down, dtype=wide), torch.zeros_like(up, dtype=wide)
    return LayerGroup(tuple(layers), learns, a, b, e, down, up, *grads)


def _use(group: LayerGroup, modules: dict[str, Any]) -> "list[torch.Tensor]":
    """Let the group's layers compute with the working copies; gives the leaves of their gradients, two for each layer.

    A working copy in bf16 could only have a gradient in bf16. So a leaf of its own stands for it in the graph: fp32 and
    of the same shape, but a single number spread over it (stride 0), which takes no memory and is never computed with.
    """
    leaves: list[torch.Tensor] = []
    for number, layer in enumerate(group.layers):
        module = modules[layer]
        module.__class__ = _stacked_kind(module.__class__)
        module.stacked = group.down[number], group.up[number]
        module.stacked_leaves = _leaf(group.down_grad[number]), _leaf(group.up_grad[number])
        leaves += module.stacked_leaves
    return leaves


def _leaf(grad: "torch.Tensor") -> "torch.Tensor":
    import torch

    leaf = torch.zeros((), dtype=grad.dtype, device=grad.device).expand(grad.shape).requires_grad_(True)
    # The same memory, but no view: torch 2.11's compiler takes a leaf's own base for that of its gradient
    same = torch.empty(0, dtype=grad.dtype, device=grad.device)
    leaf.grad = same.set_(grad.untyped_storage(), grad.storage_offset(), grad.shape, grad.stride())
    return leaf


@cache
def _stacked_kind(kind: Any) -> Any:
    """A kind of PEFT's layers whose forward adds the change by the working copies.

    A class and no function that each layer is given: such a function would hold its layer, and with it the base's
    weights, in a circle.
    """
    import torch

    linear, change = _linear(), _change()

    class Stacked(kind):
        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            if self.disable_adapters:
                return self.base_layer(x)
            adapter = (*self.stacked, *self.stacked_leaves)
            x_there = x.to(adapter[0].dtype)
            if type(self.base_layer) is torch.nn.Linear:
                return linear(x_there, self.base_layer.weight, self.base_layer.bias, *adapter)
            result = self.base_layer(x)
            return result + change(x_there, *adapter).to(result.dtype)

    Stacked.__name__ = f"Stacked{kind.__name__}"
    return Stacked


@cache
def _linear() -> Any:
    """W x + b + up (down x) for a frozen W, as an autograd function.

    The two terms, and in the backward pass their gradients by x, are summed inside the matrix products, so no
    intermediate result of the output's size is made. One object for all layers: compiled blocks are told apart by it.
    Arguments have names each: where nothing needs a gradient, PyTorch's compiler mistakes their order behind a star.
    """
    import torch

    class Linear(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any, down: Any, up: Any, down_leaf: Any, up_leaf: Any) -> Any:
            flat = x.flatten(0, -2)
            small = flat @ down.T
            result = torch.nn.functional.linear(flat, weight, bias)
            result.addmm_(small, up.T)
            ctx.save_for_backward(flat, small, weight, down, up)
            return result.view(*x.shape[:-1], len(weight))

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            flat, small, weight, down, up = ctx.saved_tensors
            rows = grad.reshape(-1, grad.shape[-1])
            back = rows @ up
            by_x = by_down = by_up = None
            if ctx.needs_input_grad[0]:
                by_x = (rows @ weight).addmm_(back, down).view(*grad.shape[:-1], weight.shape[1])
            if ctx.needs_input_grad[5]:
                by_down, by_up = _in_fp32(back.T, flat), _in_fp32(rows.T, small)
            return by_x, None, None, None, None, by_down, by_up

    return Linear.apply


@cache
def _change() -> Any:
    """The term up (down x) alone, beside a base layer that does its product itself, such as one of 4-bit weights."""
    import torch

    class Change(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, down: Any, up: Any, down_leaf: Any, up_leaf: Any) -> Any:
            flat = x.flatten(0, -2)
            small = flat @ down.T
            ctx.save_for_backward(flat, small, down, up)
            return (small @ up.T).view(*x.shape[:-1], len(up))

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            flat, small, down, up = ctx.saved_tensors
            rows = grad.reshape(-1, grad.shape[-1])
            back = rows @ up
            by_x = by_down = by_up = None
            if ctx.needs_input_grad[0]:
                by_x = (back @ down).view(*grad.shape[:-1], down.shape[1])
            if ctx.needs_input_grad[3]:
                by_down, by_up = _in_fp32(back.T, flat), _in_fp32(rows.T, small)
            return by_x, None, None, by_down, by_up

    return Change.apply


def _in_fp32(a: "torch.Tensor", b: "torch.Tensor") -> "torch.Tensor":
    """The matrix product, not rounded to less than fp32: the kernels add up in fp32 anyhow, whatever they are given."""
    import torch

    if a.dtype not in (torch.bfloat16, torch.float16):
        return a @ b
    if a.device.type == "cpu":  # has no product of another dtype than its factors'
        return a.float() @ b.float()
    return torch.mm(a, b, out_dtype=torch.float32)
