"""Works as the base model's autoencoder gives them back: the sharpest that any adapter of that base can draw.

Networks see what an autoencoder takes away. Through the miniature's, a painter's own works come to lie 0.20 (deep
kernel) and 0.28 (Gram) of the painter's variety from themselves, where the base's samples lie at 0.25 and 0.68; no
adapter could mend that. The panel's figures are of the works as they are; a second line for whole style says how far
the adapter has come with works that went through the autoencoder first, and what that takes away is a figure of its
own. FLUX's autoencoder changes next to nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.pictures import is_whole, write_png
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import identity
from artmaster_pipeline.settings import Home, Profile

if TYPE_CHECKING:
    import numpy as np

RoundTrip = Callable[["np.ndarray"], "np.ndarray"]


def autoencoded(
    home: Home, profile: Profile, squares: Sequence["np.ndarray"], revision: str, progress: Progress = SILENT
) -> list[Path]:
    """Files of the pictures (uint8, height, width, 3, multiples of 16 pixels) as the base's autoencoder holds them.

    They lie in the data home's cache, named by content and base `revision`; the model is loaded if one is missing.
    """
    import hashlib

    files = []
    for pixels in squares:
        content = hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        key = identity("autoencoded", content, revision, profile.dtype)
        files.append(home.cache / "autoencoded" / f"{key}.png")
    missing = [n for n, file in enumerate(files) if not (file.is_file() and is_whole(file, file.stem))]
    if missing:
        done = len(files) - len(missing)
        with (
            open_round_trip(profile, home) as round_trip,
            progress.task("works through the autoencoder", len(files), done) as advance,
        ):
            for n in missing:
                write_png(files[n], round_trip(squares[n]), {"id": files[n].stem})
                advance()
    return files


@contextmanager
def open_round_trip(profile: Profile, home: Home) -> Iterator[RoundTrip]:
    """A function that encodes and decodes a picture with the base model's autoencoder, as long as the block lasts."""
    import numpy as np
    import torch
    from PIL import Image

    from artmaster_pipeline.base_models import family_for, open_pipeline

    def round_trip(pixels: "np.ndarray") -> "np.ndarray":
        family = family_for(pipe)
        with torch.inference_mode():
            latent = family.encode_picture(pipe, Image.fromarray(pixels), pixels.shape[1], pixels.shape[0])[None]
            raw = family.decoder_input(pipe.vae, latent)
            decoded = pipe.vae.decode(raw.to(pipe.vae.dtype)).sample
            shown = pipe.image_processor.postprocess(decoded, output_type="np")[0]
        return np.round(np.clip(shown, 0, 1) * 255).astype(np.uint8)

    with open_pipeline(profile, ("vae",), home) as pipe:
        yield round_trip
