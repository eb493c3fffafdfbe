"""A whole campaign with nothing but a pooler in transaction mode between us and the database, and TLS on the way."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bulkpoint.store.connect import Database
from tests.world.deployment import Deployment, deployment
from tests.world.pooler import pooler
from tests.world.tls import make_certificates

TPS = 400
TARGETS = 1_000


@pytest.fixture
def pooled(postgres_server: Database, reachable_tmp: Path) -> Iterator[str]:
    """The address of an empty database behind a pooler that asks for TLS and for our certificate.

    It names the password file itself: the environment has none.
    """
    certificates = make_certificates(reachable_tmp / "certificates")
    certificates.server[1].chmod(0o644)
    settings = [
        *("client_tls_sslmode = verify-full", f"client_tls_ca_file = {certificates.root}"),
        *(f"client_tls_cert_file = {certificates.server[0]}", f"client_tls_key_file = {certificates.server[1]}"),
    ]
    with psycopg.connect(postgres_server.url, autocommit=True) as server:
        server.execute("create database pooled")
        server.execute("alter database pooled set datestyle = 'German, DMY'")
        with pooler(postgres_server.url, postgres_server.passfile, reachable_tmp / "pooler", *settings) as address:
            query = certificates.query(passfile=postgres_server.passfile)
            yield f"{address.rpartition('/')[0]}/pooled?{query}"
        server.execute("drop database pooled with (force)")


def settlement_of(its: Deployment, file: Path) -> Path:
    """Money's list of what it credited."""
    lines = its.query(b"select member_id, amount, transaction_id from payment")
    text = "".join(f"{member},{amount},{transaction}\n" for member, amount, transaction in lines)
    file.write_text("member_id,amount,transaction_id\n" + text)
    return file


def test_a_campaign_is_migrated_created_paid_and_reconciled_through_a_pooler(
    pooled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSFILE")
    # Waves of a second: many readers, few connections of the pooler's.
    with deployment(
        tmp_path, "--latency-ms", "20", database_url=pooled, BULKPOINT_TPS=TPS, BULKPOINT_WAVE_SECONDS=1
    ) as its:
        its.succeed("db", "migrate")
        campaign = its.create(TARGETS)
        its.succeed("campaign", "preview", campaign)
        ended = its.succeed("campaign", "start", campaign, "--yes")
        assert its.show(campaign)["counts"]["SUCCESS"] == TARGETS
        its.assert_promises_kept(campaign, tps=TPS)
        log = "".join(file.read_text() for file in tmp_path.rglob("*.log"))
        for words in ("already exists", "prepared statement", "at org.", "Exception"):
            assert words not in ended.stderr + log
        settlement = tmp_path / "settlement.csv"
        settlement.write_text(
            "member_id,amount,transaction_id\n"
            + "".join(
                f"{m},{a},{t}\n" for m, a, t in its.query(b"select member_id, amount, transaction_id from payment")
            )
        )
        its.succeed("reconcile", campaign, "--settlement", str(settlement))
        its.succeed("report", campaign, "--format", "csv", "--out", str(tmp_path / "report.csv"))
        its.succeed("payment", "find", "--member", "member-000001")
        its.succeed("audit", "verify")
        its.succeed("check")
        its.succeed("db", "migrate")
