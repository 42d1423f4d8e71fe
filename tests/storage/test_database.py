"""Database: migrations, transactions and errors."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, func, inspect, select, text
from sqlalchemy.orm import Session

from ponant.storage.database import Database
from ponant.storage.errors import JobStateError, StorageError
from ponant.storage.fine_tuning_jobs import FineTuningJobStore
from ponant.storage.migrate import migrate
from ponant.storage.storage import Storage
from ponant.storage.tables import Base, FileRow, FineTuningJobRow
from tests.missing import skip_or_fail
from tests.soak import SOAK

SERVERS = 4 if SOAK else 2
OPENING = """
import sys
from pathlib import Path
from ponant.storage.storage import Storage
print("ready", flush=True)
sys.stdin.readline()
Storage.open(Path(sys.argv[1]), sys.argv[2] or None).close()
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL test server."""
    initdb_program, pg_ctl = _postgres_program("initdb"), _postgres_program("pg_ctl")
    if not (initdb_program and pg_ctl):
        skip_or_fail("PostgreSQL is not installed")
    # PostgreSQL refuses to run as root, and its user cannot read pytest's folders.
    with tempfile.TemporaryDirectory(prefix="ponant-postgres-") as folder:
        as_user: list[str] = []
        if Path("/proc/self").owner() == "root":
            shutil.chown(folder, "nobody")
            as_user = ["setpriv", "--reuid=nobody", "--clear-groups"]
        initdb = [*as_user, initdb_program, "-D", f"{folder}/data", "-U", "ponant", "-A", "trust"]
        if subprocess.run(initdb, capture_output=True, check=False, cwd=folder).returncode:
            skip_or_fail("PostgreSQL cannot be set up here")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        control = [*as_user, pg_ctl, "-D", f"{folder}/data", "-w"]
        subprocess.run([*control, "-o", options, "-l", f"{folder}/log", "start"], check=True, cwd=folder)
        try:
            yield f"postgresql://ponant@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd=folder)


def _postgres_program(name: str) -> str | None:
    """Return the path of a program of PostgreSQL. Debian keeps them out of PATH, in a folder per version."""
    folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database of each kind."""
    if request.param == "SQLite":
        yield f"sqlite:///{tmp_path}/test.db"
        return
    address: str = request.getfixturevalue("postgres")
    yield address
    database = Database(address)
    database.write_now(lambda session: session.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public")))
    database.close()


def row(id_: str) -> FileRow:
    columns = {column.name: 0 for column in FileRow.__table__.columns if column.name not in ("number", "expires_at")}
    kept = {name: "" for name in columns if FileRow.__table__.columns[name].type.python_type is str}
    return FileRow(**columns | kept | {"id": id_})


def test_migrations_lead_to_the_tables(url: str) -> None:
    Database(url).close()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert {"files", "alembic_version"} <= set(inspect(connection).get_table_names())
    engine.dispose()


def test_servers_that_start_at_once_do_not_disturb_each_other(url: str, tmp_path: Path) -> None:
    address = "" if url.startswith("sqlite") else url
    command = [sys.executable, "-c", OPENING, str(tmp_path / "data"), address]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    servers = [subprocess.Popen(command, **pipes) for _ in range(SERVERS)]
    for server in servers:
        assert server.stdout and server.stdout.readline() == b"ready\n"
    for server in servers:
        assert server.stdin
        server.stdin.write(b"go\n")
        server.stdin.flush()
    errors = [server.communicate()[1].decode() for server in servers]
    assert [server.returncode for server in servers] == [0] * SERVERS, "".join(errors)


async def test_transaction_is_kept_whole_or_not_at_all(url: str) -> None:
    database = Database(url)

    def fail(session: Session) -> None:
        session.add(row("one"))
        session.flush()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(fail)
    count = select(func.count()).select_from(FileRow)
    assert await database.read(lambda session: session.scalar(count)) == 0
    await database.write(lambda session: session.add(row("one")))
    assert await database.read(lambda session: session.scalar(count)) == 1
    database.close()


async def test_transactions_at_once_wait_for_each_other(url: str) -> None:
    databases = [Database(url), Database(url)]
    count = select(func.count()).select_from(FileRow)

    def add(session: Session, id_: str) -> None:
        session.scalar(count)
        session.add(row(id_))

    await asyncio.gather(
        *(databases[n % 2].write(lambda session, n=n: add(session, str(n))) for n in range(40))  # type: ignore[misc]
    )
    assert await databases[0].read(lambda session: session.scalar(count)) == 40
    for database in databases:
        database.close()


async def test_of_those_who_change_a_job_at_once_one_does(url: str) -> None:
    databases = [Database(url), Database(url)]
    stores = [FineTuningJobStore(database) for database in databases]
    for number in range(5):
        name = f"job-{number}"
        lists: dict[str, Any] = {key: [] for key in ("training_files", "validation_files", "integrations")}
        job = FineTuningJobRow(id=name, model="tiny", base="tiny", auto_start=False, hyperparameters={}, **lists)
        job.invalid_sample_skip_percentage = 0.0
        await stores[0].add(job)
        await stores[0].move(name, "VALIDATING", "VALIDATED")

        moves = [stores[n % 2].move(name, "STARTED") for n in range(8)]
        done = await asyncio.gather(*moves, return_exceptions=True)

        assert [type(one) for one in done].count(JobStateError) == 7
        events, _ = await stores[0].history(name)
        assert [event.data["status"] for event in events] == ["STARTED", "VALIDATED", "VALIDATING", "QUEUED"]
    for database in databases:
        database.close()


def test_newer_database_is_refused_and_left_as_it_is(url: str) -> None:
    database = Database(url)
    version = text("UPDATE alembic_version SET version_num = :number")
    newest = database.read_now(lambda session: session.scalar(text("SELECT version_num FROM alembic_version")))
    database.write_now(lambda session: session.execute(version, {"number": "9999"}))
    try:
        with pytest.raises(StorageError, match=r"newer version of Ponant.*9999.*upgrade"):
            Database(url)
    finally:
        database.write_now(lambda session: session.execute(version, {"number": newest}))
        database.close()


def test_interrupted_migration_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def migrate_and_fail(connection: Connection) -> None:
        migrate(connection)
        raise RuntimeError

    monkeypatch.setattr("ponant.storage.database.migrate", migrate_and_fail)
    with pytest.raises(RuntimeError):
        Database(url)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    monkeypatch.undo()
    Database(url).close()


def test_foreign_keys_are_kept_and_readers_do_not_wait_for_writers(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/test.db")

    def look(session: Session) -> list[object]:
        return [session.scalar(text(f"PRAGMA {name}")) for name in ("foreign_keys", "journal_mode")]

    assert database.read_now(look) == [1, "wal"]

    def write_and_look(session: Session) -> int | None:
        session.add(row("one"))
        session.flush()
        return database.read_now(lambda other: other.scalar(select(func.count()).select_from(FileRow)))

    assert database.write_now(write_and_look) == 0
    database.close()


def test_connections_keep_few_pages_of_a_large_database(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/test.db")

    def kept_by_one_of_two(session: Session) -> tuple[object, object]:
        of_other = database.read_now(lambda other: other.scalar(text("PRAGMA cache_size")))
        return session.scalar(text("PRAGMA cache_size")), of_other

    kib = -256  # SQLite's own limit is 2 MiB, so a server would grow by 10 MiB with its database
    assert database.read_now(kept_by_one_of_two) == (kib, kib)
    database.close()


def test_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match="install Ponant with the extra postgres"):
        Database("postgresql://nobody@127.0.0.1:9/none")


@pytest.mark.parametrize("address", ["mysql://a/b", "no address", "postgresql+pg8000x://a/b", ""])
def test_address_of_no_known_database_is_refused(address: str) -> None:
    with pytest.raises(StorageError, match="database_url"):
        Database(address)


def test_database_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ponant.db").write_bytes(b"something else" * 1000)
    with pytest.raises(StorageError, match=r"ponant\.db cannot be used"):
        Storage.open(tmp_path)


def test_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="data_dir"):
        Storage.open(tmp_path / "file" / "data")
