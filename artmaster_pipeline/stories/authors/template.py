"""The author that is no model: stories told from the tables, the same for the same wish."""

from collections.abc import Sequence

from artmaster_pipeline.progress import Progress
from artmaster_pipeline.stories.records import Authorship, Brief, Shot, ShotDraft, Story, Written
from artmaster_pipeline.stories.storyboard.telling import told, told_again


class TemplateAuthor:
    """Tells a story from the tables of eras, places, moments, cast, motifs and threads, in English and Chinese."""

    name = "template"

    def write(self, brief: Brief, progress: Progress) -> Written:
        """A draft for the brief, with all that was asked for; it never fails."""
        draft = told(brief)
        progress.say(f"{draft.title.en}: {len(draft.shots)} shots from the tables")
        return Written(draft=draft, authorship=Authorship(author=self.name))

    def revise(self, story: Story, shot: Shot, faults: Sequence[str], progress: Progress) -> ShotDraft:
        """The shot in another place at another moment, emptier, with the same people and line."""
        draft = told_again(story, shot, faults)
        progress.say(f"{shot.id}: {draft.setting} instead of {shot.setting}")
        return draft
