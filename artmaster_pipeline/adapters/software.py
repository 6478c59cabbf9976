"""Which software makes an adapter: versions of what decides its weights, and the product's own commit."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import artmaster_pipeline

# What decides an adapter's pictures and weights, from decoding to the optimizer, by the names that pip knows.
_LIBRARIES = (
    "torch",
    "diffusers",
    "peft",
    "transformers",
    "accelerate",
    "safetensors",
    "numpy",
    "scipy",
    "pillow",
    "pyvips",
    "spandrel",
)
_CHANGED = "-changed"  # ends a commit whose files were edited


def software() -> dict[str, str]:
    """The versions of Python, the product and the libraries that are installed here, by name."""
    found = {"artmaster-pipeline": artmaster_pipeline.__version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def product_commit() -> str:
    """The commit of the checkout that the product runs from, with `-changed` where its files are not that commit's.

    Empty where it was installed, or git is not there or refuses the folder.
    """
    package = Path(artmaster_pipeline.__file__).parent
    if _git(package, "rev-parse", "--show-prefix") != f"{package.name}/":  # a checkout of something else around it
        return ""
    commit = _git(package, "rev-parse", "HEAD")
    if not commit:
        return ""
    return commit + (_CHANGED if _git(package, "status", "--porcelain", "--", ".") else "")


def _git(folder: Path, *words: str) -> str:
    try:
        asked = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip()
