"""Which pictures an evaluation draws: the grid's rows, the panel's samples, the far prompts, and columns on request.

A cell is a picture that is wanted: all of its record but the hash of its file. Its id holds all that decides its
pixels, so a picture of the base serves every adapter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from artmaster_pipeline.drawing_settings import DrawingSettings, drawing_of
from artmaster_pipeline.evaluation.rows import Row
from artmaster_pipeline.records import Adapter, Column, Role, TrainingImage, identity
from artmaster_pipeline.settings import CROP_SIZES, Profile

_PANEL_SEEDS, _FAR_SEEDS = 1_000, 2_000  # after the profile's seed; the grid's rows begin at the seed itself


@dataclass(frozen=True)
class Cell:
    """A picture that the evaluation wants."""

    column: Column
    role: Role
    prompt: str
    seed: int
    width: int
    height: int
    id: str
    drawing: DrawingSettings  # the base's without what is said of the adapter
    checkpoint: int = 0
    image: TrainingImage | None = None  # `original` column only

    @property
    def name(self) -> str:
        """The file's name in the folder of samples."""
        return f"{self.id}.png"


@dataclass(frozen=True)
class CellMaker:
    """Gives the cells of one adapter and profile; `asked` comes before what both say of the drawing."""

    adapter: Adapter
    profile: Profile
    asked: DrawingSettings | None = None

    @property
    def drawing(self) -> DrawingSettings:
        """How the adapter's pictures are drawn, and the base's beside them."""
        return self.asked or drawing_of(self.adapter, self.profile)

    def original(self, row: Row, role: Role = "row") -> Cell:
        """The row's work."""
        size = self.profile.size(row.image.width, row.image.height)
        key = identity("original", row.image.id, row.image.sha256, size)
        nothing = DrawingSettings(guidance_scale=self.profile.evaluation.guidance_scale)  # is drawn
        return Cell("original", role, row.image.caption, row.seed, *size, key, nothing, image=row.image)

    def base(self, prompt: str, seed: int, size: tuple[int, int], role: Role) -> Cell:
        """What the base draws."""
        drawing = self.drawing.of_base()
        drawn = self._drawn(prompt, seed, size)
        key = identity("base", self.adapter.base_model, self.adapter.base_revision, *drawn, *_further(drawing))
        return Cell("base", role, prompt, seed, *size, key, drawing)

    def with_adapter(
        self,
        prompt: str,
        seed: int,
        size: tuple[int, int],
        role: Role,
        strength: float | None = None,
        checkpoint: int = 0,
    ) -> Cell:
        """What the base draws with the adapter, at another strength, or as it was after a training step."""
        drawing = self.drawing if strength is None else self.drawing.at(strength)
        how = [] if (drawing.strength, checkpoint) == (1.0, 0) else [drawing.strength, checkpoint]
        drawn = self._drawn(prompt, seed, size)
        key = identity("adapter", self.adapter.id, self.adapter.sha256, *drawn, *how, *_further(drawing))
        return Cell("adapter", role, prompt, seed, *size, key, drawing, checkpoint)

    def _drawn(self, prompt: str, seed: int, size: tuple[int, int]) -> tuple[object, ...]:
        settings, profile = self.profile.evaluation, self.profile
        how = (settings.num_inference_steps, self.drawing.guidance_scale, profile.max_sequence_length)
        return (prompt, seed, size, *how, (profile.dtype, profile.quantization))


def _further(drawing: DrawingSettings) -> list[dict[str, object]]:
    """Parts of an id that were not there before: none where they say nothing, and the strength stands elsewhere."""
    said = {name: value for name, value in drawing.further().items() if name != "strength"}
    return [said] if said else []


def row_cells(maker: CellMaker, rows: Iterable[Row]) -> tuple[Cell, ...]:
    """Original, base and adapter of every row, row by row."""
    cells: list[Cell] = []
    for row in rows:
        size = maker.profile.size(row.image.width, row.image.height)
        drawn = (row.image.caption, row.seed, size, "row")
        cells += [maker.original(row), maker.base(*drawn), maker.with_adapter(*drawn)]  # type: ignore[arg-type]
    return tuple(cells)


def panel_cells(maker: CellMaker, prompts: Sequence[str]) -> tuple[Cell, ...]:
    """Base and adapter, pair by pair: as many square pictures as the profile says, over the prompts in turn."""
    settings, size = maker.profile.evaluation, maker.profile.size(*CROP_SIZES[0])
    cells = []
    for number in range(settings.samples if prompts else 0):
        prompt, seed = prompts[number % len(prompts)], settings.seed + _PANEL_SEEDS + number
        cells += [maker.base(prompt, seed, size, "panel"), maker.with_adapter(prompt, seed, size, "panel")]
    return tuple(cells)


def far_cells(maker: CellMaker) -> tuple[Cell, ...]:
    """For every far prompt and seed: the base, the adapter as it is drawn, and at the profile's further strengths."""
    settings, size = maker.profile.evaluation, maker.profile.size(*CROP_SIZES[0])
    cells = []
    for number, subject in enumerate(settings.far_prompts * settings.far_samples):
        prompt, seed = f"{maker.adapter.trigger}, {subject}", settings.seed + _FAR_SEEDS + number
        cells.append(maker.base(prompt, seed, size, "far"))
        for strength in sorted({maker.drawing.strength, *settings.strengths}):
            cells.append(maker.with_adapter(prompt, seed, size, "far", strength))
    return tuple(cells)


def column_cells(
    maker: CellMaker, rows: Iterable[Row], strengths: Sequence[float] = (), checkpoints: Sequence[int] = ()
) -> tuple[Cell, ...]:
    """Row by row: the original, then the adapter at each strength (0 is the base) or after each training step."""
    cells: list[Cell] = []
    for row in rows:
        size = maker.profile.size(row.image.width, row.image.height)
        drawn = (row.image.caption, row.seed, size)
        cells.append(maker.original(row, "extra"))
        for strength in strengths:
            cells.append(maker.with_adapter(*drawn, "extra", strength) if strength else maker.base(*drawn, "extra"))
        for step in checkpoints:
            cells.append(maker.with_adapter(*drawn, "extra", checkpoint=step))
    return tuple(cells)
