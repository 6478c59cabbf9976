"""Which crops of a work are chosen: bounds that hold for any picture, and what each term of the sum is for."""

from dataclasses import replace

import made_scans
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artmaster_pipeline.curation.boxes import Box
from artmaster_pipeline.curation.crops.choosing import LEAST, MOST, MOST_OF_SCROLL, Chosen, Drawn, choose
from artmaster_pipeline.curation.crops.windows import Sheet
from artmaster_pipeline.settings import CROP_SIZES


def sheet(
    lightness: np.ndarray, salient: np.ndarray | None = None, scale: float = 1.0, box: Box | None = None
) -> Sheet:
    """A sheet of which all is painted and nothing marked; salient is what is dark, if nothing else is said."""
    height, width = lightness.shape
    box = box or Box(0, 0, width, height)
    painted = np.zeros(lightness.shape, bool)
    painted[box.top : box.bottom, box.left : box.right] = True
    salient = (100 - lightness) / 100 if salient is None else salient
    none = np.zeros(lightness.shape, bool)
    salient = (salient * painted).astype(np.float32)
    return Sheet(lightness.astype(np.float32), salient, painted, none, none, box, scale, scale)


def strokes(seed: int, width: int, height: int) -> np.ndarray:
    """The lightness of a painting."""
    return made_scans.painting(seed, width, height).mean(axis=2) / 2.55


def covered(of: Sheet, chosen: list[Chosen]) -> float:
    """The share of saliency in any of the crops."""
    seen = np.zeros(of.salient.shape, bool)
    for one in chosen:
        top, left = round(one.top), round(one.left)
        seen[top : round(one.top + one.height), left : round(one.left + one.width)] = True
    return float(of.salient[seen].sum() / of.salient.sum())


def marked(chosen: list[Chosen]) -> int:
    """How many crops have a part of a mark."""
    return sum(one.terms["marks"] > 0.0005 for one in chosen)


@settings(max_examples=25, deadline=None, database=None)
@given(
    width=st.integers(90, 700),
    height=st.integers(90, 500),
    margins=st.tuples(*[st.integers(0, 20)] * 4),
    scale=st.floats(0.05, 1.0),
    seed=st.integers(0, 5),
)
def test_crops_lie_in_the_area_have_a_shape_and_are_as_many_as_they_may_be(
    width: int, height: int, margins: tuple[int, int, int, int], scale: float, seed: int
) -> None:
    left, top, right, bottom = margins
    of = sheet(strokes(seed, width, height), scale=scale, box=Box(left, top, width - right, height - bottom))
    chosen = choose(of)
    assert LEAST <= len(chosen) <= (MOST_OF_SCROLL if of.box.width >= 2.5 * of.box.height else MOST)
    assert {one.shape for one in chosen} == {0, 1}
    widest = {shape: min(of.box.width, of.box.height * of.aspect(shape)) for shape in (0, 1)}
    for one in chosen:
        assert one.width / one.height == pytest.approx(CROP_SIZES[one.shape][0] / CROP_SIZES[one.shape][1])
        assert one.left >= of.box.left - 1e-6
        assert one.top >= of.box.top - 1e-6
        assert one.left + one.width <= of.box.right + 1e-6
        assert one.top + one.height <= of.box.bottom + 1e-6
        # smaller than native only where the whole painting is hardly larger
        pixels = one.width / scale / CROP_SIZES[one.shape][0]
        assert pixels >= 0.74 or one.width >= 0.65 * widest[one.shape]
        assert all(0 <= value <= 1 for name, value in one.terms.items() if name != "score")


def test_the_set_covers_what_is_there_and_shows_the_whole_where_the_shape_allows() -> None:
    for width, height in ((512, 768), (600, 600), (900, 420)):
        of = sheet(strokes(1, width, height), scale=0.3)
        chosen = choose(of)
        assert covered(of, chosen) > 0.9
        shares = [one.terms["painting"] for one in chosen]
        assert max(shares) > 0.9 * min(1.0, height / width)
    details = [one for one in choose(sheet(strokes(2, 600, 600), scale=0.3)) if one.terms["painting"] < 0.6]
    assert details  # and brushwork from nearer


def test_the_same_picture_gives_the_same_crops() -> None:
    of = sheet(strokes(3, 500, 640), scale=0.5)
    assert choose(of) == choose(of)


