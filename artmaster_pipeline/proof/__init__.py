"""What the product wrote, written down where an edit shows: a chain of lines, and the hash of every file behind them.

    proof/ledger.jsonl              one line each time that something was written; every line holds the hash of the last
    proof/head.json                 the newest line once more, signed where the house has keys
    proof/files/<painter>.sha256    every file that was written for a painter, as `sha256sum` writes it
    proof/files/.house.sha256       the same for what belongs to no painter: the ledger of withdrawals, the reports on
                                    them, the pages over all painters

The folder lies in the data home and belongs into git as dvc.lock does. Whoever holds a painter (`locks.working_on`)
keeps it: what has changed when the painter is let go was written by the product, what changed in between was not.
"""

from artmaster_pipeline.proof.chain import Chain, Fault, Head, Line, listing_named, read_chain
from artmaster_pipeline.proof.listing import HOUSE, files_there, listing_file, read_listing
from artmaster_pipeline.proof.watching import begin, end, listing_as_named, note_file, note_written

__all__ = [
    "HOUSE",
    "Chain",
    "Fault",
    "Head",
    "Line",
    "begin",
    "end",
    "files_there",
    "listing_as_named",
    "listing_file",
    "listing_named",
    "note_file",
    "note_written",
    "read_chain",
    "read_listing",
]
