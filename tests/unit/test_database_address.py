"""One address for two drivers: what libpq makes of it, and what Spark's JDBC reader is given."""

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from bulkpoint.errors import BulkpointError, UsageError
from bulkpoint.store.connect import connect
from bulkpoint.store.database_address import explicit, passfile_of, resolved, where
from bulkpoint.store.jdbc import check_jdbc_address, jdbc_url, reader_url
from tests.world.refusals import refused
from tests.world.tls import Algorithm, make_key

MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


@pytest.fixture(autouse=True)
def _home_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the developer's PG... environment nor certificates in their home."""
    for name in ("PGPASSFILE", "PGHOST", "PGUSER", "PGSERVICE", "PGPASSWORD", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    file = tmp_path / "root 인증서.pem"
    file.write_text("certificates")
    return file


def options(url: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(url[5:]).query, keep_blank_values=True).items()}


def test_hosts_users_and_names_of_any_letters_arrive_whole() -> None:
    url = jdbc_url("postgresql://%EA%B9%80%40b@[2001:db8::1]:6432/d%20b%2F%2B%EA%B0%80")
    assert urlsplit(url[5:]).netloc == "[2001:db8::1]:6432"
    assert unquote(urlsplit(url[5:]).path[1:]) == "d b/+가"
    assert options(url)["user"] == "김@b"


def test_all_hosts_of_an_address_are_passed_on_and_shown() -> None:
    address = "postgresql://pay@a:1,b:2/db?target_session_attrs=read-write"
    assert urlsplit(jdbc_url(address)[5:]).netloc == "a:1,b:2"
    assert options(jdbc_url(address))["targetServerType"] == "primary"
    assert where(address) == "a:1,b:2/db"
    assert where("postgresql://a,b:2/db") == "a:5432,b:2/db"
    assert where("host=a,b port=7 dbname=db") == "a:7,b:7/db"
    assert urlsplit(jdbc_url(address, at=("b", "2"))[5:]).netloc == "b:2"


def test_one_host_is_not_asked_where_it_is() -> None:
    assert urlsplit(reader_url("postgresql://pay@192.0.2.1/db")[5:]).netloc == "192.0.2.1:5432"


def test_ranges_are_read_without_named_statements_so_that_a_transaction_pooler_may_stand_between() -> None:
    assert options(jdbc_url("postgresql://h/db"))["prepareThreshold"] == "0"


@pytest.mark.parametrize("mode", MODES)
def test_a_tls_mode_means_the_same_to_both(mode: str, root: Path) -> None:
    given = options(jdbc_url(f"postgresql://h/db?sslmode={mode}&sslrootcert={root}".replace(" ", "%20")))
    # libpq, unlike JDBC, checks the certificate in mode `require` too where it has a root
    assert given["sslmode"] == ("verify-ca" if mode == "require" else mode)
    assert given.get("sslrootcert") == (str(root) if mode.startswith("verify") or mode == "require" else None)


def test_certificates_in_libpqs_own_places_are_named_for_jdbc_too(tmp_path: Path) -> None:
    folder = tmp_path / ".postgresql"
    folder.mkdir()
    (folder / "root.crt").write_text("certificates")
    (folder / "postgresql.crt").write_text("certificate")
    make_key(folder / "postgresql.key", "ED25519")
    given = options(jdbc_url("postgresql://h/db?sslmode=verify-full"))
    assert given["sslrootcert"] == str(folder / "root.crt")
    assert (given["sslcert"], given["sslkey"]) == (str(folder / "postgresql.crt"), str(folder / "postgresql.key"))


