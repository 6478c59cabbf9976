"""Many painters, one picture: adapters of several painters mixed by gates per layer, noise level and image token."""

from artmaster_pipeline.experts.factors import FACTORS, BlockGroup, FactorMap, block_groups, group_of
from artmaster_pipeline.experts.gates import Gate
from artmaster_pipeline.experts.mixing import MOST_EXPERTS, Expert, Mixing, mixture

__all__ = [
    "FACTORS",
    "MOST_EXPERTS",
    "BlockGroup",
    "Expert",
    "FactorMap",
    "Gate",
    "Mixing",
    "block_groups",
    "group_of",
    "mixture",
]
