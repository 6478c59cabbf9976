"""The house's own keys: where they lie, and signatures with them on what is no picture.

A picture is signed by `publishing.credentials`, which makes the keys. Here a text is signed with the same certificate:
ECDSA over P-256 with SHA-256, as hexadecimal digits of the DER form.
"""

import importlib.util
from pathlib import Path
from typing import Any, Literal

from artmaster_pipeline.settings import Home

AUTHORITY, SIGNER = "authority.pem", "signer.pem"
AUTHORITY_KEY, SIGNER_KEY = "authority-key.pem", "signer-key.pem"

# whole: signed by this house; broken: by nobody whom it knows, or something else was signed; not checked: the extra is
# not installed, or the certificates are not there
Signed = Literal["whole", "broken", "not checked"]


def keys_folder(home: Home) -> Path:
    """Where a data home's keys are."""
    return home.root / ".keys"


def can_sign(home: Home) -> bool:
    """Whether a data home has keys and what signing needs is installed."""
    return (keys_folder(home) / SIGNER_KEY).is_file() and importlib.util.find_spec("cryptography") is not None


def sign_text(home: Home, text: str) -> str:
    """The signature of the house's certificate on `text`; empty where it cannot sign or its key cannot be used."""
    if not can_sign(home):
        return ""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key: Any = serialization.load_pem_private_key((keys_folder(home) / SIGNER_KEY).read_bytes(), None)
        signature: bytes = key.sign(text.encode(), ec.ECDSA(SHA256()))
    except (ValueError, TypeError, OSError):  # whoever checks is told that it is not signed
        return ""
    return signature.hex()


def check_text(home: Home, text: str, signature: str) -> Signed:
    """Whether `signature` is the house's on `text`: its certificate is the one that the house's authority issued."""
    folder = keys_folder(home)
    if importlib.util.find_spec("cryptography") is None or not (folder / SIGNER).is_file():
        return "not checked"
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        signer = x509.load_pem_x509_certificate((folder / SIGNER).read_bytes())
        signer.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes()))
        public: Any = signer.public_key()
        public.verify(bytes.fromhex(signature), text.encode(), ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError, TypeError, OSError):
        return "broken"
    return "whole"
