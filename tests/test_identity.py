"""Which base it is: its weights decide, not what lies beside them; hub models stay at one commit of a data home."""

import json
import shutil
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from artmaster_pipeline.base_models import base_commit, base_revision, hub, identity, networks, pins
from artmaster_pipeline.base_models.miniature.model import SHIPPED, build_miniature
from artmaster_pipeline.errors import ArtMasterError, BadInput, MissingRequirement
from artmaster_pipeline.settings import EMBEDDED_READER, EvaluationSettings, Home, Profile, load_profile, profile_names

MINIATURE = load_profile("miniature")
AT_CF077B6 = "500e3ab5ad2ba28baa7590f8b1f1c584fed09eb19963235589fa193f9f3c0e02"
REPOSITORY, FIRST, SECOND = "some-owner/some-flux", "1" * 40, "2" * 40


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    build_miniature(folder, seed=7)
    return folder


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "base"))


def on(base: Path | str, **changes: Any) -> Profile:
    return MINIATURE.model_copy(update={"name": "other", "base_model": str(base), **changes})


def change_json(file: Path, **entries: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def write_adapter(home: Home, base_model: str, base_revision: str) -> None:
    file = home.adapters("painter") / "0123456789abcdef" / "adapter.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"base_model": base_model, "base_revision": base_revision}))


# --- what counts


def test_a_home_of_the_earlier_miniature_does_not_take_this_one_for_it(home: Home) -> None:
    write_adapter(home, "miniature", AT_CF077B6)
    assert (
        base_revision(MINIATURE)
        == base_revision(MINIATURE, home)
        == identity.hash_of_base(hub.Source(str(SHIPPED), ""))
    )
    assert base_revision(MINIATURE) != AT_CF077B6
    assert base_commit(MINIATURE) == ""


def test_a_readme_a_preview_or_another_programs_copy_makes_no_other_base(folder: Path) -> None:
    before = base_revision(on(folder))
    (folder / "README.md").write_text("A new README.")
    (folder / "transformer" / "README.md").write_text("And here.")
    (folder / "tokenizer" / "notes.md").write_text("x")
    (folder / "flux1-other.safetensors").write_bytes(b"for another program")
    (folder / "transformer" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"a variant")
    (folder / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "assets").mkdir()
    (folder / "assets" / "preview.json").write_text("{}")
    assert base_revision(on(folder)) == before


def test_what_a_library_notes_about_itself_makes_no_other_base(folder: Path) -> None:
    before = base_revision(on(folder))
    change_json(folder / "transformer" / "config.json", _diffusers_version="9.9", _name_or_path="elsewhere")
    change_json(folder / "text_encoder" / "config.json", transformers_version="9.9")
    change_json(folder / "model_index.json", _diffusers_version="9.9")
    assert base_revision(on(folder)) == before


@pytest.mark.parametrize(
    ("file", "entries"),
    [
        ("scheduler/scheduler_config.json", {"shift": 2.0}),
        ("vae/config.json", {"scaling_factor": 0.5}),
        ("tokenizer/tokenizer_config.json", {"model_max_length": 5}),
        ("model_index.json", {"_class_name": "FluxImg2ImgPipeline"}),
    ],
)
def test_a_setting_that_decides_pictures_makes_another_base(folder: Path, file: str, entries: dict[str, Any]) -> None:
    before = base_revision(on(folder))
    change_json(folder / file, **entries)
    assert base_revision(on(folder)) != before


def test_shards_count_as_the_index_names_them(folder: Path) -> None:
    part = folder / "transformer"
    weights = part / "diffusion_pytorch_model.safetensors"
    weights.rename(part / "diffusion_pytorch_model-00001-of-00001.safetensors")
    index = part / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "diffusion_pytorch_model-00001-of-00001.safetensors"}}))
    sharded = base_revision(on(folder))
    (part / "diffusion_pytorch_model-00009-of-00009.safetensors").write_bytes(b"left over")
    assert base_revision(on(folder)) == sharded
    (part / "diffusion_pytorch_model-00001-of-00001.safetensors").write_bytes(b"other")
    assert base_revision(on(folder)) != sharded
    (part / "diffusion_pytorch_model-00001-of-00001.safetensors").unlink()
    with pytest.raises(BadInput, match="not whole"):
        base_revision(on(folder))


