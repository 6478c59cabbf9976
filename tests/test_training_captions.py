"""What is said about a picture, and who says it."""

from pathlib import Path

import numpy as np
import pytest

from artmaster_pipeline.errors import MissingRequirement
from artmaster_pipeline.records import Scan
from artmaster_pipeline.settings import load_profile
from artmaster_pipeline.training.captions import Captioner, archive_caption, with_trigger

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
    ],
)
def test_a_file_name_gives_its_words_but_not_the_painters_name_or_a_cameras_count(tmp_path, path, title, words):
    assert said(tmp_path, path, title) == (f"{TRIGGER}{words}", "file name")


def test_a_caption_is_one_line_and_says_the_trigger_once():
    assert with_trigger(TRIGGER, "a cliff\n\tin  mist, ") == f"{TRIGGER}, a cliff in mist"
    assert with_trigger(TRIGGER, f"a cliff in {TRIGGER}") == f"a cliff in {TRIGGER}"
    assert with_trigger(TRIGGER, "", " ") == TRIGGER


def save_tiny_blip(folder: Path) -> Path:
    import torch
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", "mountain", "river", "pine", "mist"]
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BlipConfig(
        text_config=small
        | {"vocab_size": len(words), "bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0,
           "encoder_hidden_size": 16, "max_position_embeddings": 64},
        vision_config=small | {"image_size": 32, "patch_size": 16},
        projection_dim=16,
    )  # fmt: skip
    BlipForConditionalGeneration(config).save_pretrained(folder)
    processor = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(processor, BertTokenizer(vocab={word: n for n, word in enumerate(words)})).save_pretrained(folder)
    return folder


def test_a_captioning_model_says_the_same_about_the_same_picture(tmp_path):
    profile = load_profile("miniature").model_copy(update={"captioner": str(save_tiny_blip(tmp_path / "blip"))})
    picture = np.random.default_rng(0).integers(0, 255, (96, 64, 3), dtype=np.uint8)
    captioner = Captioner(profile)
    line = captioner.describe(picture)
    assert line == captioner.describe(picture)
    assert line
    assert "\n" not in line


def test_a_captioner_that_cannot_be_had_is_named_with_the_ways_out(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    profile = load_profile("miniature").model_copy(update={"captioner": "no-such/captioner"})
    with pytest.raises(MissingRequirement, match=r"no-such/captioner.*captioner: null.*artworks\.csv"):
        Captioner(profile)
