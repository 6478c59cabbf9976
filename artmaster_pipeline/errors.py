"""The product's exceptions: every one carries a sentence a person can act on.

A message names the file or the setting, says what is wrong, and says the way out. The command line prints it without
a traceback and leaves with the exception's `exit_code`; Dagster shows it as the step's failure.
"""


class ArtMasterError(Exception):
    """The work failed for a reason the user can mend."""

    exit_code = 1


class WrongUse(ArtMasterError):
    """The command, a setting or a name given by the user is wrong."""

    exit_code = 2


class BadInput(ArtMasterError):
    """A file cannot be used; `remedy` is the way out, kept apart so that tables can show it in a column."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason = reason
        self.remedy = remedy


class MissingRequirement(ArtMasterError):
    """This machine lacks something that was asked for: CUDA, the hub, a licence, an extra, a file."""


class NotPublished(ArtMasterError):
    """An adapter's pictures may not be published: it was judged unfit, not judged, or a person took them back."""


class HoldsWithdrawn(ArtMasterError):
    """A work that was withdrawn is in an adapter, an evaluation or a gallery, so that it is not used any more."""


class Interrupted(ArtMasterError):
    """A person, or the system, stopped the work."""

    exit_code = 130  # what shells give a program that Ctrl+C ended

    def __init__(self) -> None:
        super().__init__("Stopped. What was finished is kept; run the same command again to go on.")
