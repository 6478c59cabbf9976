"""Withdrawing an artwork, and taking that back: what is touched, what is removed, what stays out of reach.

That a work is withdrawn is one line in the ledger (`withdrawals`), and every room asks that ledger by itself. This room
finds all scans of the work, writes the line, removes what the data home holds of it, and reports.
"""

from artmaster_pipeline.withdrawal.impact import Impact
from artmaster_pipeline.withdrawal.restoring import Restored, restore_artwork, tell_apart
from artmaster_pipeline.withdrawal.retraining import asks_for_retraining, due_for_retraining
from artmaster_pipeline.withdrawal.withdrawing import Report, impact_of, withdraw_artwork

__all__ = [
    "Impact",
    "Report",
    "Restored",
    "asks_for_retraining",
    "due_for_retraining",
    "impact_of",
    "restore_artwork",
    "tell_apart",
    "withdraw_artwork",
]
