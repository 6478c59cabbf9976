"""Latents and text embeddings on disk: each meets its own picture and words, and nothing damaged is ever used."""

import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from training_home import PAINTER, fill_home, tiny_profile

from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.files import sha256_of
from artmaster_pipeline.progress import SILENT, Progress
from artmaster_pipeline.records import TrainingImage
from artmaster_pipeline.settings import Home, Profile
from artmaster_pipeline.training.caches import latents_of, read_checked, texts_of, write_checked


@pytest.fixture
def profile(tiny_flux) -> Profile:
    return tiny_profile(tiny_flux)


@pytest.fixture
def images(home, profile) -> tuple[TrainingImage, ...]:
    """The smaller picture of each of four works."""
    rows = build_training_set(fill_home(home, works=4), PAINTER, profile).records
    return tuple(row for row in rows if row.height == 512)


class Heard(Progress):
    """Keeps what was said in the log, and how much was encoded."""

    def __init__(self) -> None:
        self.said: list[str] = []
        super().__init__(self.said.append)

    @property
    def encoded(self) -> int:
        return sum(int(line.split(": ")[1].split(" of ")[0]) for line in self.said if " of " in line)


def held(home: Home, profile: Profile, images, progress: Progress = SILENT) -> dict:
    """Image id -> the three tensors that a training would take for it."""
    latents = latents_of(home, PAINTER, profile, "revision", images, progress)
    texts = texts_of(home, profile, "revision", [image.caption for image in images], progress)
    return {
        image.id: (
            latents[image.id],
            *(texts[image.caption].tensors[f"{name}prompt_embeds"] for name in ("", "pooled_")),
        )
        for image in images
    }


def same(one: dict, other: dict) -> bool:
    import torch

    return one.keys() == other.keys() and all(
        torch.equal(a, b) for name in one for a, b in zip(one[name], other[name], strict=True)
    )


def files(home: Home) -> list[Path]:
    return sorted(file for kind in ("latents", "text") for file in (home.cache / kind).iterdir())


def contents(home: Home) -> dict[Path, str]:
    return {file: sha256_of(file) for file in files(home)}


# --- each meets its own


def test_whatever_captions_the_pictures_have_each_meets_its_own(home, profile, images):
    """Against encoders that are asked directly, picture by picture, without any cache."""
    import torch
    from PIL import Image

    from artmaster_pipeline.base_models import family_for, load_pipeline

    pipe = load_pipeline(profile, parts=("vae", "text_encoder", "text_encoder_2"))
    chance = random.Random(0)
    captions = [image.caption for image in images]
    for _ in range(4):
        chance.shuffle(captions)
        told = [image.model_copy(update={"caption": text}) for image, text in zip(images, captions, strict=True)]
        chance.shuffle(told)
        pairs = held(home, profile, told)
        for image in told:
            with torch.inference_mode(), Image.open(home.training_set(PAINTER) / image.path) as picture:
                latent = family_for(pipe).encode_picture(pipe, picture, *profile.size(image.width, image.height))
                text = family_for(pipe).encode_text(pipe, image.caption, "cpu", profile.max_sequence_length)
            assert torch.equal(pairs[image.id][0], latent)
            assert torch.equal(pairs[image.id][1], text.tensors["prompt_embeds"])
            assert torch.equal(pairs[image.id][2], text.tensors["pooled_prompt_embeds"])
    different = {tuple(tensor.sum().item() for tensor in tensors) for tensors in pairs.values()}
    assert len(different) == len(images)  # else any pairing would have passed


def test_another_base_revision_size_or_precision_is_encoded_anew(home, tiny_flux, images):
    for count, (revision, changes) in enumerate(
        [("one", {}), ("two", {}), ("one", {"size_divisor": 4}), ("one", {"dtype": "bfloat16"}), ("one", {})], start=1
    ):
        latents_of(home, PAINTER, tiny_profile(tiny_flux, **changes), revision, images[:1], SILENT)
        assert len(list((home.cache / "latents").iterdir())) == min(count, 4)


def test_what_is_there_is_not_encoded_again_for_another_run_or_painter(home, profile, images):
    first = held(home, profile, images)
    heard = Heard()
    assert same(held(home, profile, images, heard), first)
    (home.training_set(PAINTER)).rename(home.training_set("another-painter"))
    there = latents_of(home, "another-painter", profile, "revision", images, heard)
    assert (list(there), heard.said) == ([image.id for image in images], [])


