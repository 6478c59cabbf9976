"""Several processes that train one adapter: each takes its share of a step's batches, gradients are summed.

Started by `accelerate launch`; alone otherwise. A step's result does not depend on their number: what one process does
batch after batch (`gradient_accumulation`), several do at once.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.settings import Profile

if TYPE_CHECKING:
    import torch


# How long processes wait for each other. One of them fetches the base model (34 GB: an hour and a half at 50 Mbit/s)
# and encodes every picture while the others wait; NCCL's own ten minutes would end them.
PATIENCE = timedelta(hours=24)


class Processes:
    """This process among the others."""

    def __init__(self, number: int = 0, count: int = 1) -> None:
        self.number, self.count = number, count

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes files and speaks."""
        return self.number == 0

    def share(self, items: Sequence[Any]) -> list[tuple[int, Any]]:
        """This process's part of a step's batches, each with its place among all."""
        return list(enumerate(items))[self.number :: self.count]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            import torch.distributed

            torch.distributed.barrier()

    def add_up(self, tensors: "Sequence[torch.Tensor]") -> None:
        """Replace each tensor by its sum over all processes."""
        if self.count > 1:
            import torch.distributed

            for tensor in tensors:
                torch.distributed.all_reduce(tensor)

    def broadcast(self, value: Any) -> Any:
        """The writing process's value, in every process."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]


@cache
def processes(profile: Profile) -> Processes:
    """The processes that this one was launched with.

    Raises WrongUse where a step's batches cannot be shared out among them evenly.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes()
    batches = profile.training.gradient_accumulation
    if batches % count:
        raise WrongUse(
            f"{count} processes cannot share the batches of a step evenly: `gradient_accumulation` is {batches} in the "
            f"profile {profile.name!r}. Set it to a multiple of {count}."
        )
    from accelerate import PartialState

    state = PartialState(cpu=profile.device == "cpu", timeout=PATIENCE)
    return Processes(state.process_index, state.num_processes)
