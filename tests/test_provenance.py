"""What a published picture says about itself, who signed it, and how a change to it is told."""

import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from small_archive import PAINTER, copied, evaluated, painted, small_archive
from typer.testing import CliRunner

from artmaster_pipeline import pictures
from artmaster_pipeline.cli import app
from artmaster_pipeline.containers import (
    Part,
    data_sha256,
    has_credentials,
    kind_of,
    put_together,
    take_apart,
    webp_with_words,
    without_credentials,
)
from artmaster_pipeline.errors import MissingRequirement, WrongUse
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.publishing import credentials, publish_gallery
from artmaster_pipeline.publishing.credentials import check_credentials, find_signer, make_keys
from artmaster_pipeline.publishing.verify import Verified, verify_picture
from artmaster_pipeline.publishing.versions import SiteVersions, files_of
from artmaster_pipeline.records import MANIFEST, Adapter, Sample, read_manifest
from artmaster_pipeline.settings import Home, load_painter, load_profile, save_painter

PROFILE = load_profile("miniature")
KINDS = (".png", ".jpg", ".webp")
HOSTILE = "\x1b[2J\x07 <script>alert(1)</script> [bold]x[/bold] \u202e \x00 山水"
FACTS = {"id": "0123456789abcdef", "notice": pictures.AI_GENERATED, "prompt": HOSTILE, "seed": 7, "adapter": "ab" * 8}


