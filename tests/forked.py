"""Programs in processes of their own that need not import the libraries again.

A command of the product spends seconds on importing PyTorch, diffusers, Dagster and DVC, and the tests start hundreds.
The standard library's fork server imports them once for each worker; every program is then a fork of it, with its own
arguments, environment, folder and output files, which can be killed as any other process. What importing does is
tested where a program starts in an interpreter of its own (`test_families`, `test_orchestration`, `test_terminal`).
"""

import ctypes
import gc
import io
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

COMMAND = "from artmaster_pipeline.cli import main; main()"
DVC = "import sys; from dvc.cli import main; sys.exit(main())"
# What a run imports by and by: modules that do nothing but define things, and start no thread.
_IMPORTED = (
    "torch", "torchvision", "scipy.stats", "PIL.Image", "tifffile", "skimage.color", "skimage.measure",
    "skimage.morphology", "ot", "peft", "safetensors.torch", "torch.utils.tensorboard", "torch._dynamo", "spandrel",
    "matplotlib.figure", "matplotlib.backends.backend_agg",
    "transformers.models.clip.modeling_clip", "transformers.models.t5.modeling_t5",
    "diffusers.pipelines.flux.pipeline_flux", "diffusers.loaders.lora_pipeline",
    "dagster", "dagster._core.storage.sqlite_storage", "dagster._core.storage.local_compute_log_manager",
    "dagster._daemon.controller", "dvc.repo", "dvc.repo.commit", "dvc.repo.index", "dvc.repo.status", "dvc.stage.run",
    "scmrepo.git",
    "artmaster_pipeline.cli.app", "artmaster_pipeline.definitions", "artmaster_pipeline.training.trainer",
    "artmaster_pipeline.orchestration.run", "artmaster_pipeline.evaluation", "artmaster_pipeline.publishing",
)  # fmt: skip
_forking = get_context("forkserver")
_forking.set_forkserver_preload(list(_IMPORTED))


@dataclass
class Started:
    """A program that runs."""

    words: list[str]
    process: BaseProcess
    output: Path

    def wait(self) -> subprocess.CompletedProcess[str]:
        """How it ended and what it said, asked once; a signal that ended it is a negative number (as `subprocess`)."""
        self.process.join()
        said = [(self.output / name).read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        shutil.rmtree(self.output)
        assert self.process.exitcode is not None
        return subprocess.CompletedProcess(self.words, self.process.exitcode, *said)


def spare_upkeep() -> None:
    """Have this process keep freed memory, and its collector pass over what was imported so far.

    By itself glibc gives every large block back to the system, which has to clear it when it is next asked for: a sixth
    of the time in which networks look at pictures. What a training sets (`memory.process.give_memory_back`) ends it.
    """
    gc.freeze()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD of malloc.h
        libc.mallopt(-1, 2**30)  # M_TRIM_THRESHOLD


def start(program: str, *words: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> Started:
    """Start the lines of `program` with `sys.argv` = `words`."""
    output = Path(tempfile.mkdtemp())
    given = (program, list(words), dict(os.environ if env is None else env), str(cwd or Path.cwd()), str(output))
    process = _forking.Process(target=_run, args=given)
    process.start()
    return Started(list(words), process, output)


def run(
    program: str, *words: str, env: dict[str, str] | None = None, cwd: Path | None = None, check: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the lines of `program` to their end; with `check`, an exit code other than 0 raises CalledProcessError."""
    done = start(program, *words, env=env, cwd=cwd).wait()
    if check:
        done.check_returncode()
    return done


def artmaster(*words: str, env: dict[str, str] | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The command with these words."""
    return run(COMMAND, "artmaster", *words, env=env, check=check)


def dvc(folder: Path, *words: str, env: dict[str, str] | None = None) -> str:
    """What DVC's own command says in a folder; a failure raises CalledProcessError."""
    environment = {**(env or os.environ), "DVC_NO_ANALYTICS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # of stages
    return run(DVC, "dvc", *words, env=environment, cwd=folder, check=True).stdout


def _run(program: str, words: list[str], environment: dict[str, str], folder: str, output: str) -> None:
    spare_upkeep()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(Path(output) / name, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
        setattr(sys, name, io.TextIOWrapper(io.FileIO(number, "w", closefd=False), encoding, line_buffering=True))
    sys.argv = words
    exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
