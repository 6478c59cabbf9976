"""The split by work: old scans never move, an artwork's scans stand together, the parts have the sizes they say."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from artmaster_pipeline.dataset.split import SplitTable, split_works, what_the_parts_mean
from artmaster_pipeline.errors import WrongUse
from artmaster_pipeline.settings import Profile, load_profile


def sha256s(count: int, first: int = 0) -> list[str]:
    return [f"{place:064x}" for place in range(first, first + count)]


SCANS = st.lists(st.integers(0, 2**64 - 1).map(lambda n: f"{n:016x}" * 4), min_size=2, max_size=30, unique=True)
SHARES = st.tuples(st.floats(0.01, 0.3), st.floats(0.0, 0.19))


@st.composite
def archives(draw):
    """Scans, some pairs of them that look alike, and the shares of the parts; at least two works."""
    scans = draw(SCANS)
    alike = draw(st.lists(st.tuples(st.sampled_from(scans), st.sampled_from(scans)), max_size=len(scans) // 2))
    assume(len(works_of(scans, alike)) > 1)
    return scans, alike, draw(SHARES)


def works_of(scans: list[str], alike: list[tuple[str, str]]) -> set[frozenset[str]]:
    works = {scan: frozenset([scan]) for scan in scans}
    for a, b in alike:
        joined = works[a] | works[b]
        works |= dict.fromkeys(joined, joined)
    return set(works.values())


def sizes(parts: SplitTable) -> dict[str, int]:
    """How many works each part has."""
    works = {place.work: place.part for place in parts.places.values()}
    return {part: list(works.values()).count(part) for part in ("train", "validate", "held_out")}


@given(archives())
def test_the_scans_of_one_artwork_have_one_name_and_one_part(archive):
    scans, alike, shares = archive
    places = split_works(scans, {}, *shares, alike).places
    for work in works_of(scans, alike):
        assert {places[scan].work for scan in work} == {min(work)}
        assert len({places[scan].part for scan in work}) == 1


@given(archives())
def test_the_parts_have_their_shares_of_the_works_to_the_nearest_whole_work(archive):
    scans, alike, shares = archive
    count, found = len(works_of(scans, alike)), sizes(split_works(scans, {}, *shares, alike))
    assert sum(found.values()) == count
    assert found["train"] >= max(2, count / 2)
    assert found["held_out"] == (max(1, round(shares[0] * count)) if count >= 4 else 0)
    assert found["validate"] == (max(1, round(shares[1] * count)) if count >= 10 and shares[1] > 0 else 0)


@given(archives(), st.randoms())
def test_the_order_of_the_scans_decides_nothing(archive, chance):
    scans, alike, shares = archive
    mixed, pairs = chance.sample(scans, len(scans)), [pair[::-1] for pair in chance.sample(alike, len(alike))]
    assert split_works(mixed, {}, *shares, pairs) == split_works(scans, {}, *shares, alike)


@given(archives(), st.data())
def test_new_scans_never_move_an_old_one(archive, data):
    """The archive grows: some scans were there before, and the new ones may look like any of them."""
    scans, alike, shares = archive
    old = data.draw(st.lists(st.sampled_from(scans), min_size=2, unique=True))
    known = [(a, b) for a, b in alike if a in old and b in old]
    assume(len(works_of(old, known)) > 1)
    before = split_works(old, {}, *shares, known).places
    after = split_works(scans, before, *shares, alike).places
    assert {scan: after[scan].part for scan in old} == {scan: before[scan].part for scan in old}
    assert split_works(scans, after, *shares, alike).places == after


@given(archives(), st.data())
def test_no_work_is_ever_in_two_parts_and_what_should_be_one_work_is_told(archive, data):
    scans, alike, shares = archive
    old = data.draw(st.lists(st.sampled_from(scans), min_size=2, unique=True))
    before = split_works(old, {}, *shares).places  # before anyone knew what looks alike
    after = split_works(scans, before, *shares, alike)
    parts = {}
    for place in after.places.values():
        parts.setdefault(place.work, set()).add(place.part)
    assert all(len(there) == 1 for there in parts.values())
    divided = [w for w in works_of(scans, alike) if len({after.places[scan].part for scan in w}) > 1]
    assert sorted(after.apart) == sorted(tuple(sorted(work)) for work in divided)


def test_a_new_scan_of_an_old_work_joins_its_part_and_keeps_its_name():
    scans, (new,) = sha256s(12, first=10), sha256s(1)
    before = split_works(scans, {}, 0.2, 0.1).places
    for old in scans:
        assert split_works([*scans, new], before, 0.2, 0.1, [(new, old)]).places == before | {new: before[old]}


def test_a_scan_that_links_a_trained_and_a_held_out_work_is_trained_on_and_the_three_are_named():
    scans, (new,) = sha256s(12), sha256s(1, first=99)
    before = split_works(scans, {}, 0.2, 0.1).places
    held_out, validate, train = (
        next(scan for scan in scans if before[scan].part == part) for part in ("held_out", "validate", "train")
    )
    after = split_works([*scans, new], before, 0.2, 0.1, [(new, held_out), (new, train)])
    assert after.places == before | {new: before[train]}
    assert after.apart == ((held_out, train, new),)
    after = split_works([*scans, new], before, 0.2, 0.1, [(new, held_out), (new, validate)])
    assert after.places[new] == before[validate]


def test_an_artwork_stays_one_work_when_the_scan_that_showed_it_goes_or_comes_back():
    scans = sha256s(8)
    first, middle, last = scans[0], scans[1], scans[7]
    before = split_works(scans, {}, 0.2, 0.1, [(first, middle), (middle, last)]).places
    less = split_works([s for s in scans if s not in (first, middle)], before, 0.2, 0.1).places
    assert less[last] == before[last]
    assert split_works(scans, less, 0.2, 0.1).places[first] == before[first]


def test_the_lowest_hashes_judge_and_the_next_ones_choose():
    places = split_works(reversed(sha256s(20)), {}, 0.2, 0.1).places
    assert [place.part for place in places.values()] == ["held_out"] * 4 + ["validate"] * 2 + ["train"] * 14


@pytest.mark.parametrize(
    ("works", "held_out", "validate"), [(2, 0, 0), (3, 0, 0), (4, 1, 0), (9, 2, 0), (10, 2, 1), (60, 12, 6)]
)
def test_few_works_are_trained_on_first_then_judge_and_only_then_choose(works, held_out, validate):
    profile = load_profile("miniature")
    parts = split_works(sha256s(works), {}, profile.held_out_share, profile.validate_share)
    assert sizes(parts) == {"train": works - held_out - validate, "held_out": held_out, "validate": validate}
    assert bool(what_the_parts_mean(held_out, validate)) == (works < 25)


def test_a_held_out_work_that_is_all_that_is_left_is_trained_on():
    scans = sha256s(4)
    before = split_works(scans, {}, 0.2, 0.1).places
    left = [scan for scan in scans if before[scan].part == "held_out"] + scans[-1:]
    assert {place.part for place in split_works(left, before, 0.2, 0.1).places.values()} == {"train"}


def test_one_work_is_too_few_however_many_scans_it_has():
    one, other = sha256s(2)
    for scans, alike in (([one], []), ([one, other], [(one, other)])):
        with pytest.raises(WrongUse, match="at least 2"):
            split_works(scans, {}, 0.2, 0.1, alike)


def test_shares_that_leave_less_than_half_to_train_are_refused():
    with pytest.raises(ValueError, match="more than half"):
        Profile(name="p", base_model="miniature", device="cpu", dtype="float32", held_out_share=0.4, validate_share=0.1)
