"""How a step fails: in the product's words, on the terminal as in Dagster's UI; and which faults are waited out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError

from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.faults import can_pass, in_product_words, in_words
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import plain

# About half a minute, a minute and a half, three and a half: what a hub or a network needs to come back. Dagster would
# use a policy for every fault, those of the code included, so steps ask for the wait themselves (see `one_sentence`).
RETRIES = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


@dataclass(frozen=True)
class Tries:
    """How often a step was tried before this time, and where it says that it is tried again."""

    before: Callable[[], int]
    say: Callable[[str], None]


@contextmanager
def one_sentence(home: Home, tries: Tries | None = None) -> Iterator[None]:
    """What goes wrong in a step's work is a failure of one sentence; a fault of the code stays what it is.

    A step that can be tried again (`tries`) is, where the fault may be gone by then and the last try is not over.
    """
    try:
        with in_product_words(lambda: home.root):
            yield
    except ArtMasterError as error:
        if tries and can_pass(error) and (number := tries.before() + 1) <= RETRIES.max_retries:
            wait = float(RETRIES.calculate_delay(number))
            tries.say(f"{error} This may pass: tried again in {wait:.0f} s ({number} of {RETRIES.max_retries}).")
            raise dg.RetryRequested(RETRIES.max_retries, wait) from error
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
