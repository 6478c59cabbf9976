"""What is said about a picture, and who says it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artmaster_pipeline.dataset.captions import Caption, archive_caption, only_what_varies, with_trigger
from artmaster_pipeline.records import Scan

TRIGGER = "huangbinhong style"


def said(
    tmp_path: Path, path: str = "001 Spring Dawn.jpg", title: str = "Spring Dawn", **known: str
) -> tuple[str, str]:
    scan = Scan(
        id="0" * 16, painter="p", path=path, sha256="0" * 64, bytes=1, width=9, height=9, format="JPEG", colour="sRGB",
        title=title, **known,
    )  # fmt: skip
    caption = archive_caption(scan, tmp_path, TRIGGER, "Huang Binhong")
    return caption.text, caption.source


def test_a_sidecars_words_stand_behind_the_trigger(tmp_path):
    (tmp_path / "001 Spring Dawn.TXT").write_text("two boats below a cliff")
    assert said(tmp_path, caption="two boats below a cliff") == (f"{TRIGGER}, two boats below a cliff", "sidecar")


def test_the_tables_caption_comes_before_its_title(tmp_path):
    assert said(tmp_path, caption="two boats.", subject="river") == (f"{TRIGGER}, two boats", "artworks.csv")


def test_without_a_caption_title_subject_and_season_are_said(tmp_path):
    text, source = said(tmp_path, title="Listening to the Stream", subject="scholar under pines", season="autumn")
    assert text == f"{TRIGGER}, Listening to the Stream, scholar under pines, autumn"
    assert source == "artworks.csv"


def test_a_title_that_is_the_files_name_counts_as_a_file_name(tmp_path):
    assert said(tmp_path) == (f"{TRIGGER}, Spring Dawn", "file name")


@pytest.mark.parametrize(
    ("path", "title", "words"),
    [
        ("黄宾虹 《云门双峰》.jpg", "黄宾虹 《云门双峰》", ", 云门双峰"),
        ("IMG_0034.jpg", "IMG 0034", ""),
        ("DSC-00123.tif", "DSC-00123", ""),
        ("12345.png", "12345", ""),
        ("Huang Binhong - Mountains.png", "Huang Binhong - Mountains", ", Mountains"),
        ("a/b/pavilion_in_mist.png", "pavilion in mist", ", pavilion in mist"),
        ("Imagination.png", "Imagination", ", Imagination"),
        ("binhong-cliffs-in-mist-800.png", "binhong-cliffs-in-mist-800", ", cliffs in mist 800"),
    ],
)
def test_a_file_name_gives_its_words_but_not_the_painters_name_or_a_cameras_count(tmp_path, path, title, words):
    assert said(tmp_path, path, title) == (f"{TRIGGER}{words}", "file name")


def test_a_caption_is_one_line_and_says_the_trigger_once():
    assert with_trigger(TRIGGER, "a cliff\n\tin  mist, ") == f"{TRIGGER}, a cliff in mist"
    assert with_trigger(TRIGGER, f"a cliff in {TRIGGER}") == f"a cliff in {TRIGGER}"
    assert with_trigger(TRIGGER, "", " ") == TRIGGER


# --- what all works share is said by the trigger alone

SUBJECTS = [
    "boats", "a waterfall", "pines", "two geese", "a village", "rain", "a bridge", "a scholar", "snow", "a temple",
]  # fmt: skip


def left(texts: list[str], works: list[str] | None = None, **known: str) -> tuple[list[str], tuple[str, ...]]:
    """What is left behind the trigger, and what was left out; a work each where none are given."""
    captions = [Caption(with_trigger(TRIGGER, text), "sidecar", **known) for text in texts]
    rest, left_out = only_what_varies(captions, works or [str(n) for n in range(len(texts))], TRIGGER)
    assert all(caption.text.startswith(TRIGGER) for caption in rest)
    return [caption.text.removeprefix(TRIGGER).removeprefix(", ") for caption in rest], left_out


@pytest.mark.parametrize(
    ("form", "left_out"),
    [
        ("{}, ink on paper", ["ink on paper"]),
        ("a painting of {}", ["a painting of"]),
        ("A Painting of {} on silk; Freer Gallery", ["a painting of", "freer gallery", "on silk"]),
        ("{}, Monet (French, 1840–1926), oil on canvas", ["1840", "1926", "french", "monet", "oil on canvas"]),
        ("Claude Monet: {}", ["claude monet"]),
        ("“{}” - Claude Monet - Paris", ["claude monet", "paris"]),
        ("黄宾虹 {} 纸本", ["纸本", "黄宾虹"]),
        ("黄宾虹《{}》，水墨画", ["水墨画", "黄宾虹"]),
        ("картина {}, масло", ["картина", "масло"]),
    ],
)  # fmt: skip
def test_what_every_work_says_is_left_out_and_what_varies_stays_as_it_was_written(form, left_out):
    texts, out = left([form.format(subject) for subject in SUBJECTS])
    assert [text.strip("“”《》") for text in texts] == SUBJECTS
    assert list(out) == left_out


def test_chinese_words_are_found_without_spaces_between_them():
    seen = ["会稽山", "栖霞山居", "武夷纪游", "青柯坪", "七星岩", "蓬莱阁", "春风", "杭阜图"]
    assert left([f"黄宾虹{title}水墨" for title in seen]) == (seen, ("水墨", "黄宾虹"))


def test_a_word_counts_in_nine_works_of_ten_and_then_goes_from_those_that_say_it_otherwise_too():
    texts = [f"{subject}, ink on paper" for subject in SUBJECTS[:9]] + ["a cliff, colour on paper"]
    assert left(texts)[0] == [*SUBJECTS[:9], "a cliff, colour"]
    assert left([*texts[:8], "a cliff", "a cave"])[0] == [*texts[:8], "a cliff", "a cave"]


def test_seven_works_may_share_a_word_by_chance():
    texts = [f"{subject}, ink on paper" for subject in SUBJECTS]
    assert left(texts[:7]) == (texts[:7], ())
    assert left(texts[:8])[0] == SUBJECTS[:8]


def test_a_work_weighs_the_same_however_many_scans_and_crops_it_has():  # pragma: allowlist secret
    varied = [f"{subject}, signed" for subject in SUBJECTS[:7]]
    assert left([*varied, *["a cliff, signed"] * 8, "snow"], [*"1234567", *"8" * 8, "9"])[1] == ()
    assert left([*varied, "a cliff, signed", *["snow"] * 9], [*"1234567", "8", *"9" * 9])[1] == ()
    assert left([*varied, "a cliff, signed"], [*"12345678"])[1] == ("signed",)


def test_words_that_only_join_others_stay():
    texts = ["a boat in rain", "a hill in mist", "a pine in snow", "a cave in fog", "a hut in wind", "a bird in flight",
             "a monk in thought", "a lake in May"]  # fmt: skip
    assert left(texts) == (texts, ())


def test_no_preposition_or_number_is_left_without_what_it_belonged_to():
    places = ["Rouen", "Giverny", "Paris", "Vernon", "Mantes", "Poissy", "Asnieres", "Bougival"]
    ways = ["of the", "on the", "over the", "by the"] * 2
    said = [f"boats {way} Seine at {place}" for way, place in zip(ways, places, strict=True)]
    assert left(said) == (places, ("boats", "the seine at"))
    said = [f"{subject} {way} silk" for way, subject in zip(ways, SUBJECTS, strict=False)]
    assert left(said) == (SUBJECTS[:8], ("the silk",))
    said = [f"view {way} {place}" for way, place in zip(ways, places, strict=True)]
    assert left(said) == ([f"the {place}" for place in places], ("view",))
    assert left([f"Mountain {n}" for n in range(8)]) == ([""] * 8, ("mountain",))


def test_a_subject_that_the_archive_states_stays_even_if_it_never_varies():
    texts = [f"mountain landscape, {season}, ink" for season in SUBJECTS]
    assert left(texts)[0] == SUBJECTS
    assert left(texts, subject="Mountain landscape")[0] == [f"mountain landscape, {season}" for season in SUBJECTS]
    assert left(texts, subject="landscape of a mountain")[0] == [f"mountain landscape, {season}" for season in SUBJECTS]
    assert left([f"黄宾虹山水 {n}" for n in SUBJECTS], subject="山水")[0] == [f"山水 {n}" for n in SUBJECTS]


def test_the_painters_name_in_another_script_is_found_though_some_titles_stand_between_marks(tmp_path):
    names = ["黄宾虹 会稽山", "黄宾虹 栖霞山居", "黄宾虹山水画 01", "黄宾虹 青柯坪"]
    names += ["黄宾虹 《云门双峰》", "黄宾虹 《狮子林》", "黄宾虹 《郁州冬景》", "黄宾虹 《雁宕龙湫》"]
    captions = [
        archive_caption(
            Scan(id="0" * 16, painter="p", path=f"{name}.jpg", sha256="0" * 64, bytes=1, width=9, height=9,
                 format="JPEG", colour="sRGB", title=name),
            tmp_path, TRIGGER, "Huang Binhong",
        )
        for name in names
    ]  # fmt: skip
    rest, left_out = only_what_varies(captions, names, TRIGGER)
    said = ["会稽山", "栖霞山居", "山水画 01", "青柯坪", "云门双峰", "狮子林", "郁州冬景", "雁宕龙湫"]
    assert [caption.text for caption in rest] == [f"{TRIGGER}, {title}" for title in said]
    assert left_out == ("黄宾虹",)


def test_the_trigger_itself_is_never_left_out_and_stands_alone_where_nothing_varies():
    assert left(["ink painting"] * 9) == ([""] * 9, ("ink painting",))
    captions = [Caption(f"{subject} in {TRIGGER}, ink", "sidecar") for subject in SUBJECTS]
    rest, _ = only_what_varies(captions, SUBJECTS, TRIGGER)
    assert [caption.text for caption in rest] == [f"{subject} in {TRIGGER}" for subject in SUBJECTS]


def test_what_varies_in_the_sample_painters_captions_is_all_there():
    from artmaster_pipeline.sample_painters.scenes import imagine

    captions = [imagine(n, "emerald-and-ochre").caption() for n in range(40)]
    assert left(captions) == (captions, ())
    captions = [imagine(n, "ink").caption() for n in range(40)]  # "..., wet black ink"
    assert left(captions) == ([caption.removesuffix(" ink") for caption in captions], ("ink",))


WORDS = st.lists(
    st.sampled_from(["ink", "on", "a", "hill", "of", "山", "水", "画", ",", "(", ")", "1831", "-"]), max_size=9
)


@given(st.lists(WORDS, min_size=8, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_works_changes_nothing_and_nothing_is_ever_added(lists, chance):
    texts = [" ".join(words) for words in lists]
    rest, left_out = left(texts)
    order = list(range(len(texts)))
    chance.shuffle(order)
    again, out_again = left([texts[n] for n in order], [str(n) for n in order])
    assert (again, out_again) == ([rest[n] for n in order], left_out)
    for text, kept in zip(texts, rest, strict=True):
        remaining = iter(text)
        assert all(character in remaining for character in kept)  # a subsequence: order and writing are untouched
