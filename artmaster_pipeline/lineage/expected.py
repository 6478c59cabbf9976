"""Which files may be gone without anything being wrong."""

from artmaster_pipeline.settings import Home


def expected_gone(home: Home) -> frozenset[str]:
    """The sha256 of every scan whose bytes are meant to be gone: works that were withdrawn. None are, so far.

    This is the one place that `artmaster lineage verify` asks. For a scan named here it says nothing of a scan's file,
    a crop, a mask, a training picture or a detail shown in an evaluation that records name and that is not there;
    a file that *is* there is checked as any other. Whoever keeps a ledger of withdrawals gives the scans in force here.
    """
    del home
    return frozenset()
