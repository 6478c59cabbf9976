"""What withdrawals explain: files that may be gone, and scans that may be back, without anything being wrong."""

from dataclasses import dataclass

from artmaster_pipeline.settings import Home
from artmaster_pipeline.withdrawals import in_force, read_ledger


@dataclass(frozen=True)
class Expected:
    """Scans by their sha256.

    Of those that are `gone`, the withdrawal in force removed the file, crops, masks, training pictures and every
    picture that shows them; a file that *is* there is checked as any other. Those that are `back` a restoration put
    where they lay, or a person did since: no record names them before the next run.
    """

    gone: frozenset[str] = frozenset()
    back: frozenset[str] = frozenset()


def expected(home: Home) -> Expected:
    """What the ledger of withdrawals explains. Raises ArtMasterError where it cannot be read.

    Of one that has lost lines those that are left: what it has lost, whoever compares it with the chain tells.
    """
    gone = frozenset(in_force(home, whole=False))
    ledger = read_ledger(home, whole=False)
    restored = {sha256 for line in ledger if line.action == "restored" for sha256 in line.sha256s}
    return Expected(gone, frozenset(restored) - gone)
