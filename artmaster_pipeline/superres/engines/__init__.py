"""What computes a network: engines behind one protocol, so that nothing above them knows which one it is.

An engine is a module here with a function `load`, named once in `_LOADERS`, and imports what it computes with on use.
"""

from importlib import import_module

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.superres.engines.interface import Dtype, Engine, Network

__all__ = ["Dtype", "Engine", "Network", "engine_names", "load_engine"]

_LOADERS = {"torch": "artmaster_pipeline.superres.engines.pytorch"}


def engine_names() -> tuple[str, ...]:
    """The engines that there are."""
    return tuple(_LOADERS)


def load_engine(name: str, network: Network, device: str, dtype: Dtype) -> Engine:
    """The engine of that name with the network, ready on `device`.

    Raises WrongUse for an unknown engine, an unknown device, or a number type that the network is not made for;
    MissingRequirement where what was asked for is not on this machine.
    """
    if name not in _LOADERS:
        raise WrongUse(f"There is no engine {name!r} to enlarge pictures with: choose {', '.join(_LOADERS)}.")
    engine: Engine = import_module(_LOADERS[name]).load(network, device, dtype)
    return engine
