"""What is asked of `upscale` for all pictures alike: a size, a kind of file; and what of it contradicts itself."""

from dataclasses import dataclass

from artmaster_pipeline.errors import BadInput, WrongUse
from artmaster_pipeline.superres.upscaling.opening import Opened
from artmaster_pipeline.superres.upscaling.saving import ENDINGS, Format

_MOST = 64.0  # times wider and higher: beyond it nothing of the picture is left that was in it


@dataclass(frozen=True)
class Wish:
    """What is asked for. `scale` none: the network's own."""

    scale: float | None
    size: tuple[int, int] | None
    file_format: Format
    bits: int | None
    quality: int
    overwrite: bool

    def check(self) -> None:
        """Raise WrongUse where parts of it contradict each other or cannot be met by any picture."""
        scale, size, wrong = self.scale, self.size, []
        if scale is not None and size is not None:
            wrong.append("scale and size are both given: give one")
        if scale is not None and not 1 < scale <= _MOST:
            wrong.append(f"scale {scale:g} is not between 1 and {_MOST:.0f}")
        if size is not None and min(size) < 1:
            wrong.append(f"size {size[0]}x{size[1]} has no pixels")
        if self.file_format not in ENDINGS:
            wrong.append(f"format {self.file_format!r} is none of {', '.join(ENDINGS)}")
        if self.bits not in (None, 8, 16):
            wrong.append(f"bits {self.bits} are neither 8 nor 16")
        if self.bits == 16 and self.file_format == "jpeg":
            wrong.append("a JPEG holds 8 bits, not 16: choose png or tiff")
        if not 1 <= self.quality <= 100:
            wrong.append(f"quality {self.quality} is not between 1 and 100")
        if wrong:
            raise WrongUse(f"{'; '.join(wrong)}.")

    def size_for(self, opened: Opened, own_scale: int) -> tuple[int, int] | None:
        """The width and height that a picture gets by a network of that scale; none where it has them already.

        Raises BadInput where they are too many times its own.
        """
        factor = self.scale or own_scale
        if self.size:
            factor = min(self.size[0] / opened.width, self.size[1] / opened.height)
        width, height = max(1, round(opened.width * factor)), max(1, round(opened.height * factor))
        if (width, height) == (opened.width, opened.height) or width < opened.width or height < opened.height:
            return None
        if max(width / opened.width, height / opened.height) > _MOST:
            raise BadInput(f"{width}x{height} would be more than {_MOST:.0f} times its size", "Ask for less")
        return width, height

    def bits_for(self, opened: Opened) -> int:
        """Bits a channel."""
        return self.bits or (8 if self.file_format == "jpeg" else opened.bits)
