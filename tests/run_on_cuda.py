"""`make test-cuda`: every test that needs a CUDA GPU, on a machine with nothing but Python and PyTorch, in ten minutes.

The present PyTorch is used, not the locked one: what else is needed is installed beside it, in an environment of its
own. Each test's outcome stands in a table at the end; one that fails or hangs does not keep the others from running.
Only the standard library until the environment is there.
"""

import importlib.util
import os
import re
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ROOT / ".venv-cuda"
REPORT = ENVIRONMENT.with_suffix(".xml")
MINUTES = 10
OF_TORCH = re.compile(r"(torch|torchvision|triton|nvidia-.*|cuda-.*)==", re.IGNORECASE)
NOT_FOR_THIS = re.compile(
    r"(ncnn|playwright|axe-|moto|flask|s3fs|mypy|ruff|types-|pip-audit|detect-secrets|pre-commit|artmaster)",
    re.IGNORECASE,
)

_LACKING = """
import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try:
        version(name)
    except PackageNotFoundError:
        print(name)
"""


def main() -> int:
    """The exit status: 0 where every test passed."""
    began = time.monotonic()
    if fault := no_gpu():
        print(f"make test-cuda: {fault}")
        return 1
    python = environment()
    if python is None:
        return 1
    left = MINUTES * 60 - (time.monotonic() - began)
    how = ["-q", "--tb=short", "-p", "no:cacheprovider", "-o", "timeout=150"]
    command = [python, "-m", "pytest", "-m", "cuda", *how, *files()]
    try:
        subprocess.run([*command, f"--junitxml={REPORT}"], cwd=ROOT, timeout=left, check=False)
    except subprocess.TimeoutExpired:
        print(f"make test-cuda: not done in {MINUTES} minutes")
        return 1
    return table()


def files() -> list[str]:
    """The files that hold such tests: the others may need packages that are left out here."""
    tests = sorted((ROOT / "tests").glob("test_*.py"))
    return [str(file) for file in tests if "mark.cuda" in file.read_text(encoding="utf-8")]


def no_gpu() -> str:
    """Why nothing can be tested here, in one line; empty where it can."""
    if importlib.util.find_spec("torch") is None:
        return f"{sys.executable} has no PyTorch; install it there first, or try: make PYTHON=/path/to/python test-cuda"
    import torch

    if not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} shows no CUDA GPU here, so there is nothing to test."
    return ""


def environment() -> str | None:
    """The Python that has everything: this one, or that of an environment beside its packages; None where it fails."""
    if not missing(sys.executable):
        return sys.executable
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", ENVIRONMENT], check=True)
    if missing(str(python)):
        locked = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not OF_TORCH.match(line)]
        constraints = ENVIRONMENT / "constraints.txt"
        constraints.write_text("\n".join([*locked, *torch_here()]) + "\n")
        wanted = [line for line in requirements() if not OF_TORCH.match(f"{name_of(line)}==")]
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", constraints, *wanted]
        subprocess.run(install, check=False, timeout=MINUTES * 60)
    if lacking := missing(str(python)):
        print(f"make test-cuda: these packages are neither here nor to be had: {', '.join(lacking)}")
        return None
    return str(python)


def torch_here() -> list[str]:
    """The present versions of PyTorch and torchvision, as constraints."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("torch", "torchvision", "triton"):
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return found


def requirements() -> list[str]:
    """What pyproject.toml asks for, and what these tests are run with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    further = [line for group in ("cuda", "optimizers", "dev") for line in project["optional-dependencies"][group]]
    return [line for line in [*project["dependencies"], *further] if not NOT_FOR_THIS.match(line)]


def name_of(requirement: str) -> str:
    """A requirement's package."""
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]


def missing(python: str) -> list[str]:
    """The packages that a Python lacks, itself or in what it takes over."""
    names = [name_of(line) for line in requirements()]
    done = subprocess.run([python, "-c", _LACKING, *names], capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else names


def table() -> int:
    """Print each test with its outcome and its seconds; gives the exit status."""
    cases = list(ET.parse(REPORT).getroot().iter("testcase")) if REPORT.is_file() else []
    rows = [(outcome(case), float(case.get("time", 0)), case.get("name", "")) for case in cases]
    print("\n| test | outcome | seconds |\n|---|---|---|")
    for said, seconds, name in rows:
        print(f"| {name} | {said} | {seconds:.1f} |")
    failed = [row for row in rows if row[0] not in ("passed", "skipped")]
    print(f"\n{len(rows)} tests, {len(failed)} failed, {os.uname().nodename}")
    return int(bool(failed) or not rows)


def outcome(case: ET.Element) -> str:
    """passed, skipped, failed or broken."""
    found = {"failure": "failed", "error": "broken", "skipped": "skipped"}
    return next((said for tag, said in found.items() if case.find(tag) is not None), "passed")


if __name__ == "__main__":
    sys.exit(main())
