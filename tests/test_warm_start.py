"""A training that starts from the painter's last adapter: what it begins with, what is said of it, what marks it."""

import shutil

import pytest
from sharing import linked_copy
from test_training_adapter import Stopped, StopsAt, files_below
from training_home import PAINTER, TRAINING, fill_home, tiny_profile

from artmaster_pipeline.adapters.finding import read_snapshot
from artmaster_pipeline.adapters.folder import LORA
from artmaster_pipeline.adapters.ledger import read_ledger
from artmaster_pipeline.adapters.tensor_file import read_words
from artmaster_pipeline.adapters.withdrawn import check_not_withdrawn, marks_of
from artmaster_pipeline.dataset import build_training_set
from artmaster_pipeline.errors import BadInput, HoldsWithdrawn
from artmaster_pipeline.files import write_text
from artmaster_pipeline.gallery.provenance import read_provenance
from artmaster_pipeline.lineage import adapter_lineage, artwork_lineage, file_lineage, words
from artmaster_pipeline.orchestration.run import is_behind_the_ledger
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.records import (
    MANIFEST,
    Adapter,
    Crop,
    Outcome,
    Scan,
    TrainingImage,
    read_manifest,
    write_manifest,
)
from artmaster_pipeline.settings import Home, Profile, TrainingSettings
from artmaster_pipeline.stages import Step
from artmaster_pipeline.training import train_adapter
from artmaster_pipeline.training.adalora import injecting as adalora
from artmaster_pipeline.training.adalora.starting import changes_in
from artmaster_pipeline.training.learner import Learner
from artmaster_pipeline.withdrawal import due_for_retraining
from artmaster_pipeline.withdrawals import WithdrawnScan, append, new_line

WARM = TRAINING.model_copy(update={"warm_start": True})


def prediction(transformer):
    """What a tiny transformer answers to fixed noise and words."""
    import torch

    generator = torch.Generator().manual_seed(7)
    config = transformer.config
    given = {
        "hidden_states": torch.randn(1, 16, config.in_channels, generator=generator),
        "encoder_hidden_states": torch.randn(1, 5, config.joint_attention_dim, generator=generator),
        "pooled_projections": torch.randn(1, config.pooled_projection_dim, generator=generator),
        "timestep": torch.tensor([0.5]),
        "guidance": torch.tensor([3.5]),
        "img_ids": torch.randn(16, 3, generator=generator).round(),
        "txt_ids": torch.zeros(5, 3),
    }
    with torch.inference_mode():
        return transformer(**given, return_dict=False)[0]


@pytest.mark.parametrize(
    "further",
    [{}, {"init_r": 6, "lora_alpha": 3}, {"adapter": "lora", "init_r": 8, "target_r": 4}],
    ids=["the same settings", "another budget and scale", "plain LoRA"],
)
def test_the_model_begins_as_the_last_adapter_left_it(trained, tiny_flux, further):
    """The ranks beyond the last adapter's are there and say nothing yet."""
    import torch
    from diffusers import FluxPipeline

    home, _, adapter = trained
    settings = TrainingSettings.model_validate(WARM.model_dump() | further)
    fresh, stock = (FluxPipeline.from_pretrained(tiny_flux) for _ in range(2))
    base = prediction(stock.transformer)
    stock.load_lora_weights(home.root / adapter.path)
    wanted = prediction(stock.transformer)
    changes = changes_in(home.root / adapter.path / LORA)
    learner = Learner(fresh.transformer, fresh.scheduler, settings, 20, torch.float32, start=changes)
    learner.stacks.refresh(adalora.scale(settings))
    assert (prediction(fresh.transformer) - wanted).abs().max() <= 1e-6
    assert (wanted - base).abs().max() > 1e-3
    assert learner.total_rank == len(adapter.ranks) * (settings.init_r if "adapter" not in further else 4)
    a = learner.live()
    if "adapter" not in further:
        begun = {name.removesuffix(".lora_E"): int((e != 0).sum()) for name, e in a.items() if name.endswith("lora_E")}
        assert begun == adapter.ranks
    assert all(bool((tensor != 0).any()) for name, tensor in a.items() if name.endswith("lora_A"))


# --- the stage


def dropped(home: Home, scan_sha256: str) -> None:
    """Let the archive be without a work, as after its file was removed."""
    for folder, kind, name in ((home.register, Scan, "sha256"), (home.crops, Crop, "scan_sha256")):
        manifest = folder(PAINTER) / MANIFEST
        rows = [row for row in read_manifest(manifest, kind) if getattr(row, name) != scan_sha256]
        write_manifest(manifest, rows)


