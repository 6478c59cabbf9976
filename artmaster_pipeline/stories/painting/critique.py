"""The second look: what a chosen picture misses, in sentences that an author can do something about.

An author may be a service elsewhere: no sentence names another painter of the house (the choice's record does).
"""

from artmaster_pipeline.stories.painting.looking import Looks
from artmaster_pipeline.stories.painting.records import Candidate
from artmaster_pipeline.stories.records import Shot, Story

_CHANCE = 0.5  # of prompts told apart: a picture that other prompts fit as well as its own shows something else


def faults_of(story: Story, shot: Shot, candidate: Candidate, looks: Looks) -> tuple[str, ...]:
    """One sentence for each: figures that are not seen, a style beyond the painter's own spread, other things."""
    names = {who.id: who.name.en or who.name.zh or who.id for who in story.characters}
    faults = [
        f"{names.get(who, who)} is on stage and cannot be seen: say less beside what is to be seen."
        for who in shot.onstage
        if candidate.there.get(who) is False
    ]
    if candidate.distance is not None and candidate.distance > looks.limit:
        faults.append(
            f"Its style is farther from the painter's works ({candidate.distance:.2f}) than 95 of 100 of them are from "
            f"each other ({looks.limit:.2f}): choose a place, an hour or an air that the painter knows."
        )
    if candidate.margin is not None and candidate.margin < looks.margin_limit:
        faults.append(
            "Its style is nearer to another painter's works than 95 of 100 of the painter's own are: choose a place, "
            "an hour or an air that the painter knows."
        )
    if candidate.adherence < _CHANCE:
        faults.append("It shows something else than its words say: say something simpler.")
    if candidate.copy_of:
        faults.append("It looks like a copy of one of the painter's works: show something else.")
    return tuple(faults)


def better(new: Candidate, new_faults: tuple[str, ...], old: Candidate, old_faults: tuple[str, ...]) -> bool:
    """Whether a round's picture is better than the one before: fewer faults, or as many and a larger score."""
    return (-len(new_faults), new.score) > (-len(old_faults), old.score)