@pytest.fixture(scope="module")
def signed_once(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A small archive with keys, whose gallery was published; tests look at it and leave it as it is."""
    home = Home(tmp_path_factory.mktemp("signed") / "home")
    small_archive(home, works=3, held_out=1)
    evaluated(home, prompt=HOSTILE)
    make_keys(home)
    publish_gallery(home, PAINTER, PROFILE)
    return home


@pytest.fixture
def signed(signed_once: Home, home: Home) -> Home:
    """A copy of it, for tests that change it."""
    return copied(signed_once, home)


def published(home: Home, suffix: str) -> Path:
    """The first enlarged picture of the gallery, as PNG or JPEG."""
    return sorted((home.gallery(PAINTER) / "pictures").glob(f"*{suffix}"))[0]


def written(folder: Path, suffix: str, facts: dict[str, Any] = FACTS) -> Path:
    """A picture file as the product writes it, without content credentials."""
    file = folder / f"picture{suffix}"
    pixels = painted(3, 48, 32, (40, 60, 90))
    if suffix == ".png":
        pictures.write_png(file, pixels, facts)
    else:
        write = pictures.write_jpeg if suffix == ".jpg" else pictures.write_webp
        write(file, Image.fromarray(pixels), facts)
    return file


# Facts in files


@pytest.mark.parametrize("suffix", KINDS)
def test_facts_can_be_read_back_from_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    file = written(tmp_path, suffix)
    facts = pictures.read_facts(file)
    assert {name: facts[name] for name in FACTS} == FACTS
    assert pictures.changes(file, facts) == ()
    assert b"trainedAlgorithmicMedia" in file.read_bytes()


@pytest.mark.parametrize("suffix", KINDS)
def test_the_same_picture_and_facts_are_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    first = written(tmp_path, suffix).read_bytes()
    assert written(tmp_path, suffix).read_bytes() == first


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_very_long_prompt_is_cut_in_the_file_and_the_file_stays_whole(tmp_path: Path, suffix: str) -> None:
    file = written(tmp_path, suffix, FACTS | {"prompt": "山" * 100_000})
    facts = pictures.read_facts(file)
    assert facts["prompt"] == "山" * 4000 + "…"
    assert pictures.changes(file, facts) == ()


def test_a_picture_of_noise_can_be_written_as_jpeg(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    pictures.write_jpeg(tmp_path / "noise.jpg", Image.fromarray(noise), FACTS, quality=95)
    assert verify_picture(tmp_path / "noise.jpg").state == "intact"


def test_a_scans_detail_is_not_called_generated(tmp_path: Path) -> None:
    for suffix in KINDS:
        file = written(tmp_path, suffix, {"id": "0" * 16, "notice": "Detail of a scanned artwork"})
        assert b"trainedAlgorithmicMedia" not in file.read_bytes()
        assert verify_picture(file).state == "intact"


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_taken_apart_and_put_together_is_the_same_file(tmp_path: Path, suffix: str) -> None:
    content = written(tmp_path, suffix).read_bytes()
    assert put_together(kind_of(content), take_apart(content)) == content


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x10\0\0\0WEBP"]))
def test_no_file_is_too_broken_to_be_taken_apart(tail: bytes, head: bytes) -> None:
    content = head + tail
    take_apart(content)
    data_sha256(content)
    assert without_credentials(content) == content or has_credentials(content)


# Changed pictures are told


def edit_a_pixel(file: Path) -> None:
    """Change one pixel and keep every word in the file."""
    with Image.open(file) as image:
        image.load()
        info, pixels = dict(image.info), np.asarray(image.convert("RGB")).copy()
    pixels[0, 0] ^= 0x40
    if file.suffix == ".png":
        words = PngImagePlugin.PngInfo()
        for name in ("Software", "Description", "artmaster", "XML:com.adobe.xmp"):
            words.add_itxt(name, str(info[name]))
        Image.fromarray(pixels).save(file, pnginfo=words)
    else:
        kept = {name: info[name] for name in ("exif", "xmp", "comment") if name in info}
        Image.fromarray(pixels).save(file, quality=95, **kept)


def cut(file: Path) -> None:
    """Crop the picture and keep the words that the imaging library hands on."""
    with Image.open(file) as image:
        image.load()
        info = {name: image.info[name] for name in ("exif", "xmp", "comment") if name in image.info}
        if file.suffix == ".png":
            words = PngImagePlugin.PngInfo()
            words.add_itxt("artmaster", str(image.info["artmaster"]))
            info = {"pnginfo": words}
        image.crop((4, 4, 28, 28)).save(file, **info)


def recompress(file: Path) -> None:
    """Save the same picture again, more coarsely."""
    with Image.open(file) as image:
        image.load()
        kept = {name: image.info[name] for name in ("exif", "xmp", "comment") if name in image.info}
        image.save(file, quality=40, **kept)


def edit_the_prompt(file: Path) -> None:
    """Let the facts name another seed, in place."""
    content = file.read_bytes()
    kind = kind_of(content)
    parts = [type(p)(p.name, p.payload.replace(b'"seed": 7', b'"seed": 8')) for p in take_apart(content)]
    file.write_bytes(put_together(kind, parts))


def edit_the_description(file: Path) -> None:
    """Let viewers show another notice; the facts stay."""
    content = file.read_bytes()
    words = pictures.AI_GENERATED.encode()
    first = content.index(words)
    edited = (
        content[:first] + b"painted by a great master"[: len(words)].ljust(len(words)) + content[first + len(words) :]
    )
    parts = take_apart(content)
    if kind_of(content) == "png":  # chunks carry checksums
        parts = tuple(
            type(p)(p.name, p.payload.replace(words, b"x")) if p.name == "iTXt" and b"artmaster" not in p.payload else p
            for p in parts
        )
        edited = put_together("png", parts)
    file.write_bytes(edited)


def add_words(file: Path) -> None:
    """Add a note of somebody else's."""
    content = file.read_bytes()
    kind = kind_of(content)
    parts = list(take_apart(content))
    name = {"png": "tEXt", "jpeg": "APP13", "webp": "NOTE"}[kind]
    parts.insert(len(parts) - 1, type(parts[0])(name, b"Author\0somebody"))
    file.write_bytes(put_together(kind, parts))


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("change", [edit_a_pixel, cut, edit_the_prompt, edit_the_description, add_words])
def test_a_change_to_an_unsigned_picture_is_told(tmp_path: Path, suffix: str, change: Callable[[Path], None]) -> None:
    file = written(tmp_path, suffix)
    assert verify_picture(file).state == "intact"
    change(file)
    found = verify_picture(file)
    assert found.state == "changed"
    assert found.findings


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_recompressed_picture_is_told(tmp_path: Path, suffix: str) -> None:
    file = written(tmp_path, suffix)
    recompress(file)
    assert "not the one that was written" in verify_picture(file).findings[0]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("change", [edit_a_pixel, cut, edit_the_description, add_words])
def test_a_change_to_a_signed_picture_is_told(
    signed: Home, tmp_path: Path, suffix: str, change: Callable[[Path], None]
) -> None:
    file = tmp_path / f"x{suffix}"
    shutil.copy(published(signed, suffix), file)
    assert verify_picture(file, signed).state == "intact"
    change(file)
    assert verify_picture(file, signed).state == "changed"


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_changed_byte_breaks_the_credentials(signed_once: Home, tmp_path: Path, suffix: str) -> None:
    content = bytearray(published(signed_once, suffix).read_bytes())
    content[-40] ^= 1
    file = tmp_path / f"x{suffix}"
    file.write_bytes(content)
    assert check_credentials(bytes(content), signed_once).state == "broken"
    assert verify_picture(file, signed_once).state == "changed"


def test_facts_taken_out_of_a_signed_picture_are_missed(signed_once: Home, tmp_path: Path) -> None:
    whole = published(signed_once, ".jpg")
    parts = [part for part in take_apart(whole.read_bytes()) if part.name not in ("COM", "APP1")]
    file = tmp_path / "x.jpg"
    file.write_bytes(put_together("jpeg", parts))
    found = verify_picture(file, signed_once)
    assert (found.state, found.credentials) == ("changed", "broken")
    assert found.says["seed"] == str(pictures.read_facts(whole)["seed"])


def test_a_forgery_whose_hashes_fit_is_told_where_the_picture_is_known(signed_once: Home, tmp_path: Path) -> None:
    facts = pictures.read_facts(published(signed_once, ".png"))
    pixels = pictures.read_rgb(published(signed_once, ".png")).copy()
    pixels[:8] = 0
    pictures.write_png(tmp_path / "forged.png", pixels, {n: v for n, v in facts.items() if "sha256" not in n})
    assert verify_picture(tmp_path / "forged.png").state == "intact"  # nothing but the file to go by
    found = verify_picture(tmp_path / "forged.png", signed_once)
    assert found.findings == ("This data home published another picture under this id.",)


def test_a_signature_beside_other_facts_is_told(signed_once: Home, tmp_path: Path) -> None:
    house = find_signer(signed_once)
    assert house
    file = written(tmp_path, ".png")
    file.write_bytes(house.sign(file.read_bytes(), "picture", {"id": FACTS["id"], "seed": "8", "prompt": HOSTILE}))
    found = verify_picture(file, signed_once)
    assert (found.state, found.credentials) == ("changed", "house")
    assert found.findings == ("What was signed is something else: seed.",)


@pytest.mark.parametrize("suffix", [*KINDS, ".tif", ".gif"])
def test_a_picture_without_our_marks_says_nothing(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"x{suffix}"
    Image.fromarray(painted(1, 30, 20, (0, 0, 0))).save(file)
    found = verify_picture(file)
    assert (found.state, found.says) == ("unknown", {})
    assert found.findings == ("It carries no provenance of ArtMaster.",)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"])
def test_what_is_no_picture_is_no_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    assert verify_picture(tmp_path / "x.png").state == "unknown"


@pytest.mark.parametrize(
    "facts", [{"prompt": ["a", {"b": 1}], "notice": {}}, {"id": 7, "adapter": "../../etc"}, {"id": None, "seed": "x"}]
)
def test_facts_of_another_form_are_no_error(home: Home, tmp_path: Path, facts: dict[str, Any]) -> None:
    file = tmp_path / "x.jpg"
    words = json.dumps(facts | {"facts_sha256": "0"}).encode()
    Image.fromarray(painted(1, 30, 20, (0, 0, 0))).save(file, comment=words)
    assert verify_picture(file, home).state == "changed"


def test_a_file_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot be read"):
        verify_picture(tmp_path / "x.png")


# Content credentials


def test_the_enlarged_pictures_are_signed_by_this_house(signed_once: Home) -> None:
    (adapter,) = read_manifest(signed_once.adapters(PAINTER) / MANIFEST, Adapter)
    records = [r for r in read_manifest(signed_once.gallery(PAINTER) / MANIFEST, Sample) if r.enlarged_by]
    assert records
    for record in records:
        for suffix in (".png", ".jpg"):
            content = (signed_once.gallery(PAINTER) / record.path).with_suffix(suffix).read_bytes()
            found = check_credentials(content, signed_once)
            said = found.statement or {}
            assert (found.state, said["prompt"], said["seed"]) == ("house", HOSTILE, str(record.seed))
            assert (said["adapter"], said["adapter_sha256"]) == (adapter.id, adapter.sha256)
            assert (said["base_model"], said["base_revision"]) == (adapter.base_model, adapter.base_revision)
            assert said["scans"] == str(len(adapter.scan_sha256s))


def test_the_manifest_says_that_a_model_made_the_picture(signed_once: Home) -> None:
    import c2pa

    with published(signed_once, ".png").open("rb") as content:
        said = json.loads(c2pa.Reader("image/png", content).json())
    (actions,) = (
        assertion["data"]["actions"]
        for assertion in said["manifests"][said["active_manifest"]]["assertions"]
        if assertion["label"].startswith("c2pa.actions")
    )
    assert [action["action"] for action in actions] == ["c2pa.created"]
    assert actions[0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_the_manifest_names_base_adapter_and_artworks_as_what_went_in(signed_once: Home) -> None:
    import c2pa

    (adapter,) = read_manifest(signed_once.adapters(PAINTER) / MANIFEST, Adapter)
    with published(signed_once, ".png").open("rb") as content:
        manifest = c2pa.Reader("image/png", content).get_active_manifest()
    said = [(i["title"], i["relationship"], i["data_types"][0]["type"]) for i in manifest["ingredients"]]
    assert said == [
        (adapter.base_model, "inputTo", "c2pa.types.model"),
        (f"Style adapter {adapter.id}", "inputTo", "c2pa.types.model"),
        (f"{len(adapter.scan_sha256s)} artworks", "inputTo", "c2pa.types.dataset"),
    ]
    listed = "".join(f"{sha256}\n" for sha256 in sorted(adapter.scan_sha256s)).encode()
    hashes = [adapter.base_revision, adapter.sha256, hashlib.sha256(listed).hexdigest()]
    assert [i["instance_id"] for i in manifest["ingredients"]] == [f"sha256:{each}" for each in hashes]
    assert not any("thumbnail" in i for i in manifest["ingredients"])
    actions = next(a for a in manifest["assertions"] if a["label"] == "c2pa.actions.v2")["data"]["actions"]
    assert len(actions[0]["parameters"]["ingredients"]) == 3


def test_records_and_provenance_name_the_signed_files(signed_once: Home) -> None:
    folder = signed_once.gallery(PAINTER)
    there = files_of(folder)
    said = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["pictures"]
    for record in read_manifest(folder / MANIFEST, Sample):
        assert there[record.path] == record.sha256 == said[record.path]["sha256"]


def test_signing_leaves_the_picture_and_its_facts_as_they_were(signed_once: Home) -> None:
    for suffix in (".png", ".jpg"):
        content = published(signed_once, suffix).read_bytes()
        assert has_credentials(content)
        assert not has_credentials(without_credentials(content))
        assert data_sha256(without_credentials(content)) == data_sha256(content)


def test_publishing_again_signs_nothing_again(signed: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(signed.root / "gallery")
    monkeypatch.setattr(credentials.Signer, "sign", lambda *_: pytest.fail("signed again"))
    publish_gallery(signed, PAINTER, PROFILE)
    assert files_of(signed.root / "gallery") == before
    save_painter(signed, PAINTER, load_painter(signed, PAINTER).model_copy(update={"name": "Renamed"}))
    publish_gallery(signed, PAINTER, PROFILE)  # other pages, the same pictures
    shutil.rmtree(signed.root / "gallery" / ".versions")
    publish_gallery(signed, PAINTER, PROFILE)  # the site in place has the signed files


def test_keys_made_later_sign_what_was_published(home: Home) -> None:
    small_archive(home, works=3, held_out=1)
    evaluated(home)
    publish_gallery(home, PAINTER, PROFILE)
    assert check_credentials(published(home, ".png").read_bytes(), home).state == "none"
    make_keys(home)
    outcome = publish_gallery(home, PAINTER, PROFILE)
    assert (outcome.made, check_credentials(published(home, ".png").read_bytes(), home).state) == (0, "house")
    assert [bool(version.signed_by) for version in SiteVersions(home.root / "gallery", PAINTER).versions()].count(
        True
    ) == 1


def test_private_keys_are_their_owners_alone_and_in_no_site(signed_once: Home) -> None:
    keys = signed_once.root / ".keys"
    private = [file for file in keys.iterdir() if file.is_file() and b"PRIVATE KEY" in file.read_bytes()]
    assert len(private) == 2
    assert {file.stat().st_mode & 0o777 for file in private} == {0o600}
    assert keys.stat().st_mode & 0o777 == 0o700
    assert {(keys / name).read_text() for name in (".gitignore", ".dvcignore")} == {"*\n"}
    secret = [line for file in private for line in file.read_bytes().splitlines()[1:-1]]
    for file in (file for file in (signed_once.root / "gallery").rglob("*") if file.is_file()):
        content = file.read_bytes()
        assert b"PRIVATE" not in content
        assert not any(line in content for line in secret)


def test_keys_are_made_once(signed: Home) -> None:
    before = files_of(signed.root / ".keys")
    make_keys(signed)
    assert files_of(signed.root / ".keys") == before


def test_another_house_is_told_from_this_one(signed_once: Home, home: Home, tmp_path: Path) -> None:
    house = make_keys(home)
    content = published(signed_once, ".png").read_bytes()
    assert check_credentials(content, home).state == "other"
    assert check_credentials(content).state == "other"
    assert check_credentials(house.sign(without_credentials(content), "x", {}), home).state == "house"


def test_without_the_extra_pictures_are_published_unsigned_and_that_is_said(
    signed: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "is_installed", lambda: False)
    monkeypatch.setattr("artmaster_pipeline.publishing.signing.is_installed", lambda: False)
    said: list[str] = []
    publish_gallery(signed, PAINTER, PROFILE, Progress(said.append))
    assert sum("metadata only" in line and "[credentials]" in line for line in said) == 1
    assert not has_credentials(published(signed, ".png").read_bytes())
    with pytest.raises(MissingRequirement, match="credentials"):
        make_keys(signed)


def test_without_the_extra_credentials_are_said_to_be_unchecked(
    signed_once: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "is_installed", lambda: False)
    found = verify_picture(published(signed_once, ".png"), signed_once)
    assert (found.state, found.credentials) == ("intact", "not checked")
    assert any("pip install" in line for line in found.lines())


# The command


def verify(home: Home, *words: str) -> Any:
    return CliRunner().invoke(app, ["verify", *words, "--home", str(home.root)])


def test_verify_tells_where_a_picture_comes_from(signed_once: Home) -> None:
    (adapter,) = read_manifest(signed_once.adapters(PAINTER) / MANIFEST, Adapter)
    done = verify(signed_once, str(published(signed_once, ".png")))
    assert done.exit_code == 0
    for said in (
        ": intact",
        pictures.AI_GENERATED,
        adapter.id,
        "signed by this house",
        "Mountain",
        f"{PAINTER}/pictures/",
    ):
        assert said in done.output


def test_what_a_picture_says_cannot_steer_the_terminal(signed_once: Home) -> None:
    output = verify(signed_once, str(published(signed_once, ".jpg"))).output
    assert "\\x1b[2J" in output
    assert "[bold]x[/bold]" in output
    assert all(character.isprintable() or character == "\n" for character in output)


def test_verify_as_json_is_json_alone(signed_once: Home, tmp_path: Path) -> None:
    Image.fromarray(painted(1, 30, 20, (0, 0, 0))).save(tmp_path / "other.png")
    done = verify(signed_once, str(published(signed_once, ".png")), str(tmp_path / "other.png"), "--json")
    answers = [Verified.model_validate(answer) for answer in json.loads(done.stdout)]
    assert [answer.state for answer in answers] == ["intact", "unknown"]
    assert done.exit_code == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_verify_fails_where_a_picture_was_changed(signed_once: Home, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"x{suffix}"
    shutil.copy(published(signed_once, suffix), file)
    edit_a_pixel(file)
    done = verify(signed_once, str(file))
    assert done.exit_code == 1
    assert "CHANGED" in done.output


def test_every_picture_of_the_gallery_is_intact(signed_once: Home) -> None:
    files = [f for f in signed_once.gallery(PAINTER).rglob("*") if f.suffix in KINDS and f.parent.name != "works"]
    answers = [verify_picture(file, signed_once) for file in files]
    assert [line for answer in answers if answer.state != "intact" for line in answer.lines()] == []
    assert all(answer.published for answer in answers if answer.says.get("id") != "grid")


# Files that were packed again: the same picture and the same words in other bytes


def png_of(file: Path, change: Callable[[list[Part]], list[Part]]) -> None:
    file.write_bytes(put_together("png", change(list(take_apart(file.read_bytes())))))


def compressed_harder(file: Path) -> None:
    def change(parts: list[Part]) -> list[Part]:
        data = zlib.decompress(b"".join(part.payload for part in parts if part.name == "IDAT"))
        packed = zlib.compress(data, 9)
        others = [part for part in parts if part.name not in ("IDAT", "IEND")]
        return [*others, Part("IDAT", packed[:50]), Part("IDAT", packed[50:]), Part("IEND", b"")]

    png_of(file, change)


def chunks_in_another_order(file: Path) -> None:
    def change(parts: list[Part]) -> list[Part]:
        words = [part for part in parts if part.name in ("iTXt", "tEXt")]
        return [*(part for part in parts if part not in words and part.name != "IEND"), *reversed(words), parts[-1]]

    png_of(file, change)


def chunks_added_that_say_nothing(file: Path) -> None:
    added = [Part("sRGB", b"\0"), Part("gAMA", (45455).to_bytes(4, "big")), Part("pHYs", bytes(8) + b"\1")]
    png_of(file, lambda parts: [parts[0], *added, *parts[1:-1], Part("tIME", bytes(7)), parts[-1]])


def words_compressed(file: Path) -> None:
    def packed(part: Part) -> Part:
        if part.name != "iTXt":
            return part
        key, _, rest = part.payload.partition(b"\0")
        _, _, text = rest[2:].split(b"\0", 2)
        return Part("iTXt", key + b"\0\1\0\0\0" + zlib.compress(text))

    png_of(file, lambda parts: [packed(part) for part in parts])


def interlaced(file: Path) -> None:
    """Written anew by another library, interlaced (PNG's Adam7), with the words as they were."""
    import pyvips

    words = [part for part in take_apart(file.read_bytes()) if part.name in ("iTXt", "tEXt")]
    pixels = pictures.read_rgb(file)
    file.write_bytes(pyvips.Image.new_from_array(pixels).pngsave_buffer(interlace=True, keep="none"))
    png_of(file, lambda parts: [part for part in parts[:-1] if part.name in ("IHDR", "IDAT")] + [*words, parts[-1]])


PACKED = [compressed_harder, chunks_in_another_order, chunks_added_that_say_nothing, words_compressed, interlaced]


@pytest.mark.parametrize("pack", PACKED)
def test_a_published_png_that_was_packed_again_is_the_same_picture(
    signed_once: Home, tmp_path: Path, pack: Callable[[Path], None]
) -> None:
    file = tmp_path / "x.png"
    original = without_credentials(published(signed_once, ".png").read_bytes())
    file.write_bytes(original)
    assert verify_picture(file, signed_once).state == "intact"
    pack(file)
    assert file.read_bytes() != original
    found = verify_picture(file, signed_once)
    assert (found.state, found.findings) == ("repacked", ())
    assert found.lines()[0] == f"{file}: the same picture, packed again"
    assert len(found.published) == 1
    assert found.artworks
    assert verify_picture(file).state in ("intact", "repacked")  # a PNG by itself holds no hash of its bytes


def test_packing_breaks_the_credentials_of_a_signed_picture_and_nothing_else(signed_once: Home, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    shutil.copy(published(signed_once, ".png"), file)
    compressed_harder(file)
    found = verify_picture(file, signed_once)
    assert (found.state, found.credentials) == ("repacked", "broken")
    assert verify_picture(file).state == "changed"  # nothing but the credentials to go by


def packed_as(file: Path, drawn: np.ndarray, **how: bool) -> None:
    """A JPEG of the same quantised coefficients (those of the pixels `drawn`), coded in another way."""
    words = [part for part in take_apart(file.read_bytes()) if part.name in ("APP1", "COM")]
    buffer = io.BytesIO()
    Image.fromarray(drawn).save(buffer, "JPEG", quality=90, subsampling="4:4:4", **how)
    head, *rest = take_apart(buffer.getvalue())
    file.write_bytes(put_together("jpeg", [head, *rest[:-1], *words, rest[-1]]))


@pytest.mark.parametrize("how", [{"optimize": True}, {"optimize": False}, {"progressive": True, "optimize": True}])
def test_a_jpeg_packed_again_without_loss_is_the_same_picture_by_itself_and_by_the_home(
    signed_once: Home, tmp_path: Path, how: dict[str, bool]
) -> None:
    file = tmp_path / "x.jpg"
    original = without_credentials(published(signed_once, ".jpg").read_bytes())
    file.write_bytes(original)
    packed_as(file, pictures.read_rgb(published(signed_once, ".png")), **how)
    assert file.read_bytes() != original
    same_data = data_sha256(file.read_bytes()) == data_sha256(original)  # then only its words are elsewhere in the file
    assert verify_picture(file).state == ("intact" if same_data else "repacked")
    found = verify_picture(file, signed_once)
    assert (found.state, found.findings) == ("repacked", ())


def test_a_webp_written_anew_without_loss_is_the_same_picture(tmp_path: Path) -> None:
    file = written(tmp_path, ".webp")
    words = [part for part in take_apart(file.read_bytes()) if part.name in ("EXIF", "XMP ")]
    with Image.open(file) as image:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "WEBP", lossless=True)
    file.write_bytes(webp_with_words(buffer.getvalue(), *image.size, words))
    assert verify_picture(file).state == "repacked"


def test_a_jpeg_of_an_older_version_is_known_by_the_home_when_packed_again(
    signed_once: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its facts hold no hash of decoded pixels."""
    file = tmp_path / "x.jpg"
    facts = pictures.read_facts(published(signed_once, ".jpg"))
    old = {name: value for name, value in facts.items() if "sha256" not in name}
    monkeypatch.setattr(pictures, "_data_hashes", lambda encoded: {"data_sha256": data_sha256(encoded)})
    pictures.write_jpeg(tmp_path / "kept.jpg", Image.fromarray(painted(3, 48, 32, (40, 60, 90))), old)
    shutil.copy(tmp_path / "kept.jpg", file)
    packed_as(file, painted(3, 48, 32, (40, 60, 90)), progressive=False)
    assert verify_picture(file).findings == ("The picture is not the one that was written.",)
    kept = ("p/x.jpg, version 1", tmp_path / f"{facts['id']}.jpg", "0" * 64)
    (tmp_path / "kept.jpg").rename(kept[1])
    monkeypatch.setattr("artmaster_pipeline.publishing.verify._published_files", lambda home: [kept])
    found = verify_picture(file, signed_once)
    assert (found.state, found.published) == ("repacked", (kept[0],))


def transparent(file: Path) -> None:
    with Image.open(file) as image:
        image.load()
        words = PngImagePlugin.PngInfo()
        for name in ("Software", "Description", "artmaster", "XML:com.adobe.xmp"):
            words.add_itxt(name, str(image.info[name]))
        image.putalpha(Image.new("L", image.size, 3))
        image.save(file, pnginfo=words)


def other_gamma(file: Path) -> None:
    png_of(file, lambda parts: [parts[0], Part("gAMA", (90000).to_bytes(4, "big")), *parts[1:]])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (edit_a_pixel, "The picture is not the one that was written."),
        (transparent, "The picture is not the one that was written."),
        (other_gamma, "How its colours are shown was changed (gAMA)."),
        (edit_the_prompt, "What the file says about itself was changed."),
        (add_words, "What viewers show about the picture (description, XMP, EXIF) was changed or added to."),
    ],
)
def test_each_change_has_a_sentence_of_its_own(tmp_path: Path, change: Any, sentence: str) -> None:
    file = written(tmp_path, ".png")
    change(file)
    found = verify_picture(file)
    assert found.state == "changed"
    assert sentence in found.findings


def test_a_published_picture_whose_words_were_taken_out_is_known_by_its_pixels(
    signed_once: Home, tmp_path: Path
) -> None:
    file = tmp_path / "x.png"
    Image.fromarray(pictures.read_rgb(published(signed_once, ".png"))).save(file)
    assert verify_picture(file).state == "unknown"
    found = verify_picture(file, signed_once)
    assert found.state == "changed"
    assert "was taken out of the file" in found.findings[0]
    assert "The same picture was published as" in found.findings[1]