def test_the_same_pictures_and_words_give_the_same_bytes(home, profile, images):
    held(home, profile, images)
    before = contents(home)
    for file in files(home):
        file.unlink()
    held(home, profile, images)
    assert contents(home) == before


# --- nothing damaged or mispaired is used


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def truncate(file: Path, share: float) -> None:
    os.truncate(file, int(file.stat().st_size * share))


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def strip_the_proof(file: Path) -> None:
    """As a cache from before files were checked, or any other safetensors file."""
    from safetensors.torch import load_file, save_file

    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "why", "count"),
    [
        (lambda latent, text: swap(*latent[:2]), "made from something else", 2),
        (lambda latent, text: swap(*text[:2]), "made from something else", 2),
        (lambda latent, text: swap(latent[0], text[0]), "made from something else", 2),
        (lambda latent, text: (truncate(latent[0], 0.5), truncate(text[0], 0.9)), "cannot be read", 2),
        (lambda latent, text: (truncate(latent[0], 0), truncate(text[0], 0.01)), "cannot be read", 2),
        (lambda latent, text: (flip(latent[0], -9), flip(text[0], -9)), "does not hold what was written", 2),
        (lambda latent, text: strip_the_proof(text[1]), "cannot be read", 1),
        (lambda latent, text: [strip_the_proof(file) for file in latent], "and 1 more", 4),
    ],
    ids=["latents swapped", "texts swapped", "a latent for a text", "truncated", "empty", "a bit flipped", "no proof",
         "all without proof"],
)  # fmt: skip
def test_a_damaged_or_mispaired_file_is_found_out_said_and_mended(home, profile, images, damage, why, count):
    first = held(home, profile, images)
    before = contents(home)
    damage(*(sorted((home.cache / kind).iterdir()) for kind in ("latents", "text")))
    assert contents(home) != before
    heard = Heard()
    assert same(held(home, profile, images, heard), first)
    assert contents(home) == before
    assert heard.encoded == count
    assert any(why in line and "encoded anew" in line for line in heard.said)
    again = Heard()
    held(home, profile, images, again)
    assert again.said == []


def test_what_happens_to_a_file_later_does_not_reach_into_a_running_training(home, profile, images):
    first, again = held(home, profile, images), held(home, profile, images)
    for file in files(home):
        flip(file, -9)
        truncate(file, 0.5)
    assert same(first, again)


def test_no_flipped_bit_anywhere_in_a_file_gives_other_numbers(tmp_path):
    import torch

    good = {"pooled_prompt_embeds": torch.arange(6.0), "prompt_embeds": torch.ones(2, 3, dtype=torch.bfloat16)}
    file = tmp_path / "0123456789abcdef.safetensors"
    write_checked(file, good)
    content = file.read_bytes()
    refused = 0
    for place, bit in itertools.product(range(len(content)), range(8)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        file.write_bytes(damaged)
        try:
            read = read_checked(file)
        except BadInput:
            refused += 1
        else:  # a blank of the header's padding that became a tab, or the like
            assert read.keys() == good.keys()
            assert all(torch.equal(read[name], good[name]) for name in good)
            assert all(read[name].dtype == good[name].dtype for name in good)
    assert refused > 0.95 * 8 * len(content)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_tensors_come_back_as_they_were_written(tmp_path, dtype):
    import torch

    wanted = {"latent": torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)).to(getattr(torch, dtype))}
    wanted["turned"] = wanted["latent"].transpose(0, 2)
    write_checked(tmp_path / "key.safetensors", wanted)
    read = read_checked(tmp_path / "key.safetensors")
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in wanted.items())


# --- two at once

WRITER = """
import sys, torch
from pathlib import Path
from artmaster_pipeline.training.caches import read_checked, write_checked
file, number = Path(sys.argv[1]), float(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(60):
    write_checked(file, {"latent": torch.full((64, 64), number)})
    assert float(read_checked(file)["latent"].unique()) in (1.0, 2.0)
"""


def test_two_processes_that_write_the_same_file_at_once_leave_it_whole_at_every_moment(tmp_path):
    file = tmp_path / "0123456789abcdef.safetensors"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, file, number], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in ("1", "2")
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.close()
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if file.exists():
            seen.add(float(read_checked(file)["latent"].unique()))
    for writer in writers:
        writer.stdout.close()
    assert [writer.returncode for writer in writers] == [0, 0]
    seen.add(float(read_checked(file)["latent"].unique()))
    assert seen <= {1.0, 2.0}
    assert list(tmp_path.iterdir()) == [file]
