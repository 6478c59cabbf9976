"""What is kept of how a story's pictures came about: every candidate with its figures, the choice, the second looks."""

from pydantic import BaseModel, ConfigDict

from artmaster_pipeline.stories.records import ShotDraft

CHOICES = "choices.jsonl"
CRITIQUES = "critiques.jsonl"
CONSISTENCY = "consistency.json"
PAINTED_STORY = "storyboard.json"  # the story as it was painted, with the shots that an author wrote anew


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Candidate(_Part):
    """One picture that was painted for a shot. Distances are in the painter's own: 1 is two of the works apart."""

    id: str
    path: str  # POSIX, below the partition's folder
    sha256: str
    seed: int
    distance: float | None  # mean, to the works that were trained on, in style; None: too few works
    likeness: float  # 0..1: 1 as near to the works as they are to each other
    margin: float | None  # by how much nearer than to the next painter of the house; None: there is no other
    nearest_other: str = ""
    adherence: float  # 0..1: the share of other prompts that fit it worse; 0.5 is chance
    there: dict[str, bool] = {}  # character -> whether it is seen; who cannot be asked about is left out
    copy_of: str = ""  # the sha256 of the work that it looks like a copy of
    score: float  # what is chosen by, the larger the better


class Choice(_Part):
    """A line of choices.jsonl: a shot, all its candidates, which one it is and why."""

    shot: str
    round: int  # of the critique whose words were painted; 0: as the storyboard had it
    prompt: str  # without triggers
    candidates: tuple[Candidate, ...]
    chosen: str
    nearest: float | None  # of the chosen picture to any other chosen one, over all axes; None: it is the only one
    floor: float  # what that should not be below: how near two different works of the painter come
    why: str


class Critique(_Part):
    """A line of critiques.jsonl: what was seen in a shot's chosen picture, and what came of it."""

    shot: str
    round: int
    picture: str  # its id
    faults: tuple[str, ...]
    asked: str = ""  # the author who was asked to write the shot anew
    revised: ShotDraft | None = None
    kept: bool = True  # whether this round's picture is the one that stays
    says: str = ""  # why nobody was asked, or why the author's words were not painted
