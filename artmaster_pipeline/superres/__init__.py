"""Enlarging pictures by Real-ESRGAN networks so that stroke and colour stay (light to import: torch comes on use)."""

from artmaster_pipeline.superres.detail import keep_tone, restore_detail
from artmaster_pipeline.superres.enlarge import Enlarger
from artmaster_pipeline.superres.networks import load_network, network_names

__all__ = ["Enlarger", "keep_tone", "load_network", "network_names", "restore_detail"]
