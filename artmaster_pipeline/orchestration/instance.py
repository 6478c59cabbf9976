"""Dagster's storage for a data home: where it is, how it is set up, and what a killed run left behind in it."""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from filelock import FileLock, Timeout

from artmaster_pipeline.files import write_text
from artmaster_pipeline.orchestration import postgres
from artmaster_pipeline.settings import Home
from artmaster_pipeline.yaml_text import read_yaml

_FORTNIGHT = 14 * 24 * 3600  # seconds; see docs/automation.md for what takes how long
_SETTINGS: dict[str, Any] = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},  # the dialog that asks for an e-mail address
    # One GPU step and one DVC step at a time; a person with two GPUs raises the limit of the pool `gpu` in the UI.
    "concurrency": {"pools": {"default_limit": 1, "granularity": "op"}},
    "run_monitoring": {"enabled": True, "free_slots_after_run_end_seconds": 30, "max_runtime_seconds": _FORTNIGHT},
    "freshness": {"enabled": True},
}
# What earlier versions wrote: a file that still says just this was changed by nobody, and is written anew.
_FORMER_SETTINGS = {name: value for name, value in _SETTINGS.items() if name != "freshness"} | {
    "run_monitoring": {"enabled": True, "free_slots_after_run_end_seconds": 30}
}


def prepare_dagster_home(home: Home) -> None:
    """Make the data home's Dagster storage and point this process (and its children) to it."""
    file = home.dagster / "dagster.yaml"
    settings = (read_yaml(file.read_text(encoding="utf-8")) or {}) if file.exists() else {}
    chosen = postgres.chosen_storage(settings.get("storage"), file)
    kept = {name: value for name, value in settings.items() if name != "storage"}
    wanted = (_SETTINGS if kept in ({}, _FORMER_SETTINGS) else kept) | ({"storage": chosen} if chosen else {})
    if wanted != settings:
        write_text(file, yaml.safe_dump(wanted, sort_keys=False))
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    os.environ["ARTMASTER_HOME"] = str(home.root)


def open_instance(home: Home) -> dg.DagsterInstance:
    """The data home's Dagster instance.

    Raises ArtMasterError where it is a PostgreSQL database that does not answer, or keeps another home's records.
    """
    prepare_dagster_home(home)
    if not os.environ.get(postgres.VARIABLE):
        return dg.DagsterInstance.from_config(str(home.dagster))
    postgres.check_server()
    instance = dg.DagsterInstance.from_config(str(home.dagster))
    try:
        postgres.claim(home, instance)
    except BaseException:
        instance.dispose()
        raise
    return instance


@contextmanager
def alive(home: Home, instance: dg.DagsterInstance, run_id: str, *, until_exit: bool = False) -> Iterator[None]:
    """Hold a lock for as long as this process works on a run, after ending the runs whose process is gone.

    The operating system drops the lock with the process, so a lock that can be taken is the proof of a kill. A killed
    run would otherwise stay 'started' for ever and keep its place in the pools. `until_exit` keeps the lock to the end
    of the process: Dagster marks a run as finished only after it has let go of its resources.
    """
    if run_id in _HELD:
        yield
        return
    with _registered(home) as folder:
        _end_killed_runs(instance, folder)
        lock = FileLock(folder / f"{run_id}.lock")
        lock.acquire()
        _HELD[run_id] = lock
    try:
        yield
    finally:
        if until_exit:
            atexit.register(_let_go, home, run_id)
        else:
            _let_go(home, run_id)


def end_killed_runs(home: Home, instance: dg.DagsterInstance) -> None:
    """End the runs whose process is gone, so that they no longer hold places in the pools."""
    with _registered(home) as folder:
        _end_killed_runs(instance, folder)


_HELD: dict[str, FileLock] = {}  # the runs that this process works on


@contextmanager
def _registered(home: Home) -> Iterator[Path]:
    """The folder of the runs' locks, held: nobody looks between the making of a lock's file and its locking."""
    folder = home.cache / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(home.cache / "runs.lock"):
        yield folder


def _let_go(home: Home, run_id: str) -> None:
    lock = _HELD.pop(run_id, None)
    if lock is None or not home.cache.is_dir():  # a home that was removed meanwhile
        return
    with _registered(home) as folder:
        (folder / f"{run_id}.lock").unlink(missing_ok=True)
        lock.release()


def _end_killed_runs(instance: dg.DagsterInstance, folder: Path) -> None:
    for file in sorted(folder.glob("*.lock")):
        if file.stem not in _HELD:
            _end_if_killed(instance, file)


def _end_if_killed(instance: dg.DagsterInstance, file: Path) -> None:
    lock, run_id = FileLock(file), file.stem
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return
    try:
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "The process of this run was killed. Finished work is kept; run it again.")
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        file.unlink(missing_ok=True)
    finally:
        lock.release()
