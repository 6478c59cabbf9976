"""The learned gate: a small network that says from a prompt which of several painters' adapters should draw it."""

from artmaster_pipeline.experts.learned.learning import learn_gate, passed_painters
from artmaster_pipeline.experts.learned.sharing_out import LearnedShares, learned_shares

__all__ = ["LearnedShares", "learn_gate", "learned_shares", "passed_painters"]
