"""The number of threads: what others leave free, never at the price of other bits, and never against the user."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253 - a test may

from artmaster_pipeline import threads
from artmaster_pipeline.base_models import load_pipeline
from artmaster_pipeline.drawing_settings import DrawingSettings
from artmaster_pipeline.generation.sampling import Drawing, draw
from artmaster_pipeline.settings import load_profile
from artmaster_pipeline.threads import ENVIRONMENT, Load, Policy, cpu_quota, threads_beside, usable_cpus


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch):
    """A process that may compute on two threads, as the user's own does; the tests' has one."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "usable_cpus", lambda: {0, 1})
    monkeypatch.setattr(threads, "cpu_quota", lambda: None)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    policy = threads._policy
    policy.cache_clear()
    yield
    policy.cache_clear()
    torch.set_num_threads(before)


class Told(Load):
    """Others that use what the test says; None is "asked a moment ago"."""

    def __init__(self, *answers: float | None) -> None:
        self._answers = list(answers)

    def others(self) -> float | None:
        return self._answers.pop(0)


@pytest.mark.parametrize(
    ("others", "cpus", "most", "wanted"),
    [
        (0.0, 2, 2, 2),
        (0.4, 2, 2, 2),
        (0.66, 2, 2, 1),
        (1.0, 2, 2, 1),
        (2.0, 2, 2, 1),
        (1.0, 8, 8, 7),
        (3.0, 64, 16, 16),
    ],
)
def test_threads_are_as_many_as_others_leave_free_but_one_at_least(others, cpus, most, wanted) -> None:
    assert threads_beside(others, cpus, most) == wanted


def test_the_number_follows_the_load_and_all_are_taken_back(two_threads) -> None:
    policy = Policy(2, Told(1.0, None, 0.1, 1.0))
    counted = []
    for _ in range(3):
        policy.give_way()
        counted.append(torch.get_num_threads())
    assert counted == [1, 1, 2]
    policy.give_way()
    policy.take_all()
    assert torch.get_num_threads() == 2


def test_a_number_that_somebody_else_set_stays(two_threads) -> None:
    policy = Policy(2, Told(1.0))
    torch.set_num_threads(3)
    policy.give_way()
    policy.take_all()
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT"])
def test_a_number_in_the_users_environment_is_obeyed(two_threads, monkeypatch, name) -> None:
    monkeypatch.setenv(name, "2")
    assert threads._policy() is None


def test_where_products_depend_on_the_number_of_threads_it_stays(two_threads, monkeypatch) -> None:
    assert isinstance(threads._policy(), Policy)
    threads._policy.cache_clear()
    monkeypatch.setattr(torch, "equal", lambda *_: False)
    assert threads._policy() is None
    assert torch.get_num_threads() == 2


def test_a_quota_of_the_control_group_bounds_the_threads(two_threads, monkeypatch) -> None:
    monkeypatch.setattr(threads, "cpu_quota", lambda: 1.5)
    assert threads._policy() is None  # one thread: nothing to choose
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("group", "files", "quota"),
    [
        ("0::/a/b", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1.5),
        ("0::/a/b", {"cpu.max": "400000 100000", "a/b/cpu.max": "200000 100000"}, 2.0),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("4:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "50000", "cpu/x/cpu.cfs_period_us": "100000"}, 0.5),
        ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("9:memory:/x", {"cpu.max": "50000 100000"}, None),
    ],
)
def test_the_quota_is_the_least_of_the_groups_above(tmp_path: Path, group: str, files: dict[str, str], quota) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    (tmp_path / "own").write_text(group + "\n")
    assert cpu_quota(tmp_path, tmp_path / "own") == quota
    assert cpu_quota(tmp_path, tmp_path / "nothing here") is None


def test_what_this_process_uses_is_not_what_others_use(monkeypatch) -> None:
    now = {"busy": 100.0, "own": 40.0, "when": 10.0}
    monkeypatch.setattr(Load, "_seconds", lambda self: (now["busy"], now["own"], now["when"]))
    monkeypatch.setattr(threads.time, "monotonic", lambda: now["when"])
    load = Load({0, 1})
    assert load.others() is None
    now |= {"busy": 103.0, "own": 42.0, "when": 12.0}
    assert load.others() == 0.5
    assert load.others() is None
    now |= {"own": 60.0, "when": 14.0}  # a child that ended brings in what it had used
    assert load.others() == 0.0


def test_the_machine_can_be_asked() -> None:
    busy, own, _ = Load(usable_cpus())._seconds()
    assert busy > 0
    assert own > 0


def test_the_environment_says_how_to_wait_unless_the_users_own_does() -> None:
    names = [*ENVIRONMENT]
    program = f"import os, artmaster_pipeline; print(*(os.environ.get(name) for name in {names!r}))"
    bare = {name: value for name, value in os.environ.items() if name not in {*ENVIRONMENT, "OMP_WAIT_POLICY"}}

    def said(**own: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", program], env=bare | own, check=True, capture_output=True, text=True
        )
        return done.stdout.split()

    assert said() == list(ENVIRONMENT.values())
    assert said(MKL_CBWR="COMPATIBLE")[0] == "COMPATIBLE"
    assert said(OMP_WAIT_POLICY="PASSIVE")[1:3] == ["None", "None"]


def test_a_picture_is_the_same_whatever_the_load_was_while_it_was_drawn(two_threads, monkeypatch) -> None:
    pipe = load_pipeline(load_profile("miniature"))
    wish = Drawing("a mountain in mist", 3, 64, 64, 4, DrawingSettings(guidance_scale=1.5), 64)

    def drawn(*others: float) -> np.ndarray:
        policy = Policy(2, Told(*others))
        monkeypatch.setattr(threads, "_policy", lambda: policy)
        return draw(pipe, **vars(wish))

    assert np.array_equal(drawn(0, 0, 0, 0), drawn(1, 0, 1, 1))


def test_a_training_learns_the_same_bits_whatever_the_load_was(
    two_threads, tmp_path: Path, tiny_flux: Path, monkeypatch
) -> None:
    from training_home import TRAINING, tiny_profile, train_in

    from artmaster_pipeline.settings import Home

    class Turns(Policy):
        """One thread, two threads, one thread, ..."""

        def give_way(self) -> None:
            self._wanted = 3 - self._wanted
            self._set(self._wanted)
            numbers.add(torch.get_num_threads())

    numbers: set[int] = set()
    profile = tiny_profile(tiny_flux, training=TRAINING.model_copy(update={"epochs": 1}))
    policy = None
    monkeypatch.setattr(threads, "_policy", lambda: policy)
    steady = train_in(Home(tmp_path / "steady"), profile)
    policy = Turns(2, Told())
    turning = train_in(Home(tmp_path / "turning"), profile)
    assert numbers == {1, 2}
    assert turning.sha256 == steady.sha256
