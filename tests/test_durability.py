"""What counts as written is on the disk: bytes before the rename, the rename before anything is deleted."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from artmaster_pipeline import files
from artmaster_pipeline.files import make_folder, move, to_disk, write_text, writing, writing_folder


class Recorder:
    """Stands in for the system's calls and writes down their order; every call is still made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        self._opened: dict[int, str] = {}
        for name in ("replace", "rename", "unlink", "rmdir"):
            monkeypatch.setattr(os, name, self._recording(name, getattr(os, name)))
        monkeypatch.setattr(shutil, "rmtree", self._recording("rmtree", shutil.rmtree))
        open_file, fsync = os.open, os.fsync

        def opening(path: str, *args: int, **kwargs: int) -> int:
            handle = open_file(path, *args, **kwargs)
            self._opened[handle] = os.fspath(path)
            return handle

        def flushing(handle: int) -> None:
            self.calls.append(("fsync", self._opened[handle]))
            fsync(handle)

        monkeypatch.setattr(os, "open", opening)
        monkeypatch.setattr(os, "fsync", flushing)

    def _recording(self, name: str, call):
        def recorded(path, *args, **kwargs):
            self.calls.append((name, os.fspath(args[0] if name in {"replace", "rename"} else path)))
            return call(path, *args, **kwargs)

        return recorded

    def place(self, call: str, ending: str) -> int:
        """When a call on a path with this ending was made last."""
        found = [n for n, (name, path) in enumerate(self.calls) if name == call and path.endswith(ending)]
        assert found, (call, ending, self.calls)
        return found[-1]


def test_a_file_s_bytes_are_flushed_before_its_name_and_its_name_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Recorder(monkeypatch)
    write_text(tmp_path / "new" / "manifest.jsonl", "x\n")
    names = [name for name, path in seen.calls if name in {"fsync", "replace"}]
    assert seen.place("fsync", ".jsonl") < seen.place("replace", "manifest.jsonl") < seen.place("fsync", "/new")
    assert seen.calls[0] == ("fsync", str(tmp_path))  # the new folder's own name
    assert names[-1] == "fsync"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_an_older_folder_is_removed_only_when_the_newer_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    target = tmp_path / "step-1"
    with writing_folder(target) as folder:
        (folder / "old").write_text("old")
    seen = Recorder(monkeypatch)
    with writing_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "state.json").write_text("new")
    flushed = [seen.place("fsync", ending) for ending in ("state.json", "/sub")]
    assert flushed == sorted(flushed)
    named = seen.place("fsync", str(tmp_path))
    removed = min(n for n, (name, path) in enumerate(seen.calls) if name in {"rmtree", "unlink", "rmdir"})
    assert flushed[-1] < named < removed
    assert (target / "sub" / "state.json").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-1"]


def test_an_older_checkpoint_goes_after_the_newer_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from artmaster_pipeline.training import checkpoints

    monkeypatch.setattr(checkpoints, "_state", lambda learner: ({"adapter.0": torch.zeros(2)}, {}))
    for step in (1, 2):
        checkpoints.save_checkpoint(tmp_path, None, step, {})  # type: ignore[arg-type]
    seen = Recorder(monkeypatch)
    checkpoints.save_checkpoint(tmp_path, None, 3, {})  # type: ignore[arg-type]
    assert seen.place("fsync", "state.safetensors") < seen.place("replace", "step-0000003")
    assert seen.place("replace", "step-0000003") < seen.place("fsync", str(tmp_path))
    assert seen.place("fsync", str(tmp_path)) < seen.place("rmtree", "step-0000001")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["step-0000002", "step-0000003"]


def test_what_is_moved_is_at_the_new_place_before_it_is_gone_from_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path / "a" / "x")
    seen = Recorder(monkeypatch)
    move(tmp_path / "a" / "x", tmp_path / "b" / "y")
    assert seen.place("replace", "b/y") < seen.place("fsync", "/b") < seen.place("fsync", "/a")


def test_a_file_system_that_cannot_flush_folders_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_is_an_error_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    write_text(tmp_path / "a", "old")

    def fail(handle: int) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(fault)), writing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    with pytest.raises(OSError, match=os.strerror(fault)):
        to_disk(tmp_path)