def test_large_files_are_hashed_once_and_again_when_they_change(
    folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = identity.sha256_of
    monkeypatch.setattr(identity, "sha256_of", lambda file: (read.append(file), real(file))[1])
    before = base_revision(on(folder), home)
    large = [file for file in read if file.stat().st_size >= 2**20]
    assert large
    read.clear()
    identity._read_once.cache_clear()  # another process
    assert base_revision(on(folder), home) == before
    assert not set(read) & set(large)
    with large[0].open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\0" if weights.read(1) != b"\0" else b"\1")
    assert base_revision(on(folder), home) != before


@pytest.mark.parametrize("file", ["vae/config.json", "model_index.json", "transformer/config.json"])
def test_a_base_that_is_not_whole_is_named(folder: Path, file: str) -> None:
    (folder / file).write_text("{")
    with pytest.raises(BadInput, match=r"base.*not whole.*base_model in the profile"):
        base_revision(on(folder))


# --- homes of earlier versions


def test_adapters_of_a_local_folder_made_at_cf077b6_stay_those_of_this_base(folder: Path, home: Home) -> None:
    known_as = identity._content_hash(folder)
    write_adapter(home, str(folder), known_as)
    assert base_revision(on(folder)) != known_as
    assert base_revision(on(folder), home) == known_as
    (folder / "vae" / "README.md").write_text("what the old name would not have survived")
    assert base_revision(on(folder), home) == known_as
    change_json(folder / "vae" / "config.json", scaling_factor=0.5)
    assert base_revision(on(folder), home) == base_revision(on(folder))


def test_an_adapter_of_another_base_gives_this_one_no_name(folder: Path, home: Home) -> None:
    write_adapter(home, "/elsewhere", identity._content_hash(folder))
    assert base_revision(on(folder), home) == base_revision(on(folder))


def test_the_pins_of_the_networks_do_not_change_what_adapters_and_panels_are_called() -> None:
    plain = EvaluationSettings()
    pinned = load_profile("flux-dev").evaluation
    assert pinned.clip_revision and pinned.dinov2_revision
    same = {"batch_size", "style_features", "adherence"}
    assert plain.model_copy(update={n: getattr(pinned, n) for n in same}).deciding() == pinned.deciding()
    assert "clip_revision" not in plain.deciding()
    other = plain.model_copy(update={"clip_revision": "3" * 40})
    assert other.deciding() != plain.deciding()


# --- the hub


class Hub:
    """A hub with one model, whose branch moves, and the cache that its client fills: links to files by their hash."""

    def __init__(self, root: Path, model: Path) -> None:
        self.root, self.head, self.online = root, FIRST, True
        self.commits = {FIRST: model}
        self.asked: list[str] = []

    def download(self, repository: str, name: str, revision: str | None = None) -> str:
        self.asked.append(name)
        commit = revision if revision in self.commits else self.head
        target = self.root / "snapshots" / str(commit) / name
        if not target.exists():
            if not self.online:
                from huggingface_hub.errors import LocalEntryNotFoundError

                raise LocalEntryNotFoundError("not in the cache")
            self._link(self.commits[str(commit)] / name, target)
        return str(target)

    def snapshot(self, repository: str, revision: str | None = None, allow_patterns: Any = None) -> str:
        commit = str(revision if revision in self.commits else self.head)
        for file in self.commits[commit].rglob("*"):
            name = file.relative_to(self.commits[commit]).as_posix()
            if file.is_file() and any(fnmatch(name, pattern) for pattern in allow_patterns):
                self.download(repository, name, commit)
        return str(self.root / "snapshots" / commit)

    def info(self, repository: str, revision: str, files_metadata: bool) -> Any:
        from artmaster_pipeline.files import sha256_of

        if not self.online:
            raise ConnectionError
        model, found = self.commits[revision], []
        for file in (file for file in model.rglob("*") if file.is_file()):
            lfs = SimpleNamespace(sha256=sha256_of(file)) if file.suffix == ".safetensors" else None
            found.append(SimpleNamespace(rfilename=file.relative_to(model).as_posix(), lfs=lfs))
        return SimpleNamespace(siblings=found)

    def _link(self, source: Path, target: Path) -> None:
        from artmaster_pipeline.files import sha256_of

        blob = self.root / "blobs" / sha256_of(source)
        blob.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, blob)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(blob)


@pytest.fixture
def a_hub(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    fake = Hub(tmp_path / "models--some-owner--some-flux", tiny)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fake.download)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fake.snapshot)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda _, *a, **k: fake.info(*a, **k))
    forget()
    return fake


def forget() -> None:
    """What another process would not know."""
    hub._newest_commit.cache_clear()
    identity._hash_on_hub.cache_clear()


def test_a_hub_base_is_known_by_its_weights_without_reading_them(a_hub: Hub, tiny: Path, home: Home) -> None:
    expected = base_revision(on(tiny))
    assert base_revision(on(REPOSITORY), home) == expected  # from what the hub says of its files
    assert not any(name.endswith(".safetensors") for name in a_hub.asked)
    assert base_commit(on(REPOSITORY), home) == FIRST
    a_hub.snapshot(REPOSITORY, FIRST, ["*"])
    a_hub.online = False
    forget()
    assert base_revision(on(REPOSITORY), home) == expected  # from the names that the cache gives them


