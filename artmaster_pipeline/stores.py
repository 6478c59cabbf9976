"""Stores behind fsspec addresses: which are known, how one is opened, what it says of a file, what is never told.

Credentials stand in no address and no file of the home: each store's own usual places are read.
"""

import base64
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, WrongUse

CLOUD = "Object stores need the extra `cloud`: pip install 'artmaster-pipeline[cloud]'"
_SFTP = "sftp:// needs the extra `sftp`: pip install 'artmaster-pipeline[sftp]'"
_CREDENTIALS = (
    "The usual places of each store are read instead, for example AWS_PROFILE, ~/.aws/credentials, "
    "GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_CONNECTION_STRING, the keys of ssh."
)
_SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSWORD|CREDENTIAL|KEY|CONNECTION_STRING|SAS", re.IGNORECASE)
_NAMED_ACCOUNT = ("sftp", "abfs", "abfss", "az")  # what stands before their @ is a user or a container, no key


def refuse_secrets(url: str, where: str, stays: str) -> None:
    """Raise WrongUse for an address that holds a password, a key or a query; `stays` is where it would be kept."""
    split = urlsplit(url)
    user = split.netloc.rpartition("@")[0]
    named = split.scheme.lower() in _NAMED_ACCOUNT and ":" not in user
    if (user and not named) or split.query or split.fragment:
        raise WrongUse(
            f"{where}: the address holds a user, a password or a query. Leave them out: they would stay in {stays}. "
            f"{_CREDENTIALS}"
        )


def without_secrets(text: str) -> str:
    """`text` with the values of this process's secret environment variables taken out."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 8:
            text = text.replace(value, "***")
    return text


def open_store(url: str) -> tuple[Any, str]:
    """The file system behind an address and the path in it, without a slash at its end. Nothing is cached.

    Raises MissingRequirement, naming the extra, where what speaks to that store is not installed, and ArtMasterError
    where it cannot be opened.
    """
    import fsspec

    try:
        store, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise MissingRequirement(f"{url}: {_SFTP if url.startswith('sftp') else CLOUD}") from error
    except Exception as error:  # each library has its own family of errors, most of them not OSError
        raise unreachable(url, error) from error
    return store, str(root).rstrip("/")


def unreachable(url: str, error: BaseException) -> ArtMasterError:
    """What a store's refusal amounts to for a person, without secrets."""
    if isinstance(error, FileNotFoundError):
        return ArtMasterError(f"{url}: there is nothing of that name. Check the address")
    said = " ".join(without_secrets(f"{type(error).__name__}: {error}").split())[:300]
    return ArtMasterError(f"{url} cannot be read ({said}). Check the address, the network, and the credentials for it")


def md5_of(info: Mapping[str, Any]) -> bytes:
    """The md5 of a file as its store tells it; empty where it tells none."""
    told = (info.get("ETag"), info.get("md5Hash"), (info.get("content_settings") or {}).get("content_md5"))
    return next((md5 for said in told if said and (md5 := read_md5(said))), b"")


def read_md5(said: str | bytes | bytearray) -> bytes:
    """An md5 as stores write it: hexadecimal in quotes (S3), base64 (Google), bytes (Azure). Empty for others."""
    if not isinstance(said, str):
        return bytes(said)
    try:
        return bytes.fromhex(said.strip('"')) if len(said.strip('"')) == 32 else base64.b64decode(said, validate=True)
    except ValueError:
        return b""
