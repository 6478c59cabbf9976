"""Dagster's records in PostgreSQL, where the environment names a database; else they are SQLite files in the home.

The address holds a password, so it is in the environment alone: dagster.yaml names the variable, and no message and no
file shows more of it than the server and the database.
"""

import importlib.util
import os
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy
from sqlalchemy.engine import URL, make_url

from artmaster_pipeline.errors import ArtMasterError, MissingRequirement, WrongUse
from artmaster_pipeline.files import write_text
from artmaster_pipeline.settings import Home

VARIABLE = "ARTMASTER_DAGSTER_POSTGRES"
STORAGE = {"postgres": {"postgres_url": {"env": VARIABLE}}}  # what dagster.yaml says under `storage`
_DRIVERS = ("postgresql", "postgresql+psycopg2")
_OWNER = "artmaster_home"  # in the database: the data home whose records it keeps
_KNOWN = "postgres-database"  # in the home: Dagster's own id of the database that keeps its records
_SECONDS = 10


def chosen_storage(written: Any, file: Path) -> dict[str, Any] | None:
    """What `file` (dagster.yaml), which says `written` of its storage, shall say; None: SQLite.

    Raises WrongUse where the file and the environment contradict each other: records are not begun anew unasked.
    """
    if not os.environ.get(VARIABLE):
        if written == STORAGE:
            raise WrongUse(
                f"{file} keeps Dagster's records in PostgreSQL, and {VARIABLE} is not set: set it to the database's "
                "address, or take `storage` out of that file to begin anew in SQLite files."
            )
        return dict(written) if written else None
    if written and written != STORAGE:
        raise WrongUse(f"{file} names a storage of its own, and {VARIABLE} another: take one of them away.")
    return STORAGE


def check_server() -> None:
    """Connect once. Raises WrongUse for a wrong address, MissingRequirement, ArtMasterError where nobody answers."""
    url = _address()
    # SQLAlchemy 2.1 takes psycopg 3 for what names no driver, and Dagster's storage is written for psycopg2.
    os.environ[VARIABLE] = url.render_as_string(hide_password=False)
    if importlib.util.find_spec("dagster_postgres") is None:
        raise MissingRequirement(
            f"{VARIABLE} is set, and Dagster's storage for it is not installed: "
            "pip install 'artmaster-pipeline[postgres]', or unset it to use SQLite files."
        )
    patience = {} if "connect_timeout" in url.query else {"connect_timeout": _SECONDS}
    try:
        with sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=patience).connect():
            pass
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = _without_secrets(str(getattr(error, "orig", None) or error), url)
        # The cause is not kept: its words may hold the password.
        raise ArtMasterError(
            f"The PostgreSQL database {_shown(url)} of {VARIABLE} cannot be used ({reason}). Start the server, or "
            "mend the address, the user's rights or the password, then run the same command again."
        ) from None


def claim(home: Home, instance: dg.DagsterInstance) -> None:
    """Write down whose records the database keeps. Raises WrongUse where they are another home's, or another project's.

    A home that was moved takes its database along: it knows the database, and its former place is empty.
    """
    storage, known = instance.run_storage, home.dagster / _KNOWN
    owner = storage.get_cursor_values({_OWNER}).get(_OWNER)
    database = storage.get_run_storage_id()  # type: ignore[attr-defined] # every storage in SQL has one
    if owner is None and instance.get_runs_count():
        raise WrongUse(f"{_shown(_address())} keeps the records of another Dagster project. {_way_out(home)}")
    is_own = owner in (None, str(home.root)) or (
        known.is_file() and known.read_text(encoding="utf-8") == database and not Path(str(owner)).is_dir()
    )
    if not is_own:
        raise WrongUse(f"{_shown(_address())} keeps the records of the data home {owner}. {_way_out(home)}")
    if owner != str(home.root):
        storage.set_cursor_values({_OWNER: str(home.root)})
    if not known.is_file() or known.read_text(encoding="utf-8") != database:
        write_text(known, database)


def _way_out(home: Home) -> str:
    return f"Two of them in one would mix their runs: set {VARIABLE} to an empty database for {home.root}."


def _address() -> URL:
    wrong = WrongUse(
        f"{VARIABLE} is not the address of a PostgreSQL database: write postgresql://USER:PASSWORD@HOST:5432/DATABASE, "
        "with what is special in the password as %XX (@ is %40, / is %2F)."
    )
    try:
        url = make_url(os.environ[VARIABLE])
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise wrong from None  # the words of the cause may hold the password
    if url.drivername not in _DRIVERS or not url.database:
        raise wrong
    return url.set(drivername=_DRIVERS[1])


def _shown(url: URL) -> str:
    host = url.host or url.query.get("host") or "of this machine"
    return f"{url.database!r} at {host}{f':{url.port}' if url.port else ''}"


def _without_secrets(text: str, url: URL) -> str:
    secrets = [url.password, url.query.get("password")]
    for secret in secrets:
        if isinstance(secret, str) and secret:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:300].rstrip(".")
