"""CI's scan for secrets finds a key that is planted, with the very options of the Makefile."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import ROOT
from detect_secrets.pre_commit_hook import main

# Put together here, so that the scan of this repository does not find them.
PLANTED = {
    "a cloud's key": "key = 'AKIA" + "QYLPMN5HHHFPZAM2'",
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "a token of GitHub": "ghp_" + "x7Kq2mZ9vB4nT6wR1yL8cD3fH5jP0sAeGiUo",
    "a password in an address": "postgresql://artmaster:" + "kaleidoscope9@db.example/records",
}


def options() -> list[str]:
    """What `make secrets` gives the scanner beside the files."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (words,) = re.findall(r"detect-secrets-hook (.*)", recipe)
    return shlex.split(words)


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_secret_is_found(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.py"
    file.write_text(f"import os\n{PLANTED[what]}\n", encoding="utf-8")
    assert main([*options(), str(file)]) == 1
    assert "settings.py:2" in capsys.readouterr().out


def test_hashes_and_the_tests_made_up_addresses_are_no_secrets(tmp_path: Path) -> None:
    file = tmp_path / "settings.py"
    file.write_text(f'SHA256 = "{"0f" * 32}"\nADDRESS = "postgresql://me:s3cret@h/db"\n', encoding="utf-8")
    assert main([*options(), str(file)]) == 0
