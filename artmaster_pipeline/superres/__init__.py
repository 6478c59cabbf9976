"""Enlarging pictures by Real-ESRGAN networks so that stroke and colour stay (light to import: torch comes on use)."""

from artmaster_pipeline.superres.detail import restore_detail
from artmaster_pipeline.superres.enlarge import Enlarger
from artmaster_pipeline.superres.networks import (
    Networks,
    constrained,
    load_network,
    load_networks,
    network_names,
    networks_of,
)
from artmaster_pipeline.superres.upscaling import upscale

__all__ = [
    "Enlarger",
    "Networks",
    "constrained",
    "load_network",
    "load_networks",
    "network_names",
    "networks_of",
    "restore_detail",
    "upscale",
]
