"""Repainting, restyling and outpainting a work: from a wish to a picture, its mask and its record.

What is not painted goes from file to file untouched. What is in work lies in the data home's cache and is taken up
again by the next run, window by window; the picture appears whole, and its record last.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from artmaster_pipeline.adapters.in_use import adapter_in_use
from artmaster_pipeline.adapters.withdrawn import check_network_not_withdrawn, check_not_withdrawn
from artmaster_pipeline.base_models.hub import family_here
from artmaster_pipeline.base_models.scripts import unread_message
from artmaster_pipeline.copainting.editing.hands import EDGES, Hand, Painting, open_painting
from artmaster_pipeline.copainting.editing.joining import in_grain, in_tone, laid, opacity
from artmaster_pipeline.copainting.editing.masks import Mask, read_mask, whole
from artmaster_pipeline.copainting.editing.records import Edited, read_record
from artmaster_pipeline.copainting.editing.rights import Known, check_may_change
from artmaster_pipeline.copainting.editing.sheets import Sheet, sheet_over
from artmaster_pipeline.copainting.editing.windows import widest_feather, windows_over
from artmaster_pipeline.copainting.editing.wishes import Wish, opened_wish, window_size
from artmaster_pipeline.copainting.editing.works import Work
from artmaster_pipeline.copainting.editing.writing import finish, signer_for
from artmaster_pipeline.drawing_settings import drawing_of
from artmaster_pipeline.edits import mask_file
from artmaster_pipeline.errors import ArtMasterError, BadInput, WrongUse
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.generation.on_request import with_trigger
from artmaster_pipeline.generation.requests import how_drawn
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import Adapter, identity
from artmaster_pipeline.scans.decoding import reading
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile, painter_profile
from artmaster_pipeline.superres.upscaling.opening import open_picture

if TYPE_CHECKING:
    import pyvips

    from artmaster_pipeline.superres.networks import Networks

_METHOD = 2  # part of an edit's id: raise it when the same wish would give other pixels
_FEATHER = {"repaint": 16, "restyle": 16, "outpaint": 8}  # of a window's shorter side, one part
_CONTEXT = {"repaint": 8, "restyle": 8, "outpaint": 2}  # of a window: one part of it is seen around the mask at least
_OVERLAP = {"repaint": 4, "restyle": 4, "outpaint": 2}  # of a window: one part is shared with the next
_LOOKED_AT = 1024  # pixels of the longer side at which edges are compared
_NEXT_SEED = 104_729  # between windows: each has noise of its own


@session()
def edit(
    home: Home, wish: Wish, profile: Profile | None = None, progress: Progress = SILENT
) -> list[tuple[Path, Edited]]:
    """Make what is wished for, one picture for each seed; gives their files and records. `profile`: the painter's own.

    The same wish gives the same files: those that are there are not made again. Raises WrongUse with all that is wrong
    with the wish, HoldsWithdrawn for a withdrawn work or adapter, ArtMasterError where the work's rights forbid
    changes, BadInput where it cannot be decoded to its end.
    """

    def found() -> tuple[Profile, Adapter, str]:
        own = profile or painter_profile(home, wish.painter)
        return own, *adapter_in_use(home, wish.painter, own, wish.adapter_id)

    folder = home.cache / "editing"
    work, (profile_in_use, adapter, newer) = opened_wish(wish, folder, found)
    check_not_withdrawn(home, adapter)
    check_network_not_withdrawn(home, [wish.painter], profile_in_use.super_resolution)
    drawing = drawing_of(adapter, profile_in_use, **wish.drawing)
    folder.mkdir(parents=True, exist_ok=True)
    with _decoding(wish.picture):
        thumbnail = work.thumbnail()
    known = check_may_change(home, wish.picture, work.sha256, thumbnail)
    for sentence in (newer, _unread(wish, profile_in_use), *work.notes):
        if sentence:
            progress.say(sentence)
    hand = Hand(adapter, profile_in_use, drawing, with_trigger(wish.prompt, adapter.trigger))
    return _Edit(home, wish, hand, work, known, folder, progress).do()


@contextmanager
def _decoding(picture: Path) -> Iterator[None]:
    """What cannot be decoded is told with the file's name."""
    import pyvips

    try:
        with reading(picture):
            yield
    except BadInput as error:
        if not isinstance(error.__cause__, pyvips.Error):
            raise
        raise BadInput(f"{picture} cannot be edited: {error.reason}", error.remedy) from error


