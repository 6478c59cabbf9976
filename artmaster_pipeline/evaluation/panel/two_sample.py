"""How surely can samples and the painter's works be told apart? A two-sample test by a small classifier.

A classifier that has learnt the difference of two sets from one part of them is asked about the other part (Lopez-Paz
and Oquab 2017, https://arxiv.org/abs/1610.06545). It is kernel ridge regression on the deep features whose distances
are given: with distances of negative type, -d/2, centred, is an inner product (Sejdinovic et al. 2013, lemma 12). What
comes out is the area under its ROC curve: 1 where every sample is told from every work, 0.5 where none is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from artmaster_pipeline.evaluation.intervals import labelled

if TYPE_CHECKING:
    import numpy as np

_FOLDS, _SHUFFLES = 5, 10
_RIDGE = 0.1  # of the kernel's mean on the diagonal


def told_apart(
    matrix: "np.ndarray",
    drawn: "np.ndarray",
    works: "np.ndarray",
    clusters: "np.ndarray",
    learnt: "np.ndarray | None" = None,
) -> float | None:
    """The area under the ROC curve, cross-validated, of telling rows `drawn` from rows `works` of a matrix (n, n).

    `clusters` (n,) names each row's cluster: what is of one prompt is learnt from or asked about, never both. `learnt`
    are rows of further works, which are learnt from alone. The mean over five folds and ten ways of making them; None
    where a set has fewer than two clusters.
    """
    import numpy as np

    sets = drawn, works
    of = [labelled(clusters[rows]) for rows in sets]
    counts = [int(numbers.max()) + 1 if len(numbers) else 0 for numbers in of]
    if min(counts) < 2:
        return None
    folds = min(_FOLDS, *counts)
    dice, found = np.random.default_rng(0), []
    always = np.array([], dtype=int) if learnt is None else learnt
    for _ in range(_SHUFFLES):
        places = [dice.permutation(count) % folds for count in counts]
        for fold in range(folds):
            asked = [rows[place[n] == fold] for rows, place, n in zip(sets, places, of, strict=True)]
            known = [rows[place[n] != fold] for rows, place, n in zip(sets, places, of, strict=True)]
            said = _learn(matrix, known[0], np.concatenate([known[1], always]))
            found.append(_area(said(asked[1]), said(asked[0])))
    return float(np.mean(found))


def _learn(matrix: "np.ndarray", drawn: "np.ndarray", works: "np.ndarray") -> "Callable[[np.ndarray], np.ndarray]":
    """A function that gives rows a number: large for works, small for what is drawn."""
    import numpy as np

    rows = np.concatenate([drawn, works])
    # each class weighs the same, however many pictures it has
    weights = np.concatenate([np.full(len(drawn), 0.5 / len(drawn)), np.full(len(works), 0.5 / len(works))])
    wanted = np.concatenate([-np.ones(len(drawn)), np.ones(len(works))])
    known = matrix[np.ix_(rows, rows)]
    middle = known @ weights  # distances to the middle of what is known, up to a constant
    kernel = -(known - middle[:, None] - middle[None] + weights @ known @ weights) / 2
    ridge = max(_RIDGE * float(np.mean(np.diag(kernel))), 1e-12)  # pictures that are all the same have no distance
    alpha = np.linalg.solve(kernel + ridge * np.diag(1 / (weights * len(rows))), wanted)

    def say(asked: "np.ndarray") -> "np.ndarray":
        across = matrix[np.ix_(asked, rows)]
        centred = -(across - (across @ weights)[:, None] - middle[None] + weights @ known @ weights) / 2
        answers: np.ndarray = centred @ alpha
        return answers

    return say


def _area(positive: "np.ndarray", negative: "np.ndarray") -> float:
    """The share of pairs in which the positive has the larger number; ties count half."""
    import numpy as np

    apart = positive[:, None] - negative[None]
    return float(np.mean((apart > 0) + 0.5 * (apart == 0)))
