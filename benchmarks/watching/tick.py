"""How long a tick of the sensor for new scans takes over many files, beside a plain walk of the same files.

    python benchmarks/watching/tick.py --painters 25 --files 4000

The files are tiny and lie in a temporary folder, which is removed. "first" lists all for the first time; "hashing"
opens every file (in as many ticks as its budget of time needs, summed); "steady" finds nothing changed.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from artmaster_pipeline.orchestration import watching
from artmaster_pipeline.orchestration.resources import DataHome
from artmaster_pipeline.settings import Home


class Sensor:
    """The sensor of a data home: each tick gets the cursor of the one before, and time has passed between them."""

    def __init__(self, home: Home, instance: dg.DagsterInstance) -> None:
        self._home, self._instance, self._cursor, self._ticks = home, instance, None, 0
        clock = time.time_ns
        watching.now_ns = lambda: clock() + self._ticks * 60_000_000_000

    def tick(self) -> dg.SensorResult:
        self._ticks += 1
        resources: Any = {"data_home": DataHome(root=str(self._home.root))}
        with dg.build_sensor_context(instance=self._instance, cursor=self._cursor, resources=resources) as context:
            result = watching.new_scans(context)
        assert isinstance(result, dg.SensorResult)
        self._cursor = result.cursor
        return result


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def walk(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            os.stat(f"{folder}/{name}")  # noqa: PTH116 - the plain way is what is measured


def find(root: Path) -> None:
    import fsspec

    fsspec.filesystem("file").find(str(root), detail=True)


def fill(root: Path, painters: int, files: int) -> None:
    for painter in range(painters):
        folder = root / f"painter-{painter}"
        folder.mkdir(parents=True)
        for number in range(files):
            (folder / f"{number}.jpg").write_bytes(b"%d of %d" % (number, painter))


def measure(name: str, home: Home, root: Path, peer: Callable[[Path], None]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        sensor = Sensor(home, instance)
        first = seconds(sensor.tick)
        hashing, ticks, asked = 0.0, 0, 0
        while not asked:
            began = time.perf_counter()
            asked = len(sensor.tick().run_requests or ())
            hashing, ticks = hashing + time.perf_counter() - began, ticks + 1
        pairs = [(seconds(lambda: peer(root)), seconds(sensor.tick)) for _ in range(5)]
    plain, steady = statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"| {name} | {plain:.2f} | {first:.2f} | {hashing:.2f} ({ticks}) | {steady:.2f} | {ratio:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--painters", type=int, default=25)
    parser.add_argument("--files", type=int, default=4000)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="artmaster-tick-"))
    try:
        home, other = Home(place / "home"), Home(place / "other")
        print("| source | plain listing, s | first, s | hashing, s (ticks) | steady, s | steady : plain |")
        print("|---|---|---|---|---|---|")
        fill(home.root / "scans", given.painters, given.files)
        measure("scans/", home, home.root / "scans", walk)
        (home.root / "scans").rename(place / "out")
        other.root.mkdir()
        (other.root / "deliveries.yaml").write_text(f"- file://{place / 'out'}\n", encoding="utf-8")
        measure("file://", other, place / "out", find)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