def train(home: Home, profile: Profile, progress: Progress | None = None) -> Outcome[Adapter]:
    build_training_set(home, PAINTER, profile)
    return train_adapter(home, PAINTER, profile, progress or Progress())


class Listens(StopsAt):
    """Keeps what the run says; ends it as soon as a training comes to `step`."""

    def __init__(self, step: int = -1) -> None:
        super().__init__(step)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def withdraw(home: Home, sha256: str, action="withdrawn") -> None:
    append(home, new_line(action, [WithdrawnScan(sha256=sha256)], [PAINTER], "asked by the heirs", "a keeper"))


@pytest.fixture(scope="module")
def before(tmp_path_factory, tiny_flux):
    """A home whose adapter was trained on a work that the archive has not any more, its profile, adapter and work."""
    home, profile = Home(tmp_path_factory.mktemp("before") / "home"), tiny_profile(tiny_flux, training=WARM)
    said = Listens()
    (adapter,) = train(fill_home(home, works=6), profile, said).records
    assert said.said[-1] == "The training starts from the base alone: the painter has no adapter yet."
    cold = train_adapter(home, PAINTER, profile.model_copy(update={"training": TRAINING}), StopsAt(1))
    assert (cold.made, cold.records[0].id) == (0, adapter.id)
    gone = adapter.scan_sha256s[0]
    dropped(home, gone)
    return home, profile, adapter, gone


@pytest.fixture(scope="module")
def warm(before, tmp_path_factory):
    """The same with the adapter that was started from that one, the new adapter in place of the old."""
    home = Home(tmp_path_factory.mktemp("warm") / "home")
    linked_copy(before[0].root, home.root)
    said = Listens()
    (adapter,) = train(home, before[1], said).records
    assert said.said[-1] == f"The training starts from the adapter {before[2].id}, for {adapter.steps} steps."
    return home, before[1], adapter, before[2], before[3]


@pytest.fixture
def own(warm, tmp_path):
    """A copy of `warm` that may be changed."""
    home = Home(tmp_path / "home")
    linked_copy(warm[0].root, home.root)
    return home


def test_a_wish_without_an_adapter_changes_no_id_and_is_written_down(before):
    home, _, adapter, _ = before
    assert adapter.started_from == ""
    assert read_snapshot(home, adapter).training.fresh_because == "the painter has no adapter yet"
    assert not {"warm_start", "warm_start_share"} & TRAINING.model_dump().keys()


def test_an_adapter_that_was_started_from_another_names_it_and_what_it_inherited(warm):
    home, _, adapter, parent, gone = warm
    assert adapter.started_from == parent.id
    assert adapter.steps == round(steps_of(adapter, TRAINING) / 2)
    assert gone not in adapter.scan_sha256s
    snapshot = read_snapshot(home, adapter)
    assert [(each.id, each.step, each.shown > 0) for each in snapshot.ancestors] == [(parent.id, parent.step, True)]
    assert {each.scan.sha256 for each in snapshot.inherited} == set(parent.scan_sha256s)
    assert all(each.shown[parent.id] > 0 for each in snapshot.inherited)
    words = read_words(home.root / adapter.path / LORA)
    assert words["artmaster.started_from"] == parent.id
    assert [(work.sha256, work.through) for work in read_ledger(words).works if work.through] == [(gone, parent.id)]
    card = (home.root / adapter.path / "README.md").read_text()
    assert f"started from the adapter `{parent.id}`" in card
    assert "1\nfurther scans" in card


def steps_of(adapter: Adapter, settings: TrainingSettings) -> int:
    from artmaster_pipeline.training import steps_for

    return steps_for([len(adapter.scan_sha256s)] * 2, settings)  # each work has a crop of each size


def test_lineage_answers_with_parents_and_inherited_works_though_the_parent_is_gone(own, warm):
    _, _, adapter, parent, gone = warm
    shutil.rmtree(own.root / parent.path)
    answer = adapter_lineage(own, adapter.id)
    assert [each.id for each in answer.ancestors] == [parent.id]
    assert [(each.scan.sha256, each.through) for each in answer.inherited] == [(gone, parent.id)]
    facts, tables = dict(words.adapter_facts(answer)), dict(words.adapter_tables(answer))
    assert facts["Starts from"].startswith(f"the adapter {parent.id} (step {parent.step})")
    ((row,),) = (tables["Inherited artworks"],)
    assert (row["through"], row["sha256"]) == (parent.id, gone[:16])
    assert f"times by {parent.id} (" in row["shown"]
    (use,) = artwork_lineage(own, gone).adapters
    assert (use.adapter_id, use.part, use.through) == (adapter.id, "train", parent.id)
    assert file_lineage(own.root / adapter.path / LORA, own).agrees is True
    assert set(read_provenance(own, adapter).trained_on) >= {answer.inherited[0].scan}


