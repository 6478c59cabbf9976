"""What the product wrote, written down where an edit shows: a chain of lines, and the hash of every file behind them.

    proof/ledger.jsonl              one line each time that something was written; every line holds the hash of the last
    proof/head.json                 the newest line once more, signed where the house has keys
    proof/files/<painter>.sha256    every file that was written for a painter, as `sha256sum` writes it

The folder lies in the data home and belongs into git as dvc.lock does. Whoever holds a painter (`locks.working_on`)
keeps it: what has changed when the painter is let go was written by the product, what changed in between was not.
"""

from artmaster_pipeline.proof.chain import Chain, Fault, Head, Line, listing_named, read_chain
from artmaster_pipeline.proof.listing import files_there, listing_file, read_listing
from artmaster_pipeline.proof.watching import begin, end, listing_as_named, note_file, note_written

__all__ = [
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
