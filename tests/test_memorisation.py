import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artmaster_pipeline.evaluation.panel.memorisation import Nearest, nearest
from artmaster_pipeline.sample_painters import STYLES, imagine, paint

Change = Callable[[np.ndarray], np.ndarray]


def middles(folder: Path, count: int, step: int = 1, height: int = 128) -> list[np.ndarray]:
    """The middles of works, 128 pixels wide."""
    works = sorted(path for path in folder.rglob("*") if path.suffix in {".jpg", ".jpeg"})[::step]
    found = []
    for path in works[:count]:
        with Image.open(path) as file:
            across, down = file.size
            width = min(across, down * 128 // height)
            tall = width * height // 128
            left, top = (across - width) // 2, (down - tall) // 2
            part = file.convert("RGB").crop((left, top, left + width, top + tall))
            found.append(np.asarray(part.resize((128, height), Image.Resampling.LANCZOS)))
    return found


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def tinted(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels * [1.08, 1.0, 0.92] + [6, 0, -6], 0, 255).astype(np.uint8)


def zoomed(pixels: np.ndarray) -> np.ndarray:
    return resized(pixels[6:-6, 6:-6], pixels.shape[1], pixels.shape[0])


def cut(pixels: np.ndarray) -> np.ndarray:
    return resized(pixels[6:, 6:], pixels.shape[1], pixels.shape[0])


def noisy(pixels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape)
    return (0.8 * pixels + 0.2 * noise).astype(np.uint8)


COPIES: dict[str, Change] = {
    "the crop itself": lambda pixels: pixels,
    "saved as JPEG at 60": as_jpeg,
    "tinted": tinted,
    "mirrored": lambda pixels: pixels[:, ::-1],
    "zoomed": zoomed,
    "cut at two sides": cut,
    "a fifth noise": noisy,
    "mirrored and cut": lambda pixels: cut(pixels[:, ::-1]),
    "four times as large": lambda pixels: resized(pixels, 4 * pixels.shape[1], 4 * pixels.shape[0]),
}


def suspects(found: tuple[Nearest, ...]) -> int:
    return sum(near.suspect for near in found)


@pytest.mark.parametrize("painter", ["hiroshige", "huang-binhong"])
def test_copies_are_found_and_works_never_seen_are_none(paintings: Path, painter: str) -> None:
    works = middles(paintings / painter, 40)
    crops, held_out = works[::2], works[1::2]
    copies = [change(crop) for change in COPIES.values() for crop in crops[:4]]
    groups = [str(number) for number in range(len(crops))]
    found = nearest([*copies, *held_out[:10]], crops, groups, held_out[10:])
    names = [name for name in COPIES for _ in range(4)]
    missed = [name for place, name in enumerate(names) if not found[place].suspect or found[place].crop != place % 4]
    assert not missed
    assert [near.mirrored for near in found[: len(copies)]] == ["mirrored" in name for name in names]
    assert suspects(found[len(copies) :]) == 0
    exact = found[0]
    assert (exact.phash, exact.limits.references) == (0, 30)
    assert exact.lpips == pytest.approx(0, abs=1e-4)
    assert exact.correlation == pytest.approx(1, abs=1e-3)


def test_other_painters_copy_nobody(paintings: Path) -> None:
    crops = middles(paintings / "huang-binhong", 16)
    others = middles(paintings / "artic-cc0", 16, 3) + middles(paintings / "chinese-masters", 16, 5)
    assert suspects(nearest(others, crops, [str(n) for n in range(16)], middles(paintings / "hiroshige", 2))) == 0


def test_tall_crops_and_square_ones_are_compared_part_by_part(paintings: Path) -> None:
    tall = middles(paintings / "huang-binhong", 8, height=192)
    square = [crop[64:] for crop in tall[4:]]
    crops, groups = [*tall[:4], *square], list("abcdefgh")
    copied = nearest([tall[0], tall[1][:128], tall[5]], crops, groups, [])
    assert [(near.crop, near.suspect) for near in copied] == [(0, True), (1, True), (5, True)]


def painted(count: int, first: int = 0) -> list[np.ndarray]:
    return [paint(imagine(seed, STYLES[0]), seed, 128, 128) for seed in range(first, first + count)]


def test_one_reference_or_none_leaves_limits_that_find_copies_and_nothing_else() -> None:
    crops, others = painted(4), painted(4, first=10)
    for references in ([], others[:1], [crops[0]]):
        found = nearest([noisy(crops[1]), others[2]], crops, ["one work"] * 4, references)
        assert [near.suspect for near in found] == [True, False]
        assert found[0].limits.references == len(references)


def test_a_work_held_twice_under_two_names_does_not_hide_copies_of_it() -> None:
    crops = painted(5)
    twice = [*crops, as_jpeg(crops[0])]
    found = nearest([tinted(crops[0])], twice, list("abcdef"), [])
    assert found[0].suspect


def test_without_samples_or_crops_there_is_nothing_to_say() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    assert nearest([], [picture], ["a"], []) == ()
    assert nearest([picture], [], [], []) == ()


def test_blank_pictures_are_compared_without_a_fault() -> None:
    blank, ink = np.full((64, 64, 3), 240, np.uint8), np.zeros((64, 64, 3), np.uint8)
    ink[20:40] = 200
    found = nearest([blank, ink], [ink, blank], ["a", "b"], [])
    assert np.isfinite([near.correlation for near in found]).all()
    assert (found[1].crop, found[1].suspect) == (0, True)
