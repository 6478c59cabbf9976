"""A journal: records appended one by one while a stage works, so that a killed run loses nothing it finished."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from pydantic import ValidationError

from artmaster_pipeline.files import write_text
from artmaster_pipeline.records import Record

R = TypeVar("R", bound=Record)


class Journal(Generic[R]):
    """Records of one kind in a JSON-lines file below the data home's cache. A half-written last line is passed over."""

    def __init__(self, path: Path, kind: type[R]) -> None:
        self._path = path
        self._kind = kind

    def __enter__(self) -> "Journal[R]":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
        self._file = self._path.open("a", encoding="utf-8", newline="\n")
        if torn:
            self._file.write("\n")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, record: R) -> None:
        """Append `record` and hand it to the operating system."""
        self._file.write(_line(record))
        self._file.flush()

    def read(self) -> tuple[R, ...]:
        """The records that were written whole, in the order of writing; empty where there is no journal."""
        if not self._path.exists():
            return ()
        records = []
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                records.append(self._kind.model_validate_json(line))
            except ValidationError:
                continue
        return tuple(records)

    def replace(self, records: Iterable[R]) -> None:
        """Keep exactly `records`."""
        write_text(self._path, "".join(_line(record) for record in records))

    def clear(self) -> None:
        """Forget everything: the manifest holds it now."""
        self._path.unlink(missing_ok=True)


def _line(record: Record) -> str:
    return json.dumps(record.model_dump(mode="json"), ensure_ascii=False, sort_keys=True) + "\n"
