"""How a training set differs from another, counted in works: what somebody who thinks in artworks wants to know."""

from collections.abc import Iterable
from dataclasses import dataclass

from artmaster_pipeline.records import Adapter, TrainingImage
from artmaster_pipeline.settings import RetrainingSettings


@dataclass(frozen=True)
class Difference:
    """What of the works that are trained on is another than the last adapter saw."""

    added: int
    left: int
    changed: int  # other pictures or captions of the same work
    before: int  # works that the last adapter has

    @property
    def works(self) -> int:
        """How many works differ."""
        return self.added + self.left + self.changed

    def is_enough(self, rules: RetrainingSettings) -> bool:
        """Whether one of the painter's thresholds is reached."""
        by_number = rules.works is not None and self.works >= rules.works
        return by_number or (rules.percent is not None and 100 * self.works >= rules.percent * max(1, self.before))

    def in_words(self, adapter: Adapter) -> str:
        """The difference as the beginning of a sentence."""
        counts = {"added": self.added, "left": self.left, "changed": self.changed}
        said = [f"{works(count)} {what}" for what, count in counts.items() if count] or ["no work changed"]
        return f"{', '.join(said)} since adapter {adapter.id} ({works(self.before)})"


def works(count: int) -> str:
    """A number of works in words."""
    return "1 work" if count == 1 else f"{count} works"


def difference(earlier: Iterable[TrainingImage], later: Iterable[TrainingImage]) -> Difference:
    """How two training sets differ, counted in works of the part that is trained on."""
    earlier, later = trained_on(earlier), trained_on(later)
    names = {image.scan_sha256: image.work for image in earlier}  # a work may be named by another of its scans by now
    old, new = _by_work(earlier, names), _by_work(later, names)
    return Difference(
        added=len(new.keys() - old.keys()),
        left=len(old.keys() - new.keys()),
        changed=sum(old[work] != new[work] for work in old.keys() & new.keys()),
        before=len(old),
    )


def trained_on(images: Iterable[TrainingImage]) -> tuple[TrainingImage, ...]:
    """The pictures of the part that is trained on."""
    return tuple(image for image in images if image.split == "train")


def _by_work(images: Iterable[TrainingImage], names: dict[str, str]) -> dict[str, set[tuple[str, str]]]:
    """The pictures and captions of each work, under the name that one of its scans had before."""
    known = {image.work: names[image.scan_sha256] for image in images if image.scan_sha256 in names}
    found: dict[str, set[tuple[str, str]]] = {}
    for image in images:
        found.setdefault(known.get(image.work, image.work), set()).add((image.sha256, image.caption))
    return found
