"""Whether a picture keeps another's structure: how well their edges agree."""

from dataclasses import dataclass

import numpy as np

from artmaster_pipeline.errors import WrongUse

TOLERANCE = 0.0075  # of the diagonal, as in the Berkeley segmentation benchmark


@dataclass(frozen=True)
class EdgeAgreement:
    """How well a picture's edges agree with its source's."""

    precision: float  # share of the picture's edge pixels that lie within the tolerance of one of the source's
    recall: float  # share of the source's edge pixels that lie within the tolerance of one of the picture's
    chance: float  # the F-score with the source turned by 180 degrees: what dense edges reach by themselves

    @property
    def f(self) -> float:
        """The F-score, 2PR / (P + R); 0 where nothing agrees, 1 where neither picture has an edge."""
        return f_of(self.precision, self.recall)


def edge_f_score(source: np.ndarray, picture: np.ndarray, tolerance_px: float | None = None) -> float:
    """The F-score 0..1 of two pictures' Canny edges (`edge_agreement`)."""
    return edge_agreement(source, picture, tolerance_px).f


def edge_agreement(source: np.ndarray, picture: np.ndarray, tolerance_px: float | None = None) -> EdgeAgreement:
    """Precision and recall of a picture's Canny edges against its source's, within a tolerance in pixels.

    Both are uint8 (height, width, 3) of one size. As in the boundary benchmark of Martin, Fowlkes and Malik (2004),
    with its tolerance of 0.0075 of the diagonal where none is named; a pixel may answer for several, so that
    the score is at least what their one-to-one matching gives. Read it beside `chance`.

    Raises WrongUse for pictures of two sizes.
    """
    from artmaster_pipeline.copainting.signals.lines import canny_edges

    if source.shape != picture.shape:
        raise WrongUse(
            f"The source has {source.shape[1]} x {source.shape[0]} pixels and the picture {picture.shape[1]} x "
            f"{picture.shape[0]}: bring them to one size before their edges are compared."
        )
    tolerance = TOLERANCE * float(np.hypot(*source.shape[:2])) if tolerance_px is None else tolerance_px
    ours, theirs = canny_edges(picture), canny_edges(source)
    turned = np.ascontiguousarray(theirs[::-1, ::-1])
    return EdgeAgreement(*agreement_of(ours, theirs, tolerance), f_of(*agreement_of(ours, turned, tolerance)))


def agreement_of(edges: np.ndarray, truth: np.ndarray, tolerance_px: float) -> tuple[float, float]:
    """(precision, recall) of bool edge maps within a tolerance; both 1 where both maps are empty."""
    if not edges.any() and not truth.any():
        return 1.0, 1.0
    if not edges.any() or not truth.any():
        return 0.0, 0.0
    return _near(edges, truth, tolerance_px), _near(truth, edges, tolerance_px)


def f_of(precision: float, recall: float) -> float:
    """The harmonic mean."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _near(edges: np.ndarray, others: np.ndarray, tolerance_px: float) -> float:
    from scipy.ndimage import distance_transform_edt

    return float((distance_transform_edt(~others)[edges] <= tolerance_px).mean())
