"""A deployment as its users have it: a database, a sandbox of money, settings and the command line; for bench too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from bulkpoint.embedded.postgres import embedded_postgres
from bulkpoint.store.connect import connect
from tests.world.command_line import JOB_S_MAX, CommandLine
from tests.world.money import Money, sandbox
from tests.world.promises import assert_promises_kept, sends_of
from tests.world.waiting import wait_for

# Money's token where a deployment has one; it must be found in the one file that holds it and nowhere else.
CANARY = "canary-5f2d9c"


@dataclass(kw_only=True)
class Deployment(CommandLine):
    """The command line of a deployment, its money and its database."""

    money: Money
    database_url: str

    def with_settings(self, **changes: object) -> Self:
        """The same deployment, by way of other settings."""
        return replace(self, environment=self.environment | {name: str(value) for name, value in changes.items()})

    def create(self, count: int, kind: str = "member") -> str:
        """A campaign of `count` targets, each with its own amount and reason; returns its id. kind: of their names."""
        targets = self.folder / f"{kind}s-{count}.csv"
        rows = (f"{kind}-{n:06},{100 + n % 900},적립 보상 {n % 7}\n" for n in range(count))
        targets.write_text("member_id,amount,reason\n" + "".join(rows))
        created = self.succeed("campaign", "create", "--name", f"{count} targets", "--targets", str(targets))
        return created.stdout.split()[-1]

    def show(self, campaign: str) -> dict[str, Any]:
        return dict(self.succeed("campaign", "show", campaign, "--json").json)

    def query(self, statement: bytes) -> list[tuple[Any, ...]]:
        with connect(self.database_url) as connection:
            return connection.execute(statement).fetchall()

    def sends(self) -> list[float]:
        """When calls left by their sender's stamp, seconds since 1970."""
        with connect(self.database_url) as connection:
            return sends_of(connection)

    def wait_for(self, statement: bytes, *, seconds: float = JOB_S_MAX) -> None:
        """Until the statement's first value is true."""
        with connect(self.database_url) as connection:
            found = connection.execute
            wait_for(lambda: found(statement).fetchall()[0][0], statement.decode(), seconds=seconds)

    def assert_promises_kept(self, campaign: str, *, tps: int) -> None:
        """Whatever happened: paid once, never over the limit, nothing lost; and people see the sums that are."""
        with connect(self.database_url) as connection:
            assert_promises_kept(connection, self.money, tps=tps)
        shown = self.show(campaign)
        counted = dict(self.query(b"select state::text, count(*) from payment group by 1"))
        assert shown["counts"] == dict.fromkeys(shown["counts"], 0) | counted
        assert sum(shown["counts"].values()) == shown["target_count"]


@contextmanager
def deployment(
    folder: Path, *sandbox_options: str, database_url: str, token: str | None = None, **changes: object
) -> Iterator[Deployment]:
    """A deployment whose files are in this folder.

    token: what money asks for, kept in the folder's `token`. changes: of its settings, by their whole names.
    """
    if token is not None:
        file = folder / "token"
        file.write_text(token)
        file.chmod(0o600)
        sandbox_options = (*sandbox_options, "--token-file", str(file))
        changes |= {"BULKPOINT_MONEY_TOKEN_FILE": file}
    with sandbox(*sandbox_options) as money:
        environment = environment_of(database_url, money, folder, **changes)
        yield Deployment(environment, folder, money=money, database_url=database_url)


@contextmanager
def embedded_deployment(folder: Path, *sandbox_options: str, **settings: object) -> Iterator[Deployment]:
    """A deployment in a new folder, with an embedded PostgreSQL and a ledger on disk; `settings` and nothing else.

    For bench: every process has a Python of its own, and commands may take an hour.
    """
    folder.mkdir()
    folder.chmod(0o711)
    with (
        sandbox("--ledger", str(folder / "ledger"), *sandbox_options, fresh=True) as money,
        embedded_postgres(folder / "data") as database,
    ):
        os.environ["PGPASSFILE"] = str(database.passfile)
        ours = {"BULKPOINT_DATA_DIR": str(folder / "data"), "BULKPOINT_MONEY_URL": money.url}
        environment = os.environ | ours | {name: str(value) for name, value in settings.items()}
        yield Deployment(environment, folder, True, 3_600.0, money=money, database_url=database.url)


def environment_of(database_url: str | None, money: Money, folder: Path, **changes: object) -> dict[str, str]:
    """Settings of a deployment; none of the developer's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPOINT_")}
    ours = {
        "BULKPOINT_DATA_DIR": str(folder / "data"),
        "BULKPOINT_MONEY_URL": money.url,
        "BULKPOINT_PARTITIONS": "2",
        "BULKPOINT_BACKOFF_S": "1",
        "BULKPOINT_PROGRESS_SECONDS": "1",
        "BULKPOINT_MONEY_SETTLE_S": "2",
    }
    if database_url is not None:
        ours["BULKPOINT_DATABASE_URL"] = database_url
    return kept | ours | {name: str(value) for name, value in changes.items()}
