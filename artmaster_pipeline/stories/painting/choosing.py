"""The best of k pictures for every shot, chosen together: one picture repeated in all of them must not win.

What is asked, the first before the second before the third: no copies of works; no two chosen pictures nearer to each
other than a floor; the largest sum of scores. The floor is how near two different works of the painter come to each
other. Exchanging the pictures of any one and any two shots is tried until nothing gets better, from a fixed beginning:
the same candidates give the same choice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

_ROUNDS = 50  # of exchanges; each makes the choice better, so few are needed


@dataclass(frozen=True)
class Candidates:
    """All candidates of all shots in one row."""

    shots: tuple[tuple[int, ...], ...]  # of each shot the places of its candidates in the row
    scores: np.ndarray  # (n,)
    copies: np.ndarray  # (n,) whether each looks like a copy of a work
    apart: np.ndarray  # (n, n) distances over all axes
    floor: float


def choose(candidates: Candidates) -> tuple[int, ...]:
    """The chosen candidate of each shot, as its place in the row."""
    chosen = [max(of, key=lambda n: (not candidates.copies[n], candidates.scores[n], -n)) for of in candidates.shots]
    value = _value(candidates, chosen)
    for _ in range(_ROUNDS):
        best, found = value, chosen
        for changed in _exchanges(candidates.shots, chosen):
            if (new := _value(candidates, changed)) > best:
                best, found = new, changed
        if found is chosen:
            break
        value, chosen = best, found
    return tuple(chosen)


def below_floor(candidates: Candidates, chosen: Sequence[int]) -> list[tuple[int, int]]:
    """The pairs of shots whose pictures are nearer to each other than the floor."""
    pairs = combinations(range(len(chosen)), 2)
    return [(a, b) for a, b in pairs if candidates.apart[chosen[a], chosen[b]] < candidates.floor]


def _exchanges(shots: Sequence[Sequence[int]], chosen: Sequence[int]) -> Iterator[list[int]]:
    for a in range(len(shots)):
        for one in shots[a]:
            yield [*chosen[:a], one, *chosen[a + 1 :]]
    for a, b in combinations(range(len(shots)), 2):
        for one, other in product(shots[a], shots[b]):
            changed = list(chosen)
            changed[a], changed[b] = one, other
            yield changed


def _value(candidates: Candidates, chosen: Sequence[int]) -> tuple[int, int, float]:
    copies = int(candidates.copies[list(chosen)].sum())
    near = len(below_floor(candidates, chosen))
    return -copies, -near, round(float(candidates.scores[list(chosen)].sum()), 9)
