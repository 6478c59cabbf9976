"""Where an adapter's composition, colour and brush live: parts of it are knocked out, and what goes is measured."""

from artmaster_pipeline.experts.map.mapping import factor_map_of, map_expert, read_map

__all__ = ["factor_map_of", "map_expert", "read_map"]
