"""What lies in an adapter's folder: the names of its files, its record, log, lineage and model card.

One file there is meant for other programs, the folded LoRA. They look for weights by the ends of names, below the
folder too (diffusers on the hub, ComfyUI, Forge), and take the first that they find. So whatever else holds tensors,
the live AdaLoRA and the states of earlier steps, has an ending that none of them takes, though its bytes are
safetensors.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from artmaster_pipeline.files import write_text
from artmaster_pipeline.records import (
    ADAPTER_RECORD,
    Adapter,
)

LORA = "adapter.safetensors"
OWN = ".tensors"  # ends the names of safetensors that are not for other programs
LIVE = "adalora"  # folder of the live AdaLoRA
STATE, CONFIG = f"state{OWN}", "config.json"  # in it: the tensors, and what rebuilds it from them
KEPT = "checkpoints"  # folder of folded adapters of earlier steps
LOG, WATCH = "log.jsonl", "watch.jsonl"
LOSS_PLOT, RANK_PLOT, WATCH_PLOT, SAMPLES_SHEET = "loss.png", "ranks.png", "watch.png", "samples.png"
SAMPLES = "samples"  # folder of pictures drawn at the end of the training
MADE = "made.json"  # the day on which the adapter was made
CARD = "README.md"
_FOREIGN = ".safetensors"  # how STATE and the files of KEPT ended once, where other programs took them


def read_record(folder: Path) -> Adapter | None:
    """The adapter that adapter.json in `folder` describes; None where there is no such file or it is not one."""
    try:
        return Adapter.model_validate_json((folder / ADAPTER_RECORD).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def kept_name(step: int) -> str:
    """Where the folded adapter after an earlier step lies, below the adapter's folder."""
    return f"{KEPT}/step-{step:07d}{OWN}"


def kept_steps(folder: Path) -> tuple[int, ...]:
    """The training steps whose weights are kept beside the adapter, in order."""
    files = (file for file in (folder / KEPT).glob("step-*") if file.suffix in (OWN, _FOREIGN))
    return tuple(sorted({int(file.stem.removeprefix("step-")) for file in files}))


def weights_file(folder: Path, step: int = 0) -> Path:
    """The folded LoRA, or what it was after an earlier step."""
    return _there(folder / kept_name(step)) if step else folder / LORA


def live_state(live_folder: Path) -> Path:
    """The tensors of a live AdaLoRA, in the adapter's folder LIVE."""
    return _there(live_folder / STATE)


def hide_own_tensors(folder: Path) -> None:
    """Rename what an older version left where other programs take it for the adapter."""
    for old in (folder / LIVE / STATE).with_suffix(_FOREIGN), *(folder / KEPT).glob(f"step-*{_FOREIGN}"):
        if old.is_file():
            old.replace(old.with_suffix(OWN))


def _there(file: Path) -> Path:
    """`file`, or the name that an older version gave it where only that is there."""
    old = file.with_suffix(_FOREIGN)
    return old if old.is_file() and not file.is_file() else file


def write_log(file: Path, log: Iterable[dict[str, Any]]) -> None:
    """Write one JSON line per step: step, stage, epoch, lr, rank (in all layers), and the losses.

    `loss` is the velocity's, `orth` the orthogonal loss, `norm` the gradient's before clipping; `constraint` and
    `guidance` are there where the profile asks for them.
    """
    write_text(file, "".join(json.dumps(row, sort_keys=True) + "\n" for row in log))


VALIDATION_LOSS, VALIDATION_PANEL = "validation loss", "validation panel"
_EARLIER_NAMES = {"loss": VALIDATION_LOSS, "panel": VALIDATION_PANEL}


def write_watch(file: Path, losses: Iterable[dict[str, float]], readings: Iterable[dict[str, float]]) -> None:
    """Write one JSON line per loss on the validation works and per reading of the validation panel, with its step."""
    rows = [{"what": VALIDATION_LOSS, **row} for row in losses]
    rows += [{"what": VALIDATION_PANEL, **row} for row in readings]
    write_log(file, sorted(rows, key=lambda row: (row["step"], row["what"])))


def read_watch(file: Path) -> list[dict[str, Any]]:
    """What `write_watch` wrote, also under the names that earlier versions gave the two kinds of lines."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [{**row, "what": _EARLIER_NAMES.get(row["what"], row["what"])} for row in rows]


def made_on(folder: Path) -> str:
    """The day on which the adapter was made, as in ISO 8601; for one that does not say, that of its file."""
    return recorded_day(folder) or datetime.fromtimestamp((folder / LORA).stat().st_mtime, UTC).date().isoformat()


def recorded_day(folder: Path) -> str:
    """The day on which the adapter was made as it was written down then, as in ISO 8601; empty where it was not."""
    try:
        return str(json.loads((folder / MADE).read_text(encoding="utf-8"))["date"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