def test_an_inscription_is_avoided_where_that_is_possible_and_the_rest_is_still_covered() -> None:
    of = sheet(strokes(4, 480, 720), scale=0.4)
    marks = np.zeros(of.marks.shape, bool)
    marks[20:180, 330:460] = True
    with_marks = replace(of, marks=marks, salient=of.salient * ~marks)
    assert marked(choose(with_marks)) == 0
    assert covered(with_marks, choose(with_marks)) > 0.85
    without = choose(of)
    assert any(one.top < 180 and one.left + one.width > 330 for one in without)  # else nothing was avoided
    everywhere = np.zeros_like(marks)
    everywhere[::40, ::40] = True
    everywhere[1::40, ::40] = True
    assert len(choose(replace(of, marks=everywhere))) >= LEAST


def test_sides_go_between_elements_rather_than_through_them() -> None:
    lightness = np.full((400, 1200), 92.0)
    for x in range(60, 1200, 240):  # five dark figures with paper between them
        lightness[60:340, x : x + 120] = strokes(5, 120, 280) * 0.5
    of = sheet(lightness, scale=0.3)
    chosen = choose(of)
    cut = np.mean([one.terms["cut"] for one in chosen])
    aside = [np.abs(lightness[:, min(1199, round(side))] - 92).max() for one in chosen for side in _sides(one)]
    assert cut < 0.1
    assert np.mean([difference < 5 for difference in aside]) > 0.7


def _sides(one: Chosen) -> tuple[float, float]:
    return one.left, one.left + one.width - 1


def test_blank_space_is_kept_in_its_proportion() -> None:
    """Half of the sheet is mist: crops of what is drawn alone would say that the painter leaves none."""
    lightness = np.full((600, 600), 94.0)
    lightness[300:] = strokes(6, 600, 300)
    blank = np.zeros((600, 600), bool)
    blank[:300] = True
    salient = np.where(blank, 0.01, (100 - lightness) / 100)
    of = replace(sheet(lightness, salient, scale=0.3), blank=blank)
    assert np.mean([one.terms["blank"] for one in choose(of)]) == pytest.approx(0.5, abs=0.2)


def test_a_handscroll_is_shown_along_its_length_but_does_not_outweigh_leaves() -> None:
    of = sheet(strokes(7, 3000, 150), scale=0.3)
    chosen = choose(of)
    assert LEAST < len(chosen) <= MOST_OF_SCROLL
    middles = sorted((one.left + one.width / 2) / 3000 for one in chosen)
    assert middles[0] < 0.3
    assert middles[-1] > 0.7


def test_no_crop_sticks_out_of_a_round_leaf_where_one_fits() -> None:
    y, x = np.mgrid[0:500, 0:500]
    disc = (x - 250) ** 2 + (y - 250) ** 2 < 230**2
    of = sheet(np.where(disc, strokes(8, 500, 500), 100), scale=0.4)
    of = replace(of, painted=disc, salient=of.salient * disc)
    for one in choose(of):
        part = disc[round(one.top) : round(one.top + one.height), round(one.left) : round(one.left + one.width)]
        assert part.mean() > 0.998


def test_a_narrow_folding_fan_has_crops_of_which_hardly_anything_is_ground() -> None:
    y, x = np.mgrid[0:420, 0:800]
    far = np.hypot(x - 400, y - 430)
    fan = (far < 400) & (far > 250) & (y < 330)
    of = sheet(np.where(fan, strokes(9, 800, 420), 100), scale=0.4)
    of = replace(of, painted=fan, salient=of.salient * fan)
    chosen = choose(of)
    assert len(chosen) >= LEAST
    for one in chosen:
        part = fan[round(one.top) : round(one.top + one.height), round(one.left) : round(one.left + one.width)]
        assert part.mean() > 0.96


def test_a_blurred_or_enlarged_scan_is_cropped_less_closely() -> None:
    of = sheet(strokes(10, 700, 700), scale=0.4)
    closest = [min(one.width for one in choose(replace(of, effective_scale=scale))) for scale in (1.0, 0.35)]
    assert closest[1] > closest[0]


def test_what_a_person_drew_stands_and_what_is_chosen_goes_beside_it() -> None:
    of = sheet(strokes(11, 600, 600), scale=0.4)
    drawn = Drawn(Box(100, 200, 700, 800), 0, "curator")
    first, *others = choose(of, [drawn])
    assert (first.drawn, first.by, first.shape) == (drawn.box, "curator", 0)
    assert {(one.shape, one.by, one.drawn) for one in others} == {(1, "", None)}
