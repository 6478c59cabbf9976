"""What a vision-language model is asked of a picture, and what is left of its answer."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_captioner import save_tiny_captioner

from artmaster_pipeline.dataset.captioners.interface import Captioner, Facts
from artmaster_pipeline.dataset.captioners.loading import captioner_identity, load_captioner
from artmaster_pipeline.dataset.captioners.plain_words import plain_description
from artmaster_pipeline.dataset.captioners.vision_language import VisionLanguageCaptioner
from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, Profile, load_profile

# --- the answer


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        # how models begin
        ("The image depicts a fisherman in a small boat. Grey mountains rise behind him.",
         "A fisherman in a small boat. Grey mountains rise behind him."),
        ("In this traditional Chinese ink wash painting, a scholar sits beneath two pines.",
         "A scholar sits beneath two pines."),
        ("This painting by Claude Monet shows two haystacks in a snowy field at sunset.",
         "Two haystacks in a snowy field at sunset."),
        ("This is a Japanese woodblock print depicting travellers on a wooden bridge in heavy rain.",
         "Travellers on a wooden bridge in heavy rain."),
        ("This hanging scroll, titled Autumn Colours, depicts two blue-green hills on a marshy plain.",
         "Two blue-green hills on a marshy plain."),
        ("The image depicts a traditional landscape painting with towering mountains and a waterfall.",
         "Towering mountains and a waterfall."),
        ("In the picture, there are three cranes on a snowy bank at dusk.", "Three cranes on a snowy bank at dusk."),
        ("Sure! Here is a caption for the image:\n\n**A red-roofed house stands by the river.**",
         "A red-roofed house stands by the river."),
        ("The scene shows a bridge.", "A bridge."),
        # what belongs to the trigger
        ("A boat drifts on a lake, rendered in soft washes of ink. Pines stand on the right bank.",
         "A boat drifts on a lake. Pines stand on the right bank."),
        ("A village lies by the lake. The loose brushwork is typical of impressionist artists. Its roofs are red.",
         "A village lies by the lake. Its roofs are red."),
        ("A crane stands in snow. To the right are an inscription and two red seals.", "A crane stands in snow."),
        ("Snow covers the roofs, and the sky is deep blue, creating a sense of calm.",
         "Snow covers the roofs, and the sky is deep blue."),
        ("At the bottom of the painting, a red boat drifts left. The left side of the image shows a cliff.",
         "At the bottom, a red boat drifts left. The left side shows a cliff."),
        ("This masterpiece on silk is a fine work of calligraphy.", ""),
        # what only sounds like it
        ("A Chinese-style pavilion with oil lamps and a boat with canvas sails, its hull painted green.",) * 2,
        ("Inky clouds hang over Mt. Fuji. The charcoal-grey rocks are wet.",) * 2,
        # letters
        ("A scholar walks below Mount Huang (黄山) in autumn; 远山 mist fills the valley【云】.",
         "A scholar walks below Mount Huang in autumn; mist fills the valley."),
        ("Two figures stand on a bridge，which is wide。远山在后。", "Two figures stand on a bridge, which is wide."),
        ("这幅画描绘了山水。", ""),
        ("A café in Kraków (Краков) below Mount Kōya.", "A café in Kraków below Mount Kōya."),
        # what markdown makes of it
        ("- A stone bridge crosses a stream\n- Two travellers carry *bundles*\n- The sky is pale yellow.",
         "A stone bridge crosses a stream. Two travellers carry bundles. The sky is pale yellow."),
        ("**Subject:** two boats on a river\n**Season:** early spring.\n**Style:** ink wash.",
         "Two boats on a river. Early spring."),
        ("## Description\n\nA quiet harbour\nat dawn.\n\n1. Orange sky.", "A quiet harbour at dawn. Orange sky."),
        ('"A heron stands among reeds."', "A heron stands among reeds."),
        # what was cut short, said twice, or nothing
        ("A river bends to the left. A long line of poplars stands between the", "A river bends to the left."),
        ("A long line of poplars stands between the", "A long line of poplars stands between the"),
        ("The boat is red. The boat is red. The boat is red.", "The boat is red."),
        ("The image depicts", ""),
        ("** ... **", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_of_an_answer_stays_what_is_depicted(answer, plain):
    assert plain_description(answer) == plain
    assert plain_description(plain) == plain


def test_long_answers_end_with_a_whole_sentence_or_at_a_comma():
    sentence = "A boat with a red sail lies on the grey water below the cliff, near reeds."  # 15 words
    many = plain_description(" ".join(sentence.replace("boat", f"boat {n}") for n in range(9)))
    assert len(many.split()) <= 90
    assert many.endswith("reeds.")
    one = plain_description("A boat lies here, " + "and a red boat lies beside it, " * 20)
    assert 60 < len(one.split()) <= 90
    assert one.endswith("beside it.")


PIECES = st.sampled_from(
    [*"aZé山яαかM\u0301.,;:!?()[]\"'*#_-•`【】「」。，： \n", "The image depicts ", "In this painting, ", "- ", "2. ",
     "Season: ", "a red boat", " on silk", ", rendered in ink", "Mt. ", " of the painting", " (黄山)", ". ",
     "The picture's "]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES, max_size=25).map("".join)))
def test_a_plain_description_is_one_line_of_latin_letters_and_stays_as_it_is(answer):
    plain = plain_description(answer)
    assert plain == " ".join(plain.split())
    assert plain.isprintable()
    assert len(plain.split()) <= 90
    assert all("LATIN" in unicodedata.name(letter) for letter in plain if letter.isalpha())
    assert plain_description(plain) == plain


# --- the model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_captioner(tmp_path_factory.mktemp("captioner"))


def profile_with(captioner: object, **changes: object) -> Profile:
    return load_profile("miniature").model_copy(update={"captioner": captioner and str(captioner), **changes})


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (96, 64, 3), dtype=np.uint8)


def test_a_model_says_the_same_of_the_same_picture_and_facts(model, home: Home):
    captioner: Captioner = load_captioner(profile_with(model), home)
    facts = Facts(title="云门双峰", season="snow")
    line = captioner.describe(picture(), facts)
    assert line
    assert line == captioner.describe(picture(), facts) == plain_description(line)
    assert line != captioner.describe(picture(1), facts)
    assert line != captioner.describe(picture(), Facts(season="mist"))


def test_its_name_is_the_repositorys_and_its_identity_says_commit_and_question(model, home: Home):
    captioner = load_captioner(profile_with(model), home)
    assert (captioner.name, captioner.identity) == (str(model), f"{model}, instruction 1")
    flux = load_profile("flux-dev")
    assert captioner_identity(flux) == f"Qwen/Qwen3-VL-4B-Instruct@{flux.captioner_revision}, instruction 1"


def test_it_is_told_what_the_archive_knows_and_asked_again_in_short_where_nothing_is_left(model, monkeypatch):
    asked = []

    def answer(_: object, __: np.ndarray, instruction: str) -> str:
        asked.append(instruction)
        return "An ink painting on silk." if len(asked) == 1 else "A boat."

    monkeypatch.setattr(VisionLanguageCaptioner, "_answer", answer)
    captioner = VisionLanguageCaptioner(profile_with(model))
    assert captioner.describe(picture(), Facts(title="云门\n双峰", date="1935")) == "A boat."
    first, second = asked
    assert "title: 云门 双峰\ndate: 1935\n" in first
    assert "season:" not in first
    assert len(second) < len(first) / 3
    assert "云门" not in second
    monkeypatch.setattr(VisionLanguageCaptioner, "_answer", lambda *_: "Ink on silk.")
    assert captioner.describe(picture(), Facts()) == ""


def test_one_model_serves_a_session(model, home: Home):
    with session():
        assert load_captioner(profile_with(model), home) is load_captioner(profile_with(model), home)


def test_weights_are_read_from_safetensors_and_from_nothing_else(model, tmp_path, home: Home):
    import shutil

    import torch
    from safetensors.torch import load_file

    other = Path(shutil.copytree(model, tmp_path / "pickled"))
    torch.save(load_file(other / "model.safetensors"), other / "pytorch_model.bin")
    (other / "model.safetensors").unlink()
    with pytest.raises(MissingRequirement, match="safetensors"):
        load_captioner(profile_with(other), home)


def test_a_model_that_follows_no_instructions_is_refused(tmp_path, home: Home):
    with pytest.raises(MissingRequirement, match="no chat template"):
        load_captioner(profile_with(save_tiny_captioner(tmp_path / "mute", template=None)), home)


def test_a_captioner_that_cannot_be_had_is_named_with_the_ways_out(home: Home, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingRequirement, match=r"no-such/captioner.*captioner: null.*artworks\.csv"):
        load_captioner(profile_with("no-such/captioner"), home)
    with pytest.raises(MissingRequirement, match="names no captioner"):
        load_captioner(profile_with(None), home)
