"""Is there still to be seen what was asked for? The embedded reader names the subject of each picture.

Asked of the pictures whose prompt begins with a subject of the sample painters' vocabulary, which the reader was
trained on: for captions in other words nothing is measured. Base and adapter are asked about the same prompts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from artmaster_pipeline.dataset.captioners.reader import load_reader, subject_in

if TYPE_CHECKING:
    import numpy as np


def subjects_read(
    prompts: Sequence[str], base: "Sequence[np.ndarray]", adapter: "Sequence[np.ndarray]"
) -> dict[str, Any] | None:
    """The shares of base's and adapter's pictures in which the reader finds the prompt's subject; None without any.

    `prompts` without the trigger, one for each pair of pictures (uint8, height, width, 3).
    """
    asked = [(subject, n) for n, prompt in enumerate(prompts) if (subject := subject_in(prompt))]
    if not asked:
        return None
    reader = load_reader()

    def share(pictures: "Sequence[np.ndarray]") -> float:
        found = reader.subjects([pictures[n] for _, n in asked])
        return sum(said == subject for said, (subject, _) in zip(found, asked, strict=True)) / len(asked)

    return {"pictures": len(asked), "base": round(share(base), 4), "adapter": round(share(adapter), 4)}