def test_a_run_without_news_makes_nothing_and_a_fresh_one_is_another_adapter(own, warm):
    _, profile, adapter, parent, _ = warm
    files = files_below(own.adapters(PAINTER))
    again = train(own, profile, StopsAt(1))
    assert (again.made, again.records) == (0, (adapter,))
    assert files_below(own.adapters(PAINTER)) == files
    cold = profile.model_copy(update={"training": TRAINING})
    with pytest.raises(Stopped):
        train(own, cold, StopsAt(1))
    begun = {folder.name for folder in (own.cache / "tensorboard" / PAINTER).iterdir()}
    assert len(begun - {adapter.id, parent.id}) == 1


def test_a_warm_training_that_was_stopped_goes_on_to_the_same_bytes(before, warm, tmp_path):
    home = Home(tmp_path / "home")
    linked_copy(before[0].root, home.root)
    with pytest.raises(Stopped):
        train(home, before[1], StopsAt(6))
    train(home, before[1])
    assert files_below(home.adapters(PAINTER)) == files_below(warm[0].adapters(PAINTER))


def test_a_withdrawn_work_marks_what_was_started_from_it_and_nothing_begins_with_that(own, warm):
    _, profile, adapter, parent, gone = warm
    shutil.rmtree(own.root / parent.path)
    withdraw(own, gone)
    (mark,) = marks_of(own, adapter)
    assert (mark.part, mark.through) == ("train", parent.id)
    with pytest.raises(
        HoldsWithdrawn, match=f"was started from the adapter {parent.id}, which was trained on the work"
    ):
        check_not_withdrawn(own, adapter)
    assert due_for_retraining(own).keys() == {PAINTER}
    assert is_behind_the_ledger(own, Step("style_adapter", PAINTER))  # though none of its inputs has changed
    said = Listens(1)
    with pytest.raises(Stopped):
        train(own, profile, said)
    assert f"the adapter {parent.id}, from which the last one started, is gone" in said.said[-1]
    withdraw(own, gone, "restored")
    assert marks_of(own, adapter) == ()
    assert not is_behind_the_ledger(own, Step("style_adapter", PAINTER))
    assert train(own, profile, StopsAt(1)).made == 0


def why_fresh(home: Home, profile: Profile) -> str:
    said = Listens(1)
    with pytest.raises(Stopped):
        train(home, profile, said)
    assert "starts from the base alone: " in said.said[-1]
    return said.said[-1]


def test_why_nothing_is_begun_with_is_said(own, warm):
    _, profile, adapter, _, gone = warm
    caption = profile.model_copy(update={"training": WARM.model_copy(update={"learning_rate": 5e-3})})
    narrow = profile.model_copy(update={"training": WARM.model_copy(update={"init_r": 2, "target_r": 1})})
    assert "ranks in a layer, and this training gives a layer 2" in why_fresh(own, narrow)
    of = {"stages": ({"name": "one", "share": 1.0, "layers": ("double",)},)}
    double = TrainingSettings.model_validate(WARM.model_dump() | of)
    some = profile.model_copy(update={"training": double})
    assert "layers that this training does not learn" in why_fresh(own, some)
    withdraw(own, gone)
    assert f"which was trained on the work {gone[:16]}" in why_fresh(own, caption)
    withdraw(own, gone, "restored")
    (own.root / adapter.path / "lineage.json").write_text("{}")
    assert "is not whole" in why_fresh(own, caption)
    with pytest.raises(BadInput):
        read_snapshot(own, adapter)


def test_a_start_that_has_learnt_what_judges_now_is_refused(own, warm):
    _, profile, adapter, _, _ = warm
    rows = read_manifest(own.training_set(PAINTER) / MANIFEST, TrainingImage)
    judge = next(row for row in rows if row.split == "held_out")
    snapshot = read_snapshot(own, adapter)
    for learnt in (judge.scan_sha256, "another"):
        inherited = [each.model_copy(update={"work": judge.work}) for each in snapshot.inherited[:1]]
        inherited = [
            each.model_copy(update={"scan": each.scan.model_copy(update={"sha256": learnt})}) for each in inherited
        ]
        facts = snapshot.training.model_copy(update={"inherited": tuple(inherited)})
        file = own.root / adapter.path / "lineage.json"
        write_text(file, snapshot.model_copy(update={"training": facts}).model_dump_json())
        caption = profile.model_copy(update={"training": WARM.model_copy(update={"learning_rate": 5e-3})})
        assert f"has learnt the work {judge.scan_sha256[:16]}" in why_fresh(own, caption)
