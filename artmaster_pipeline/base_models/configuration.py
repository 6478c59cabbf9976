"""What a base model's parts are built like, from the files on this machine or from what is known of it by name."""

import json
from pathlib import Path
from typing import Any

from artmaster_pipeline.base_models.hub import family_of, local_folder
from artmaster_pipeline.errors import ArtMasterError
from artmaster_pipeline.settings import Profile


def config_of(profile: Profile, part: str) -> dict[str, Any]:
    """The configuration of the base's `transformer` or `vae`."""
    folder = folder_of(profile)
    file = folder / part / "config.json" if folder else None
    if file is not None and file.is_file():
        return {k: v for k, v in json.loads(file.read_text(encoding="utf-8")).items() if not k.startswith("_")}
    if known := family_of(profile).base(profile.base_model).configurations:
        return dict(known[part])
    raise ArtMasterError(
        f"The configuration of {profile.base_model} is not on this machine, so its memory cannot be forecast: "
        "fetch the model first (any training does), then ask again."
    )


def folder_of(profile: Profile) -> Path | None:
    """Where the base model's files are on this machine; None if they are not."""
    from huggingface_hub import try_to_load_from_cache

    if (folder := local_folder(profile.base_model)) is not None:
        return folder
    index = try_to_load_from_cache(profile.base_model, "model_index.json", revision=profile.revision)
    return Path(index).parent if isinstance(index, str) else None