def test_a_new_readme_on_the_hub_makes_no_adapter_invalid(a_hub: Hub, tiny: Path, tmp_path: Path, home: Home) -> None:
    first = base_revision(on(REPOSITORY), home)
    a_hub.commits[SECOND] = Path(shutil.copytree(tiny, tmp_path / "second"))
    (a_hub.commits[SECOND] / "README.md").write_text("new")
    a_hub.head = SECOND
    forget()
    assert base_commit(on(REPOSITORY), home) == FIRST  # this home began with it
    assert base_revision(on(REPOSITORY), home) == first
    assert base_revision(on(REPOSITORY, revision=SECOND), home) == first


def test_an_old_homes_adapters_of_a_commit_stay_while_the_weights_are_the_same(
    a_hub: Hub, tiny: Path, tmp_path: Path, home: Home
) -> None:
    write_adapter(home, REPOSITORY, FIRST)
    a_hub.commits[SECOND] = Path(shutil.copytree(tiny, tmp_path / "second"))
    (a_hub.commits[SECOND] / "README.md").write_text("new")
    pinned = on(REPOSITORY, revision=SECOND)
    assert base_revision(pinned, home) == FIRST
    a_hub.online = False  # known from now on
    shutil.rmtree(a_hub.root / "snapshots" / FIRST, ignore_errors=True)
    assert base_revision(pinned, home) == FIRST


def test_other_weights_under_a_pinned_name_are_refused(a_hub: Hub, tiny: Path, tmp_path: Path, home: Home) -> None:
    base_revision(on(REPOSITORY), home)
    other = Path(shutil.copytree(tiny, tmp_path / "other"))
    change_json(other / "vae" / "config.json", scaling_factor=0.5)
    a_hub.commits[FIRST] = other  # a cache whose files were exchanged
    shutil.rmtree(a_hub.root)
    forget()
    with pytest.raises(MissingRequirement, match=r"other weights.*settings/models/.*remove that file"):
        base_revision(on(REPOSITORY), home)


def test_a_pin_that_says_nothing_is_named(a_hub: Hub, home: Home) -> None:
    base_revision(on(REPOSITORY), home)
    (file,) = (home.root / "settings" / "models").glob("*.json")
    assert json.loads(file.read_text())["commit"] == FIRST
    file.write_text("{")
    with pytest.raises(BadInput, match=r"does not say which commit.*git"):
        base_commit(on(REPOSITORY), home)


def test_what_is_only_half_in_the_cache_cannot_be_told_apart_offline(a_hub: Hub, home: Home) -> None:
    a_hub.snapshot(REPOSITORY, FIRST, ["model_index.json", "vae/*"])
    a_hub.online = False
    with pytest.raises(ArtMasterError, match="not all are in the cache"):
        base_revision(on(REPOSITORY), home)


def test_offline_the_commits_that_the_cache_holds_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models--some-owner--some-flux" / "snapshots" / FIRST).mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    said = rf"holds files of the commit {FIRST}.*revision"
    with pytest.raises(MissingRequirement, match=said), hub.hub_refusals(REPOSITORY):
        raise ConnectionError


def test_an_adapters_record_names_the_commit_of_a_hub_base_and_is_else_as_before() -> None:
    from small_archive import small_archive

    from artmaster_pipeline.records import Adapter

    with tempfile.TemporaryDirectory() as folder:
        adapter = small_archive(Home(Path(folder)))
    assert "base_commit" not in adapter.model_dump_json()
    named = adapter.model_copy(update={"base_commit": FIRST})
    assert Adapter.model_validate_json(named.model_dump_json()).base_commit == FIRST


def test_a_network_is_pinned_by_its_first_use_in_a_home(a_hub: Hub, tmp_path: Path, home: Home) -> None:
    network = tmp_path / "network"
    network.mkdir()
    (network / "config.json").write_text("{}")
    (network / "model.safetensors").write_bytes(b"weights")
    a_hub.commits = {FIRST: network}
    networks.snapshot("someone/clip", None, ["*"], home)
    assert pins.read(home, "someone/clip", None) == pins.Pin(FIRST, identity.hash_of_network(network))
    a_hub.commits[SECOND], a_hub.head = network, SECOND
    forget()
    assert networks.snapshot("someone/clip", None, ["*"], home).name == FIRST
    other = Path(shutil.copytree(network, tmp_path / "other"))
    (other / "model.safetensors").write_bytes(b"other weights")
    a_hub.commits[FIRST] = other
    shutil.rmtree(a_hub.root)
    with pytest.raises(MissingRequirement, match="other weights"):
        networks.snapshot("someone/clip", None, ["*"], home)


def test_every_hub_model_of_the_shipped_profiles_is_pinned_to_a_commit() -> None:
    for name in profile_names():
        profile = load_profile(name)
        if hub.local_folder(profile.base_model) is None:
            assert profile.revision and len(profile.revision) == 40
        if profile.captioner not in (None, EMBEDDED_READER):
            assert profile.captioner_revision and len(profile.captioner_revision) == 40
        if profile.evaluation.style_features == "hub":
            assert profile.evaluation.clip_revision and profile.evaluation.dinov2_revision
