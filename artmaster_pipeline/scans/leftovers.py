"""Folders and files that operating systems, storage servers and programs keep for themselves, and nobody scanned.

What lies in a recycle bin was thrown away; thumbnails and sidecars of a server double what is there already.
"""

import re
from fnmatch import translate
from functools import cache

_FOLDERS = (
    # thrown away
    "#recycle", "@recycle", "$recycle.bin", "recycler", "recycled", ".trash*", "trash-[0-9]*", "recycle bin",
    "network trash folder", ".wastebasket",
    # thumbnails and records of storage servers (Synology, QNAP, Netgear, Buffalo) and of snapshots
    "@eadir", "@tmp", "@synoresource", "@sharesnap", "@sharebin", "#snapshot", "@snapshot", "@recently-snapshot",
    "@transcode", "@download", ".@*", "~snapshot", "@gmt-*",
    # operating systems
    "__macosx", "system volume information", "lost+found", "found.[0-9][0-9][0-9]", "$extend", "temporary items",
    "resource.frk", "_gsdata_",
    # previews of photo programs
    "*.lrdata", "*.lrcat-data", "*.cocatalogdb", "captureone", ".thumbnails", "_thumbnails_",
)  # fmt: skip
_FILES = (
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini", "synoindex*", "~$*",
    "zbthumbnail.info", "albumart_{*", "folder.jpg.tmp",
)  # fmt: skip
_OURS = (
    ".not-copied.jsonl", ".deliveries.jsonl", ".partial-*", ".gitignore", ".gitkeep", ".dvcignore", ".gitattributes",
)  # fmt: skip


def is_own_folder(name: str) -> bool:
    """Whether a folder of that name is a system's or a program's own: hidden, a recycle bin, a cache of thumbnails."""
    return _is_hidden(name) or _matches(name, _FOLDERS)


def is_own_file(name: str) -> bool:
    """Whether a file of that name is a system's or a program's own, such as ._picture.jpg or Thumbs.db."""
    return _is_hidden(name) or _matches(name, _FILES)


def is_ours(name: str) -> bool:
    """Whether this program or its versioning keeps a hidden file of that name among the scans."""
    return _matches(name, _OURS)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and not name.startswith("..")


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return _pattern(patterns).match(name.casefold()) is not None


@cache
def _pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))
