"""What the embedded reader says of pictures and titles, and when it is silent."""

import numpy as np
import pytest
from PIL import Image

from artmaster_pipeline.base_models.legibility import legibility_of
from artmaster_pipeline.dataset.captioners.interface import Facts
from artmaster_pipeline.dataset.captioners.reader import EmbeddedReader, composition_of, subject_in, words_of
from artmaster_pipeline.dataset.captioners.title_words import said_in_title
from artmaster_pipeline.sample_painters import SEASONS, SUBJECTS, TIMES_OF_DAY, WEATHERS, imagine, paint, spoken
from artmaster_pipeline.settings import load_profile


@pytest.fixture(scope="module")
def reader():
    return EmbeddedReader()


@pytest.fixture(scope="module")
def scenes():
    found = []
    for seed in range(30):
        scene = imagine(40_000 + seed, ("ink", "oil", "emerald-and-ochre")[seed % 3])
        picture = Image.fromarray(paint(scene, 40_000 + seed, 256, 256)).resize((128, 128), Image.Resampling.LANCZOS)
        found.append((scene, np.asarray(picture)))
    return found


def test_it_reads_what_the_sample_painters_painted(reader, scenes):
    subjects = reader.subjects(np.stack([picture for _, picture in scenes]))
    right = sum(said == scene.subject for said, (scene, _) in zip(subjects, scenes, strict=True))
    assert right >= 24  # of 30


def test_what_it_says_is_mostly_right_and_always_in_words_that_the_miniature_reads(reader, scenes):
    legibility = legibility_of(load_profile("miniature"))
    told = right = 0
    for scene, picture in scenes:
        for kind, said in reader.read(picture).items():
            if said.source == "features" and kind != "palette":
                told, right = told + 1, right + (said.word == getattr(scene, kind))
            assert 0 <= said.probability <= 1
        assert legibility.unread(reader.describe(picture, Facts())) == 0
    assert told > 30
    assert right >= 0.8 * told  # what it is sure of by that probability


def test_the_same_picture_is_described_by_the_same_words(reader, scenes):
    _, picture = scenes[0]
    assert reader.describe(picture, Facts()) == reader.describe(picture.copy(), Facts())


@pytest.mark.parametrize("picture", [np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)])
def test_of_noise_no_subject_is_said(reader, picture):
    assert "subject" not in reader.read(picture)


@pytest.mark.parametrize("shape", [(40, 300), (700, 130), (128, 128)])
def test_pictures_of_every_shape_and_even_blank_ones_are_read(reader, shape):
    said = reader.describe(np.full((*shape, 3), 240, np.uint8), Facts())
    assert "towering" in said or "level" in said


def test_what_the_archive_states_is_not_said_again(reader, scenes):
    _, picture = scenes[0]
    said = reader.describe(picture, Facts(subject="boats", season="spring"))
    assert not said.startswith(tuple(SUBJECTS))
    assert "in spring" not in said


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("溪山行旅图", {"subject": "a traveller under tall trees"}),
        ("寒江独钓图", {"subject": "a fishing boat on a lake", "season": "winter"}),
        ("雪景寒林图", {"season": "winter", "weather": "snow", "subject": "a traveller under tall trees"}),
        ("雨霁", {"weather": "clear"}),
        ("月夜", {"time_of_day": "night"}),
        (
            "Rain on the Bridge, Evening",
            {"subject": "a bridge over a stream", "time_of_day": "dusk", "weather": "rain"},
        ),
        ("Effet de neige", {"season": "winter", "weather": "snow"}),
        ("Sonnenaufgang im Gebirge, Nebel", {"subject": "layered mountains", "weather": "mist"}),
        ("狮子林", {}),
        ("雁宕纪游", {"subject": "layered mountains"}),
        ("Portrait of Madame X", {}),
        ("Monterey", {}),  # "monte" is a word, not a part of one
        ("", {}),
    ],
)
def test_titles_in_several_languages_say_what_they_say(title, said):
    assert {name: word for name, word in vars(said_in_title(title)).items() if word} == said


def test_a_title_goes_before_what_is_seen(reader, scenes):
    _, picture = scenes[0]
    assert reader.read(picture, Facts(title="竹石图"))["subject"].source == "title"
    assert reader.describe(picture, Facts(title="竹石图")).startswith("bamboo")


def test_every_word_of_the_title_table_is_one_of_the_painters():
    from artmaster_pipeline.dataset.captioners import title_words

    assert {name for name, *_ in title_words._MOTIFS} <= {*words_of("subject")}
    assert {*title_words._SEASONS} <= {*SEASONS}
    assert {*title_words._TIMES} <= {*TIMES_OF_DAY}
    assert {*title_words._WEATHERS} <= {*WEATHERS}


def test_composition_is_where_the_marks_are():
    sheet = np.full((128, 128, 3), 240, np.uint8)
    left, low, high = sheet.copy(), sheet.copy(), sheet.copy()
    left[20:110, 5:40], low[90:, :], high[10:120, 40:88] = 30, 30, 30
    assert composition_of(left)[0] == "left-weighted"
    assert composition_of(left[:, ::-1])[0] == "right-weighted"
    assert composition_of(low)[0] == "level"
    assert composition_of(high)[0] == "towering"


def test_the_subject_that_a_caption_begins_with():
    assert subject_in(spoken(subject="bamboo", season="spring")) == "bamboo"
    assert subject_in(spoken(weather="mist")) == ""


def test_a_small_reader_can_be_trained_by_its_own_script(tmp_path, monkeypatch):
    from artmaster_pipeline.dataset.captioners import reader as module
    from artmaster_pipeline.dataset.captioners.train_reader import train_reader

    shares = train_reader(tmp_path / "reader.safetensors", scenes=24)
    assert set(shares) == set(module.ASKED)
    monkeypatch.setattr(module, "WEIGHTS", tmp_path / "reader.safetensors")
    assert EmbeddedReader().describe(np.full((64, 64, 3), 200, np.uint8), Facts())
