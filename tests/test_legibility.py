"""Which words a base's encoders read, by its own tokenizers and by letters alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artmaster_pipeline.base_models.family import family_by_name
from artmaster_pipeline.base_models.legibility import Legibility, legibility_of
from artmaster_pipeline.dataset.captions import Caption, readable
from artmaster_pipeline.sample_painters import FURTHER_SUBJECTS, STYLES, SUBJECTS, imagine
from artmaster_pipeline.settings import load_profile

MINIATURE = legibility_of(load_profile("miniature"))
TRIGGER = "huangbinhong style"


@pytest.mark.parametrize("seed", range(0, 60, 7))
def test_the_miniature_reads_every_word_of_the_sample_painters(seed):
    for style in STYLES:
        caption = imagine(seed, style, (*SUBJECTS, *FURTHER_SUBJECTS)).caption(name_style=True)
        assert MINIATURE.shares(caption) == {"tokenizer": 0.0, "tokenizer_2": 0.0}


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("云门双峰", 1.0),
        ("箱根", 1.0),
        ("Волга", 1.0),
        ("a boat", 0.0),
        ("", 0.0),
        ("- , 《》", 0.0),
        ("云门, a boat in mist", 1 / 3),
        ("Giverny in mist", 1 / 3),  # a name that is spelled letter by letter
        ("12, 1897", 0.0),
        ("hu huolang tu", 1.0),
        ("of a boat at sea", 0.0),
    ],
)
def test_the_share_of_words_that_the_miniature_does_not_read(text, share):
    assert MINIATURE.unread(text) == pytest.approx(share, abs=1e-9)


def test_without_tokenizers_letters_decide():
    by_letters = Legibility(family_by_name("black-forest-labs/FLUX.1-dev"), {})
    assert by_letters.shares("云门 Giverny in mist") == {"letters": 2 / 5}


@given(st.text(max_size=60))
def test_a_share_is_a_share_and_the_same_for_the_same_text(text):
    share = MINIATURE.unread(text)
    assert 0 <= share <= 1
    assert share == MINIATURE.unread(text)


def test_what_is_not_read_leaves_a_caption_and_what_is_read_beside_it_stays():
    caption = Caption(f"{TRIGGER}, 云门双峰, autumn", "artworks.csv", complete=True)
    left, unread = readable(caption, TRIGGER, MINIATURE, 0.34)
    assert (left.text, round(unread, 2), left.complete) == (f"{TRIGGER}, autumn", 0.8, False)
    alone, _ = readable(Caption(f"{TRIGGER}, 云门双峰", "file name"), TRIGGER, MINIATURE, 0.34)
    assert alone.text == TRIGGER


def test_a_caption_that_is_read_stays_as_it_is():
    caption = Caption(f"{TRIGGER}, a boat near Giverny in mist", "sidecar", complete=True)
    assert readable(caption, TRIGGER, MINIATURE, 0.34)[0] is caption
    assert readable(caption, TRIGGER, MINIATURE, 0.1)[0].text == TRIGGER
