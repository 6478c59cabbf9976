"""How much longer `artmaster demo` takes while another process uses a core: the same run alone and beside a busy loop.

    python benchmarks/busy_machine.py [--rounds N] [--stage demo|training] [--steps N]

Each round runs both, one after the other, in processes of their own and, for the demo, in a new data home. The machine
must be otherwise free: what else it does is printed before each run. `--stage training` takes less: `--steps` training
steps on the miniature, the first second of each run not counted. Printed are seconds, and the ratio of the medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY_LOOP = [sys.executable, "-c", "while True: pass"]
TRAINING = """
import sys, time
sys.path.insert(0, {folder!r})
from adalora_step import Learner, TrainingSettings, load_pipeline, load_profile, random_examples, torch
from artmaster_pipeline.threads import giving_way
steps, profile = int(sys.argv[1]), load_profile("miniature")
changes = {{"max_steps": 100 * steps, "stages": ()}}
settings = TrainingSettings.model_validate(profile.training.model_dump() | changes)
pipe, examples = load_pipeline(profile, parts=("transformer",)), random_examples(4)
learner = Learner(pipe.transformer, pipe.scheduler, settings, 100 * steps, torch.float32)
number, began, counted = 0, time.perf_counter(), None
while counted is None or number < counted + steps:
    number += 1
    with giving_way():
        learner.step(number, 0, [examples])
    if counted is None and time.perf_counter() - began > 1.5:
        counted, start = number, time.perf_counter()
print(time.perf_counter() - start)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stage", choices=("demo", "training"), default="demo")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    seconds = training if options.stage == "training" else demo
    found: dict[str, list[float]] = {"alone": [], "busy": []}
    for number in range(1, options.rounds + 1):
        for way, times in found.items():
            load = os.getloadavg()[0]
            with beside_a_busy_loop(way == "busy"):
                times.append(seconds(options.steps))
            print(f"round {number}, {way}: {times[-1]:.1f} s (load before it {load:.1f})", flush=True)
    alone, busy = (statistics.median(times) for times in found.values())
    print(f"\n{len(os.sched_getaffinity(0))} CPUs, {options.stage}, medians of {options.rounds}\n")
    print("| alone, s | beside a busy process, s | ratio |\n|---|---|---|")
    print(f"| {alone:.1f} | {busy:.1f} | {busy / alone:.2f} |")


@contextmanager
def beside_a_busy_loop(wanted: bool) -> Iterator[None]:
    """Another process that uses one core, if `wanted`."""
    if not wanted:
        yield
        return
    with subprocess.Popen(BUSY_LOOP) as busy:
        try:
            yield
        finally:
            busy.kill()


def demo(_steps: int) -> float:
    """Seconds of `artmaster demo` in a new data home."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("artmaster")), "demo", "--home", f"{folder}/home"]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - began


def training(steps: int) -> float:
    """Seconds of so many training steps on the miniature."""
    program = TRAINING.format(folder=str(Path(__file__).parent / "training"))
    done = subprocess.run([sys.executable, "-c", program, str(steps)], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
