"""What teaches the gate: captions of painters' works without their trigger words, and their pooled embeddings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artmaster_pipeline.base_models.family import TextEmbedding
from artmaster_pipeline.evaluation.evaluate import works_of
from artmaster_pipeline.evaluation.panel.adherence import without_trigger
from artmaster_pipeline.evaluation.panel.measure import one_per_work
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import Adapter, Split, TrainingImage
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Caption:
    """A work's caption without the trigger word."""

    painter: str
    text: str
    split: Split
    work: str
    scan_sha256: str


@dataclass(frozen=True)
class Captions:
    """All captions with content, each text once for each work, and how many pictures of each painter have none."""

    rows: tuple[Caption, ...]
    wordless: dict[str, int]

    def of(self, *splits: Split) -> list[Caption]:
        """Those of some parts."""
        return [row for row in self.rows if row.split in splits]


def read_captions(home: Home, adapters: Sequence[Adapter]) -> Captions:
    """The captions of the adapters' painters, in the parts in which the adapters had the works."""
    found: dict[tuple[str, str, str], Caption] = {}
    wordless = {}
    for adapter in adapters:
        images = works_of(home, adapter)
        texts = [without_trigger(image.caption, adapter.trigger) for image in images]
        wordless[adapter.painter] = sum(not _says_something(text) for text in texts)
        for image, text in zip(images, texts, strict=True):
            if _says_something(text):
                row = Caption(adapter.painter, text, image.split, image.work, image.scan_sha256)
                found.setdefault((adapter.painter, image.work, text), row)
    return Captions(tuple(found[key] for key in sorted(found)), wordless)


def _says_something(text: str) -> bool:
    return any(character.isalnum() for character in text)


def pictures_of(home: Home, adapter: Adapter, splits: Iterable[Split], most: int) -> list[TrainingImage]:
    """Up to `most` pictures of those parts, one of each work, evenly chosen."""
    wanted = set(splits)
    works = one_per_work(image for image in works_of(home, adapter) if image.split in wanted)
    return works[:: max(1, -(-len(works) // most))][:most]


def embedded(
    home: Home, profile: Profile, revision: str, texts: Iterable[str], progress: Progress
) -> dict[str, TextEmbedding]:
    """The embeddings of texts, from the training's cache."""
    from artmaster_pipeline.training.caches import texts_of

    return texts_of(home, profile, revision, texts, progress)


def pooled(profile: Profile, home: Home, embedding: TextEmbedding) -> "torch.Tensor":
    """A text's one vector, fp32, (features,)."""
    from artmaster_pipeline.base_models import family_of

    return family_of(profile, home).pooled_text(embedding).float()