def _unread(wish: Wish, profile: Profile) -> str:
    family = family_here(profile.base_model)
    return unread_message([wish.prompt], family, "prompt") if family is not None and wish.prompt else ""


@dataclass(frozen=True)
class Layout:
    """Where the work lies in the picture, what of it is made, and by which windows."""

    size: tuple[int, int]  # of the picture
    offset: int  # of the work in it, to the right
    mask: Mask
    window: tuple[int, int]  # in the picture's pixels
    model: tuple[int, int]  # the same in the model's
    feather: int  # between what is made and the work
    joint: int  # between windows
    sheets: tuple[Sheet, ...]

    @property
    def windows(self) -> int:
        """How many windows are painted."""
        return sum(len(sheet.windows) for sheet in self.sheets)


class _Edit:
    """One wish on its way."""

    def __init__(
        self, home: Home, wish: Wish, hand: Hand, work: Work, known: Known, folder: Path, progress: Progress
    ) -> None:
        self._home, self._wish, self._hand, self._work, self._known = home, wish, hand, work, known
        self._folder, self._progress = folder, progress
        self._stack = ExitStack()

    def do(self) -> list[tuple[Path, Edited]]:
        """The pictures of all seeds."""
        done, wish = [], self._wish
        with self._stack:
            for seed in range(wish.seed, wish.seed + wish.count):
                key = self._id(seed)
                target = wish.target(self._work, seed, key)
                there = _there(target, key)
                with _alone(self._folder, key, target) as place, _decoding(wish.picture):
                    done.append((target, there or self._make(seed, key, target, place)))
        return done

    def _id(self, seed: int) -> str:
        wish, hand, networks = self._wish, self._hand, self._networks
        mask = sha256_of(wish.mask) if wish.mask else ""
        control: tuple[str, ...] = ()
        if wish.control:
            from artmaster_pipeline.base_models.control import control_identity, control_mode

            control_mode(hand.profile, EDGES)  # what it cannot read is told before anything is loaded
            control = (control_identity(hand.profile, self._home),)
        return identity(
            *("edited", _METHOD, wish.kind, self._work.sha256, mask, (wish.left, wish.right), wish.keep),
            *(wish.window, wish.feather, hand.adapter.id, hand.adapter.sha256, hand.prompt, seed),
            *how_drawn(hand.profile, hand.drawing, (512, 512)),
            *(networks.largest().identity, wish.format_for(self._work), *control),
        )

    @cached_property
    def _networks(self) -> "Networks":
        from artmaster_pipeline.superres.networks import networks_of

        return networks_of(self._hand.profile, self._hand.profile.gallery_constraints)

    @cached_property
    def _painting(self) -> Painting:
        """The hand, loaded when the first window asks for it, and kept for all seeds."""
        return self._stack.enter_context(open_painting(self._home, self._hand, held_to_edges=self._wish.control))

    def _make(self, seed: int, key: str, target: Path, place: Path) -> Edited:
        layout = self._layout(place)
        made = _Windows(self, layout, seed)
        total = layout.windows
        missing = sum(sheet.missing for sheet in layout.sheets)
        wish = self._wish
        with self._progress.task(f"painting into {wish.picture.name}", total, total - missing) as advance:
            parts = [
                (sheet.area, sheet.paint(self._ground(layout), layout.mask, made.of_sheet(number), advance))
                for number, sheet in enumerate(layout.sheets)
            ]
        image = self._bare(layout)
        for area, part in parts:
            image = image.insert(part, area[0], area[1])
        record = self._record(seed, key, target, layout)
        signer = signer_for(self._home, wish.sign, self._progress)
        record = finish(self._work, image, layout.mask, record, target, place, signer, wish.picture, _structure)
        shutil.rmtree(place)
        return record

    def _layout(self, place: Path) -> Layout:
        wish, work = self._wish, self._work
        size = wish.result_size(work.size)
        if wish.mask is not None:
            mask = read_mask(wish.mask, work.size, place)
        elif wish.kind == "outpaint":
            sides = [(0, 0, wish.left, size[1]), (size[0] - wish.right, 0, *size)]
            mask = Mask(tuple(box for box in sides if box[0] < box[2]))
        else:
            mask = whole(size)
        window, model = window_size(wish, mask.boxes[0], work.size, self._hand.profile)
        part = _OVERLAP[wish.kind]
        sheets = []
        for number, box in enumerate(mask.boxes):
            grows: Literal["left", "right"] = "left" if wish.kind == "outpaint" and box[0] == 0 else "right"
            windows = windows_over(box, size, window, min(window) // _CONTEXT[wish.kind], part, grows)
            sheets.append(sheet_over(box, windows, size, place / f"sheet-{number}"))
        feather = wish.feather or max(2, min(window) // _FEATHER[wish.kind])
        widest = widest_feather(window, part)
        return Layout(size, wish.left, mask, window, model, min(feather, widest), widest, tuple(sheets))

    def _ground(self, layout: Layout) -> "pyvips.Image":
        """The picture before it is painted; what is added is the work mirrored, of which a feather's width stays."""
        return self._on_sheet(layout, "mirror")

    def _bare(self, layout: Layout) -> "pyvips.Image":
        return self._on_sheet(layout, "black")

    def _on_sheet(self, layout: Layout, extend: str) -> "pyvips.Image":
        image = self._work.pixels()
        if layout.size == self._work.size:
            return image
        return image.embed(layout.offset, 0, *layout.size, extend=extend).copy(interpretation=image.interpretation)

    def _record(self, seed: int, key: str, target: Path, layout: Layout) -> Edited:
        wish, work, hand = self._wish, self._work, self._hand
        return Edited(
            id=key,
            kind=wish.kind,
            path=target.name,
            sha256="",
            width=layout.size[0],
            height=layout.size[1],
            bits=work.opened.bits,
            colours=work.opened.space,
            source=wish.picture.name,
            source_sha256=work.sha256,
            offset=(layout.offset, 0),
            mask=mask_file(target).name,
            mask_sha256="",
            boxes=layout.mask.boxes,
            share=round(layout.mask.image(layout.size).avg() / 255, 6),
            rights=self._known.rights,
            painter=wish.painter,
            adapter_id=hand.adapter.id,
            adapter_sha256=hand.adapter.sha256,
            base_model=hand.adapter.base_model,
            base_revision=hand.adapter.base_revision,
            prompt=hand.prompt,
            seed=seed,
            keep=wish.keep,
            drawing=hand.drawing.model_dump(mode="json"),
            num_inference_steps=hand.profile.evaluation.num_inference_steps,
            control=EDGES if wish.control else "",
            windows=layout.windows,
            window=layout.window,
            feather_px=layout.feather,
            enlarged_by=self._networks.largest().name if layout.window[0] > layout.model[0] else "",
            notes=work.notes,
        )


class _Windows:
    """Makes the windows of one picture."""

    def __init__(self, edit: _Edit, layout: Layout, seed: int) -> None:
        self._edit, self._layout, self._seed = edit, layout, seed
        self._like: dict[int, Any] = {}

    def of_sheet(self, sheet: int) -> Any:
        """What makes the windows of one of the layout's sheets, by their numbers."""
        before = sum(len(each.windows) for each in self._layout.sheets[:sheet])
        return lambda samples, mask, done, number: self._make(samples, mask, done, before + number)

    def _make(self, samples: np.ndarray, mask: np.ndarray, done: np.ndarray, number: int) -> np.ndarray:
        from artmaster_pipeline.superres.detail import resized

        edit, layout = self._edit, self._layout
        work = edit._work
        paint, shown = mask & ~done, work.shown(samples)
        small = resized(shown, layout.model)
        share = _reduced(paint, layout.model)
        seed = (self._seed + _NEXT_SEED * number) % 2**63
        edges = _edges(small) if edit._wish.control else None
        made = edit._painting.paint(small, share, seed, keep=edit._wish.keep, edges=edges)
        made = in_tone(made, small, share < 0.5)
        large = self._enlarged(made, shown)
        large = in_grain(large, shown, ~paint, layout.window[0] / layout.model[0], seed)
        part = np.minimum(opacity(mask, layout.feather), opacity(~done, layout.joint))
        colours = laid(samples[..., : work.colours], work.in_own_colours(large), part)
        return np.concatenate([colours, samples[..., work.colours :]], 2)

    def _enlarged(self, made: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """What was made at the window's size, with the grain that the work has there."""
        from artmaster_pipeline.superres.detail import Enlarging, resized
        from artmaster_pipeline.superres.networks import constrained

        size = self._layout.window
        times = size[0] / made.shape[1]
        if times == 1:
            return made
        networks = self._edit._networks
        network = constrained(networks.suited(times), networks.constraints, [shown])
        return Enlarging(network, size).enlarge(made) if times > 1 else resized(made, size)


def _edges(picture: np.ndarray) -> np.ndarray:
    """A window's edges as the ControlNet sees them, uint8 (height, width, 3)."""
    from artmaster_pipeline.copainting.signals import read_signal

    return np.asarray(read_signal(EDGES, picture).pixels)


def _structure(work: Work, picture: Path, record: Edited) -> float | None:
    """The edges of what was made against the work's, F-score 0..1; None of a picture that is to keep no structure."""
    if record.kind != "restyle":
        return None
    from artmaster_pipeline.copainting.signals.structure import edge_f_score

    left, top, right, bottom = record.boxes[0]
    times = max(1.0, max(right - left, bottom - top) / _LOOKED_AT)
    shown: list[np.ndarray] = []
    for image in (work.pixels(), open_picture(picture).pixels()):
        small = image.crop(left, top, right - left, bottom - top).resize(1 / times)
        samples = small.numpy()
        shown.append(work.shown(samples if samples.ndim == 3 else samples[..., None]))
    source, made = shown
    return round(edge_f_score(source, made), 4)


def _reduced(paint: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How much of each of the model's pixels is to be painted, float32 0..1."""
    import cv2

    return np.asarray(cv2.resize(paint.astype(np.float32), size, interpolation=cv2.INTER_AREA))


def _there(target: Path, key: str) -> Edited | None:
    """The record of the picture where it is there already. Raises WrongUse where something else is in its place."""
    record = read_record(target)
    if record and record.id == key and target.is_file() and sha256_of(target) == record.sha256:
        mask = mask_file(target)
        if mask.is_file() and sha256_of(mask) == record.mask_sha256:
            return record
    if target.exists() and not (record and record.id == key):
        raise WrongUse(f"{target} exists and is not the picture asked for: move it away or choose another --out.")
    return None


@contextmanager
def _alone(folder: Path, key: str, target: Path) -> Iterator[Path]:
    """The folder in which a picture is made, while no other process makes it."""
    from filelock import FileLock, Timeout

    place = folder / key
    lock = FileLock(folder / f"{key}.lock", timeout=0)
    try:
        with lock:
            place.mkdir(parents=True, exist_ok=True)
            yield place
    except Timeout as error:
        raise ArtMasterError(f"Another process is making {target}. Wait for it to end, then ask again.") from error
