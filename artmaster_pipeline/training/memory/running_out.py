"""Memory that ran out: saying what used it and what brings it down."""

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.settings import Profile
from artmaster_pipeline.training.memory.base import GIB
from artmaster_pipeline.training.memory.forecast import predict


def out_of_memory_message(profile: Profile, error: BaseException) -> str:
    """What used how much, as counted and, on CUDA, as measured; and what brings it down, by how much."""
    import torch

    measured = ""
    if torch.cuda.is_available():
        free, whole = torch.cuda.mem_get_info()
        measured = (
            f" The GPU has {whole / GIB:.1f} GiB, {free / GIB:.1f} GiB of them free; this training held "
            f"{torch.cuda.max_memory_allocated() / GIB:.1f} GiB at most."
        )
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"Memory ran out ({first}).{measured} {_forecast_in_words(profile)} Run it again then: it goes on from its "
        "last checkpoint."
    )


def _forecast_in_words(profile: Profile) -> str:
    """What a training takes and what brings it down; where memory is too short even to count, where to ask."""
    try:
        forecast = predict(profile)
        saved = forecast.advice()
    except (ArtMasterError, MemoryError, OSError):
        return f"End other programs, or change what `artmaster doctor --profile {profile.name}` names."
    used = "; ".join(f"{name} {size}" for name, size in forecast.lines())
    ways = "; ".join(f"{said} (saves about {size / GIB:.1f} GiB)" for said, size in saved)
    return (
        f"A training with the profile {profile.name!r} takes about {forecast.total / GIB:.1f} GiB at its peak: "
        f"{used}. What brings it down: {ways or 'nothing here'}, or fewer other programs."
    )