def test_the_systems_certificates_are_openssls_or_javas(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "postgresql://h/db?sslrootcert=system"
    given = options(jdbc_url(address))
    assert (given["sslmode"], given["sslfactory"]) == ("verify-full", "org.postgresql.ssl.DefaultJavaSSLFactory")
    monkeypatch.setenv("SSL_CERT_FILE", str(root))
    assert options(jdbc_url(address))["sslrootcert"] == str(root)


@pytest.mark.parametrize("algorithm", ["RSA", "EC"])
def test_jdbc_learns_the_algorithm_of_a_key_from_the_key(algorithm: Algorithm, tmp_path: Path) -> None:
    file = make_key(tmp_path / "client.key", algorithm)
    given = options(jdbc_url(f"postgresql://h/db?sslcert={file}&sslkey={file}"))
    assert (given["sslkey"], given["pemKeyAlgorithm"]) == (str(file), algorithm)


@pytest.mark.parametrize("algorithm", ["RSA", "EC"])
def test_a_key_that_jdbc_cannot_read_is_refused_with_the_command_that_converts_it(
    algorithm: Algorithm, tmp_path: Path
) -> None:
    old = make_key(tmp_path / "old.key", algorithm, traditional=True)
    with refused(rf"it is a {algorithm} PRIVATE KEY.*openssl pkcs8 -topk8 -nocrypt -in {old}", UsageError):
        jdbc_url(f"postgresql://h/db?sslcert={old}&sslkey={old}")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sslmode=verify-full&sslrootcert=/nowhere/root.pem", "/nowhere/root.pem cannot be read"),
        ("sslcert=/nowhere/client.pem", "/nowhere/client.pem cannot be read"),
        ("sslcrl=/nowhere/list", "asks for sslcrl"),
        ("sslcrldir=/nowhere", "asks for sslcrldir"),
        ("ssl_min_protocol_version=TLSv1.3", "asks for ssl_min_protocol_version"),
        ("ssl_max_protocol_version=TLSv1.2", "asks for ssl_max_protocol_version"),
        ("sslcertmode=require", "asks for sslcertmode"),
        ("krbsrvname=other", "asks for krbsrvname"),
        ("replication=true", "asks for replication"),
        ("hostaddr=192.0.2.1&sslmode=verify-full", "asks for hostaddr"),
        ("target_session_attrs=standby", "target_session_attrs=standby, but a run writes"),
        ("host=/var/run/postgresql", "folder /var/run/postgresql"),
        ("no_such_parameter=1", "no_such_parameter"),
        ("service=nobodys", 'service "nobodys" not found'),
    ],
)
def test_what_jdbc_cannot_do_is_refused_by_name_before_spark_starts(query: str, words: str) -> None:
    with refused(words, UsageError):
        check_jdbc_address(f"postgresql://h/db?{query}")


@pytest.mark.parametrize("query", ["no_such_parameter=1", "service=nobodys", "sslmode=perhaps"])
def test_an_address_that_libpq_does_not_understand_is_refused_in_a_sentence(query: str) -> None:
    with refused("(address cannot be used|cannot be reached): .+", BulkpointError):
        connect(f"postgresql://h.invalid/db?{query}")
    with refused("address cannot be used: .+", UsageError):
        resolved(f"postgresql://h.invalid/db?{query}")


def test_a_password_outside_of_a_file_is_refused_for_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "geheim-5f2d9c")
    with refused("name that in PGPASSFILE", UsageError):
        check_jdbc_address("postgresql://h/db")
    assert "geheim" not in explicit("postgresql://h/db")


def test_an_address_without_a_host_is_refused_for_a_run() -> None:
    with refused("names no host", UsageError):
        check_jdbc_address("dbname=db")


def test_a_service_and_the_environment_are_resolved_for_jdbc_and_for_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services").write_text("[pay]\nhost=db.example\nport=7\ndbname=points\noptions=-c search_path=pay\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGUSER", "kim")
    monkeypatch.chdir(tmp_path)
    address = "postgresql:///?service=pay&sslrootcert=root.pem&passfile=pass"
    expected = {"user": "kim", "options": "-c search_path=pay"}
    assert options(jdbc_url(address)).items() >= expected.items()
    assert urlsplit(jdbc_url(address)[5:])[1:3] == ("db.example:7", "/points")
    assert where(address) == "db.example:7/points"
    assert passfile_of(address) == tmp_path / "pass"
    whole = explicit(address)
    for name in ("PGSERVICEFILE", "PGUSER"):
        monkeypatch.delenv(name)
    monkeypatch.chdir("/")
    elsewhere = resolved(whole)
    assert elsewhere.items() >= (expected | {"host": "db.example", "port": "7", "dbname": "points"}).items()
    assert (elsewhere["sslrootcert"], elsewhere["passfile"]) == (str(tmp_path / "root.pem"), str(tmp_path / "pass"))
