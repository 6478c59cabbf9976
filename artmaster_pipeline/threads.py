"""How many threads a process of ours computes with on the CPU, so that it stays quick beside other processes.

OpenMP's threads meet after every operation, of which a training step has thousands. Where another process uses a core,
the thread that shares it arrives late every time, and the others spin meanwhile: two threads on two cores then take
longer than one. So loops whose result does not depend on the number of threads, bit by bit, use as many threads as
there are CPUs that nobody else uses, and look again every second (`give_way`, `take_all`). All other work keeps the
number that the libraries choose. Whoever set a number, in the environment or by `torch.set_num_threads`, is obeyed.

What makes matrix products independent of the number of threads (`MKL_CBWR`), and how long a waiting thread spins before
it sleeps, is read when the libraries are loaded: `ENVIRONMENT` is set by importing the package.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "MKL_CBWR": "AUTO,STRICT",  # oneMKL, "Conditional Numerical Reproducibility": one result for any number of threads
    "GOMP_SPINCOUNT": "20000",  # libgomp: turns instead of 300,000; the next operation mostly comes sooner than that
    "KMP_BLOCKTIME": "1",  # LLVM's and Intel's OpenMP: milliseconds, instead of 200
    "OPENBLAS_THREAD_TIMEOUT": "20",  # OpenBLAS: 2^20 cycles instead of 2^26; with fewer, small matrices are slow
}
_SAID_BY_USER = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")  # in psutil's words; `steal` is another guest's
_EVERY = 1.0  # seconds between two looks at the machine


def set_environment() -> None:
    """Set `ENVIRONMENT` for this process and those it starts, but for what the user's own says."""
    waits = {"GOMP_SPINCOUNT", "KMP_BLOCKTIME"} if "OMP_WAIT_POLICY" in os.environ else set()
    for name, value in ENVIRONMENT.items():
        if name not in waits:
            os.environ.setdefault(name, value)


def give_way() -> None:
    """Let torch compute with as many threads as there are CPUs that nobody else uses.

    Only for what gives the same bits with any number of threads; `take_all` ends it. Does nothing where the user set a
    number, and on CUDA, where the CPU only hands out the work.
    """
    if (policy := _policy()) is not None:
        policy.give_way()


def take_all() -> None:
    """Let torch compute with the number of threads that it began with."""
    if (policy := _policy()) is not None:
        policy.take_all()


@contextmanager
def giving_way() -> Iterator[None]:
    """`give_way` before and `take_all` after."""
    give_way()
    try:
        yield
    finally:
        take_all()


def denoising(number_of_steps: int) -> Any:
    """A `callback_on_step_end` for diffusers: the transformer's steps give way, what decodes the picture does not."""

    def after(_pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step + 1 < number_of_steps:
            give_way()
        else:
            take_all()
        return tensors

    return after


class Load:
    """What other processes use of some CPUs."""

    def __init__(self, cpus: set[int]) -> None:
        self._cpus = cpus
        self._busy, self._own, self._when = self._seconds()

    def others(self) -> float | None:
        """CPUs that others used on average since the last answer (seconds per second); None within a second of it."""
        if time.monotonic() - self._when < _EVERY:
            return None
        busy, own, when = self._seconds()
        passed = when - self._when
        others = (busy - self._busy - (own - self._own)) / passed
        self._busy, self._own, self._when = busy, own, when
        return max(0.0, others)

    def _seconds(self) -> tuple[float, float, float]:
        """CPU seconds of the machine and of this process, and the time."""
        import psutil

        each = psutil.cpu_times(percpu=True)
        busy = 0.0
        for cpu in self._cpus:
            if cpu < len(each):
                busy += sum(getattr(each[cpu], kind, 0.0) for kind in _BUSY)
        own = os.times()
        return busy, own.user + own.system + own.children_user + own.children_system, time.monotonic()


class Policy:
    """The number of threads of this process; `most` is what torch began with."""

    def __init__(self, most: int, load: Load) -> None:
        self._most, self._now, self._wanted = most, most, most
        self._load = load

    def give_way(self) -> None:
        if (others := self._load.others()) is not None:
            self._wanted = threads_beside(others, len(usable_cpus()), self._most)
        self._set(self._wanted)

    def take_all(self) -> None:
        self._set(self._most)

    def _set(self, number: int) -> None:
        import torch

        if number != self._now and torch.get_num_threads() == self._now:  # otherwise somebody else set one
            torch.set_num_threads(number)
            self._now = number


def threads_beside(others: float, cpus: int, most: int) -> int:
    """How many threads to use where others use `others` of `cpus` CPUs: those that are left, but one at least."""
    return max(1, min(most, cpus - round(others)))


def usable_cpus() -> set[int]:
    """The CPUs that this process may run on."""
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # macOS
        return set(range(os.cpu_count() or 1))


def cpu_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """How many CPUs' worth of time this process's control group may use; None where there is no limit.

    Linux, "Control Group v2", `cpu.max`, and v1, `cpu.cfs_quota_us`: the least of the group and all it lies in.
    """
    limits = []
    for line in _lines(own):
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            base = root if not controllers else root / "cpu"
            folder = base / path.strip("/")
            limits += [_limit(place) for place in (folder, *folder.parents) if place.is_relative_to(base)]
    return min((limit for limit in limits if limit), default=None)


def _limit(folder: Path) -> float | None:
    """The limit of one control group, as CPUs."""
    if words := " ".join(_lines(folder / "cpu.max")).split():
        quota, period = words
    else:
        quota = "".join(_lines(folder / "cpu.cfs_quota_us"))
        period = "".join(_lines(folder / "cpu.cfs_period_us"))
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


@cache
def _policy() -> Policy | None:
    """The policy of this process; None where the number of threads is not ours to choose."""
    import torch

    if torch.cuda.is_initialized() or any(name in os.environ for name in _SAID_BY_USER):
        return None
    most = torch.get_num_threads()
    if (quota := cpu_quota()) is not None and quota < most:
        most = max(1, int(quota))
        torch.set_num_threads(most)
    return Policy(most, Load(usable_cpus())) if most > 1 and _same_bits(most) else None


def _same_bits(most: int) -> bool:
    """Whether matrix products have the same bits with one thread as with `most`, on this machine's library."""
    import torch

    chance = torch.Generator().manual_seed(0)
    shapes = ((448, 128, 512), (64, 3072, 64), (1024, 512, 128), (7, 128, 768))
    try:
        for rows, inner, columns in shapes:
            left, right = torch.randn(rows, inner, generator=chance), torch.randn(inner, columns, generator=chance)
            found = []
            for number in (1, most):
                torch.set_num_threads(number)
                found.append(left @ right)
            if not torch.equal(*found):
                return False
    finally:
        torch.set_num_threads(most)
    return True
