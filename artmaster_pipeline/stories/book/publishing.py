"""The stage story_books: a painted story that passed, as an illustrated book in gallery/<story>/; and proofs of one.

It is put together, signed, kept, put in place and taken down as a canvas' site is. Nothing is published unless every
painter's own adapter is, no work that may not be used is in one of them, and the painted story was judged fit. The book
tells the story as it was painted, with the words of shots that its author wrote anew. A proof is the same book for
whoever works on it, anywhere on the disk: marked on every page, unsigned.
"""

from pathlib import Path

from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.experts.judged import check_passed
from artmaster_pipeline.files import inside, writing_folder
from artmaster_pipeline.gallery.enlarging import enlarge_samples
from artmaster_pipeline.gallery.pages import PAGE, Contents
from artmaster_pipeline.gallery.provenance import read_provenance
from artmaster_pipeline.locks import one_at_a_time
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.publishing.publish import publish_site
from artmaster_pipeline.publishing.signing import Site, unsigned
from artmaster_pipeline.publishing.taking_down import take_down
from artmaster_pipeline.records import MANIFEST, Outcome, Sample, manifest_text, read_manifest
from artmaster_pipeline.settings import Home, Profile, load_painter
from artmaster_pipeline.stage_settings import partition_profile
from artmaster_pipeline.stories.book.contents import Book, Round, Told, book_of
from artmaster_pipeline.stories.book.fonts import without_type
from artmaster_pipeline.stories.book.pages import STORYBOARD, book_contents
from artmaster_pipeline.stories.painting import (
    choices_of,
    critiques_of,
    current_key,
    hand_at_work,
    illustrated_of,
    painted_story,
)
from artmaster_pipeline.stories.painting.hand import OneHand


@one_at_a_time
def publish_book(home: Home, partition: str, profile: Profile, progress: Progress = SILENT) -> Outcome[Sample]:
    """Publish gallery/<story>/ if the painted story passed; gives the records of every picture in the book.

    What shows a withdrawn work is taken down first, whatever comes of the rest. Raises WrongUse where the storyboard is
    wrong, HoldsWithdrawn or NotPublished, naming every reason, where a painter's adapter or the verdict keeps it back,
    ArtMasterError where it was not painted as it is now; what is published then stays as it is.
    """
    take_down(home, partition, progress)
    hand, key = hand_at_work(home, partition, profile, publishing=True), current_key(home, partition, profile)
    verdict = check_passed(home, partition, key, hand.adapters)
    book, made, how = _book(home, partition, profile, key, hand, progress)
    records = tuple(plate.record for plate in book.plates)
    site = Site(partition, "", book.provenance, book_contents(home, book), records)
    version = publish_site(home, site, verdict.id, progress)
    manifest = home.gallery(partition) / MANIFEST
    works = {scan.sha256 for each in (book.provenance, *book.provenance.others) for scan in each.trained_on}
    figures = {"pictures": len(records), "artworks behind them": len(works), "version": version.id} | how
    return Outcome(read_manifest(manifest, Sample), manifest, made, len(records) - made, figures=figures)


def proof_book(
    home: Home, partition: str, out: Path, profile: Profile | None = None, progress: Progress = SILENT
) -> Path:
    """Write a proof of a painted story's book to the folder `out`; gives its first page.

    A proof that is there is replaced. Raises WrongUse where another folder is there, ArtMasterError where the story was
    not painted as it is now.
    """
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or _is_proof(out))):
        raise WrongUse(f"{out} is there already and is no proof of a book: name a new folder, or an empty one.")
    profile = profile or partition_profile(home, partition)
    hand, key = hand_at_work(home, partition, profile), current_key(home, partition, profile)
    book, _, _ = _book(home, partition, profile, key, hand, progress, proof=True)
    contents: Contents = book_contents(home, book)
    contents[MANIFEST] = manifest_text(sorted((p.record for p in book.plates), key=lambda r: r.id)).encode()
    with writing_folder(out) as building:
        for name, content in contents.items():
            file = inside(building, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    return out / PAGE


def _is_proof(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (PAGE, STORYBOARD, MANIFEST))


def _book(
    home: Home,
    partition: str,
    profile: Profile,
    key: str,
    hand: OneHand,
    progress: Progress,
    *,
    proof: bool = False,
) -> tuple[Book, int, dict[str, object]]:
    """The book of a story as it is painted now, how many pictures were enlarged for it, and figures on how."""
    painted = illustrated_of(home, partition, key)
    provenance = read_provenance(home, hand.adapters[0], painted)
    enlarged, made, how = enlarge_samples(home, partition, profile, painted, progress)
    pictures = [unsigned(home, partition, picture) for picture in enlarged]
    drew = (provenance, *provenance.others)
    painters = {each.adapter.painter: load_painter(home, each.adapter.painter) for each in drew}
    story = painted_story(home, partition, key)
    book = book_of(story, pictures, provenance, painters, _told(home, partition, key), proof=proof)
    if left := without_type(book.story.model_dump_json()):
        progress.say(f"The PDF has no type for {' '.join(left)}: they are empty places there.")
    return book, made, how


def _told(home: Home, partition: str, key: str) -> dict[str, Told]:
    """How each shot's picture came about, by the shot's id."""
    looks: dict[str, list[Round]] = {}
    for look in critiques_of(home, partition, key):
        round_ = Round(look.round + 1, look.faults, look.kept, look.says)
        looks.setdefault(look.shot, []).append(round_)
    return {
        choice.shot: Told(len(choice.candidates), choice.why, tuple(looks.get(choice.shot, ())))
        for choice in choices_of(home, partition, key)
    }
