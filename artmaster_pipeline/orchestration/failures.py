"""How a step fails: in the product's words, on the terminal as in Dagster's UI."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.faults import in_product_words, in_words
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import plain


@contextmanager
def one_sentence(home: Home) -> Iterator[None]:
    """What goes wrong in a step's work is a failure of one sentence; a fault of the code stays what it is."""
    try:
        with in_product_words(lambda: home.root):
            yield
    except ArtMasterError as error:
        raise dg.Failure(description=plain(error), allow_retries=False) from error


@contextmanager
def told_by_the_run(home: Home) -> Iterator[None]:
    """What a run in this process raises, as the ArtMasterError that it was in its step."""
    try:
        yield
    except DagsterAssetCheckFailedError:  # the caller knows which check, and what it found
        raise
    except (dg.Failure, dg.DagsterError) as error:
        raise in_words(error, home.root) or error from error
