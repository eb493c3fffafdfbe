"""A database with many campaigns that were paid long ago, made by statements, and what each question to it then takes.

The partitions are those that `freeze_campaign` makes. It opens each partition's bound to attach one, so 10,000 of them
one by one take half an hour: here they are made whole and then attached all at once, in the catalog itself. The first
and the last campaigns come about by the product's own statements.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import psycopg

from bulkpoint.campaigns.check import find_troubles
from bulkpoint.campaigns.copies import compare_file
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run, end_run
from bulkpoint.campaigns.start import find_next
from bulkpoint.events.message import NOTIFIED_TYPES
from bulkpoint.intake.list_sketch import SketchMaker
from bulkpoint.rules.lifecycle import CampaignState, RunState
from bulkpoint.settings import Settings
from bulkpoint.store.alert import find_alerts
from bulkpoint.store.campaign import get_campaign, get_counts, get_counts_of, list_campaigns
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.migrate import migrate
from bulkpoint.store.notification import unsent_notifications
from bulkpoint.store.payment import claim_payments, open_payments
from bulkpoint.store.payment_history import find_payments
from bulkpoint.store.progress import sample_progress
from bulkpoint.store.relay import add_missing_cursors, list_waiting, lock_next_cursor
from bulkpoint.store.share import acquire_share, release_share
from bulkpoint.store.target import load_targets
from bulkpoint.views.month import read_month

MEMBERS_A_LIST = 20
LISTS_OF_A_MEMBER = 4  # so many campaigns of the last ones have the member that is looked for
MEMBER = "vip-1"
ROUNDS = 3
COMMIT_EVERY = 100
ACTOR = "bench"

# One model, by the product, from which the rest is copied; see the module's docstring.
_MAKE = """
do $$
declare
    first bigint := {first};
    last bigint := {last};
    payments text;
    attempts text;
    options text := (select array_to_string(reloptions, ', ') from pg_class where relname = 'payment_1');
begin
    for n in first .. last loop
        payments := 'payment_' || n;
        attempts := 'payment_attempt_' || n;
        execute format('create table %I (like payment including defaults including constraints, check (%s))
                        with (%s)', payments, 'campaign_id = ' || n, options);
        execute format('insert into %I (campaign_id, seq, member_id, amount, reason, state, transaction_id,
                               first_sent_at, last_sent_at, finished_at, tries)
                        select campaign_id, row_number() over (order by member_id), member_id, amount, reason,
                               ''SUCCESS'', ''t-'' || campaign_id || ''-'' || row_number() over (order by member_id),
                               created_at, created_at, created_at, 1
                        from campaign_target join campaign using (campaign_id) where campaign_id = $1', payments)
            using n;
        execute format('alter table %I add primary key (campaign_id, seq)', payments);
        execute format('create index on %I (member_id)', payments);
        execute format('create table %I (like payment_attempt including defaults including constraints
                                         including indexes, check (%s))', attempts, 'campaign_id = ' || n);
        if n % {commit_every} = 0 then commit; end if;
    end loop;
end $$
"""

_CAMPAIGNS = """
insert into campaign (name, expected_count, expected_amount, creator, created_at)
select 'campaign ' || n, {members}, {members} * 100, 'bench', clock_timestamp() - {count} * interval '50 minutes'
       + n * interval '50 minutes'
from generate_series(1, {count}) n
"""
_TARGETS = """
insert into campaign_target (campaign_id, member_id, amount, reason)
select campaign_id,
       case when m = 1 and campaign_id > {last} - {lists} then '{member}'
            else 'm-' || campaign_id % 97 || '-' || campaign_id || '-' || m end, 100, 'reason ' || campaign_id % 7
from generate_series({first}, {last}) campaign_id, generate_series(1, {members}) m
"""
# What a paid campaign leaves in every other table. Samples as of a run of a minute.
_REST = [
    """update campaign set frozen_at = created_at, target_count = expected_count, target_amount = expected_amount,
              digest = sha256(campaign_id::text::bytea), last_event_no = 3
       where campaign_id between {first} and {last}""",
    """insert into campaign_run (campaign_id, run_no, kind, state, actor, started_at, finished_at, driver_holder,
                                 driver_until)
       select campaign_id, 1, 'INITIAL', 'COMPLETED', 'bench', created_at, created_at + interval '1 minute',
              gen_random_uuid(), created_at
       from campaign where campaign_id between {first} and {last}""",
    """insert into campaign_counter (campaign_id, share, state, count, amount)
       select campaign_id, share, state::payment_state, count, count * 100 from campaign,
              (values (-1, 'PENDING', {members}), (0, 'PENDING', -{members} / 2), (0, 'SUCCESS', {members} / 2),
                      (1, 'PENDING', -{members} / 2), (1, 'SUCCESS', {members} / 2)) c (share, state, count)
       where campaign_id between {first} and {last}""",
    """insert into campaign_progress (run_id, sampled_at, pending, processing, success, failed, tps)
       select run_id, started_at + s * interval '5 s', 0, 0, s, 0, 1000 from campaign_run, generate_series(1, 12) s""",
    """insert into outbox_event (campaign_id, event_no, event_id, type, occurred_at, actor, published_at)
       select campaign_id, event_no, gen_random_uuid(), type, created_at, 'bench', created_at from campaign,
              (values (1, 'campaign.created'), (2, 'campaign.started'), (3, 'campaign.completed')) e (event_no, type)
       where campaign_id between {first} and {last}""",
    """insert into outbox_cursor (campaign_id, published_no)
       select campaign_id, 3 from campaign where campaign_id between {first} and {last}""",
    """insert into notification (event_id, channel, claimed_until, sent_at)
       select event_id, 'C1', occurred_at, occurred_at from outbox_event""",
    "alter table audit_event disable trigger sealed",  # which would date them today
    """insert into audit_event (audit_no, occurred_at, login, os_user, host, actor, action, campaign_id, run_no, detail,
                                hash)
       select row_number() over (), created_at, 'bench', 'bench', 'bench', 'bench', action, campaign_id, 1,
              '{{"state": "COMPLETED"}}', ''
       from campaign, unnest(array['create', 'start', 'complete']) action
       where campaign_id between {first} and {last}""",
    "alter table audit_event enable trigger sealed",
    "update audit_head set audit_no = (select max(audit_no) from audit_event)",
    """insert into judged_list (campaign_id, digest)
       select campaign_id, digest from campaign where campaign_id between {first} and {last}""",
    """insert into duplicate_list (digest, campaign_id, seen_at)
       select digest, campaign_id, created_at from campaign where campaign_id between {first} and {last}""",
    """insert into list_sample (campaign_id, digest, target_count, hashes, amounts, compared_in)
       select campaign_id, digest, {members},
              (select string_agg(h, ''::bytea order by h)
               from (select substring(sha256(convert_to(member_id, 'UTF8')) for 8) as h
                     from campaign_target t where t.campaign_id = c.campaign_id) t),
              (select string_agg(int8send(100), ''::bytea) from generate_series(1, {members})), pg_current_snapshot()
       from campaign c where campaign_id between {first} and {last}""",
    """insert into run_request (request_id, campaign_id, kind, actor, state, alive_until, ended_at, requested_at)
       select gen_random_uuid(), campaign_id, 'INITIAL', 'bench', 'DONE', created_at, created_at, created_at
       from campaign where campaign_id between {first} and {last}""",
]

# A partition's bound is a tree of the parser's, which only the server makes from text: for the bench, a cast does.
_ATTACH = [
    "set allow_system_table_mods = on",
    "create cast (text as pg_node_tree) without function",
    """with model as (
           select 'payment' as parent, relpartbound::text as bound from pg_class where relname = 'payment_1'
           union all select 'payment_attempt', relpartbound::text from pg_class where relname = 'payment_attempt_1'
       )
       update pg_class c set relispartition = true, relpartbound = regexp_replace(
           m.bound, '\\[[-0-9 ]+\\]',
           '[ ' || (select string_agg((n >> (8 * byte) & 255)::text, ' ' order by byte)
                    from generate_series(0, 7) byte) || ' ]')::pg_node_tree
       from model m, generate_series({first}::bigint, {last}::bigint) n
       where c.relname = m.parent || '_' || n and c.relkind = 'r'""",
    """insert into pg_inherits (inhrelid, inhparent, inhseqno, inhdetachpending)
       select c.oid, p.oid, 1, false
       from (values ('payment'), ('payment_attempt')) m (parent)
       cross join generate_series({first}::bigint, {last}::bigint) n
       join pg_class c on c.relname = m.parent || '_' || n and c.relkind = 'r'
       join pg_class p on p.relname = m.parent and p.relkind = 'p'""",
    "drop cast (text as pg_node_tree)",
    "reset allow_system_table_mods",
]


@dataclass(frozen=True)
class Asked:
    """What one question takes: milliseconds as a session's first question, and again; the relations that it locks."""

    name: str
    first_ms: float
    again_ms: float
    locks: int | None


@dataclass
class ManyCampaigns:
    """Answers of a database with so many campaigns. figures: by name and unit, what is not a question's time."""

    campaigns: int
    asked: list[Asked] = field(default_factory=list)
    figures: list[tuple[str, str, float]] = field(default_factory=list)


def make_campaigns(url: str, count: int, say: Callable[[str], None]) -> None:
    """So many COMPLETED campaigns; the first one and one more by the product's own statements."""
    with connect(url) as connection:
        connection.execute("set synchronous_commit = off")
        ensure_limit(connection, tps=1_000, shares=2, actor=ACTOR)
        words = {"first": 2, "last": count, "members": MEMBERS_A_LIST, "lists": LISTS_OF_A_MEMBER, "member": MEMBER}
        words |= {"count": count, "commit_every": COMMIT_EVERY}
        began = time.monotonic()
        _do(connection, _CAMPAIGNS, words)
        _do(connection, _TARGETS, words | {"first": 1})
        (digest,) = connection.execute("select sha256('1')").fetchall()[0]
        connection.execute("select freeze_campaign(1, %s)", (digest,))
        _do(connection, _MAKE, words)
        say(f"{count:,} pairs of partitions made, {time.monotonic() - began:.0f} s")
        with connection.transaction():
            for statement in _ATTACH:
                _do(connection, statement, words)
        for statement in _REST:
            _do(connection, statement, words)
        connection.execute("vacuum analyze")
        say(f"{count:,} campaigns made, {time.monotonic() - began:.0f} s")


def _do(connection: Connection, statement: str, words: dict[str, object]) -> None:
    connection.execute(statement.format(**words).encode())


def ask(url: str, count: int, settings: Settings) -> ManyCampaigns:
    """Ask everything, each question with a connection of its own."""
    found = ManyCampaigns(count)
    for name, question in _questions(url, settings).items():
        first: list[float] = []
        again: list[float] = []
        locks = None
        for _ in range(ROUNDS):
            with connect(url) as connection:
                first.append(_timed(question, connection))
                again.append(_timed(question, connection))
                with suppress(psycopg.errors.ActiveSqlTransaction), connection.transaction():  # it makes its own
                    question(connection)
                    locks = _locks(connection)
        found.asked.append(Asked(name, statistics.median(first), statistics.median(again), locks))
    found.figures += _of_the_server(url)
    return found


def _timed(question: Callable[[Connection], object], connection: Connection) -> float:
    began = time.perf_counter()
    question(connection)
    return (time.perf_counter() - began) * 1_000


def _locks(connection: Connection) -> int:
    rows = connection.execute("select count(*) from pg_locks where pid = pg_backend_pid() and relation is not null")
    return int(rows.fetchall()[0][0])


def _questions(url: str, settings: Settings) -> dict[str, Callable[[Connection], object]]:
    month = datetime.now(UTC).strftime("%Y-%m")
    maker = SketchMaker()
    for n in range(1_000):
        maker.add(f"new-{n}", 100)
    sketch = maker.sketch()

    def list_with_counts(connection: Connection, states: tuple[CampaignState, ...], latest: int | None) -> None:
        get_counts_of(connection, list_campaigns(connection, states, latest))

    def show(connection: Connection) -> None:
        get_counts(connection, get_campaign(connection, 2))

    def find(connection: Connection) -> None:
        found = find_payments(connection, MEMBER, campaign_id=None)
        assert len(found) == LISTS_OF_A_MEMBER, found

    return {
        "campaign list": lambda c: list_with_counts(c, (), None),
        "campaign list --latest 20": lambda c: list_with_counts(c, (), 20),
        "campaign list --state FAILED": lambda c: list_with_counts(c, (CampaignState.FAILED,), None),
        "campaign show": show,
        "sample_progress": lambda c: sample_progress(c, 2),
        "payment find": find,
        "check": lambda c: find_troubles(c, settings, notified=NOTIFIED_TYPES),
        "db migrate": lambda _: migrate(url),
        "campaign start next": lambda c: find_next(c, settings),
        "near copies at create": lambda c: compare_file(c, sketch),
        "report --month": lambda c: read_month(c, month, timezone="UTC", reasons_max=100),
        "relay, a turn": _turn_of_the_relay,
        "notifier, a turn": lambda c: (unsent_notifications(c, NOTIFIED_TYPES, "C1"), find_alerts(c)),
        "sweep: open_payments": lambda c: open_payments(c, 2),
    }


def _turn_of_the_relay(connection: Connection) -> None:
    add_missing_cursors(connection)
    with connection.transaction():
        lock_next_cursor(connection)
    list_waiting(connection)


def _of_the_server(url: str) -> Iterator[tuple[str, str, float]]:
    """A freeze, a claim, what a session keeps in memory, and what a dump would lock."""
    with connect(url) as connection:
        campaign_id = _new_campaign(connection)
        began = time.perf_counter()
        run = begin_run(connection, RunRequest(campaign=campaign_id, actor=ACTOR), shares=2)
        yield "begin a run, with its freeze", "ms", (time.perf_counter() - began) * 1_000
        held = acquire_share(connection, run.token, uuid4(), lease_s=60)
        assert held is not None, "no share is free"
        for name, seqs in (("first claim of a session", [1, 2, 3]), ("next claim", [4, 5, 6])):
            began = time.perf_counter()
            claim_payments(connection, run.token, held.token, seqs)
            yield name, "ms", (time.perf_counter() - began) * 1_000
        yield "memory of a session that pays", "MB", _memory_mb(connection)
        release_share(connection, held.token, [])
        connection.execute(
            "update payment set state = 'PENDING', claim_share = null, claim_epoch = null where campaign_id = %s",
            (campaign_id,),
        )
        assert end_run(connection, run, RunState.FAILED, "bench") is not None
    with connect(url) as connection:
        yield "memory of a session that has asked nothing", "MB", _memory_mb(connection)
        for number in (2, 3, 4):
            find_payments(connection, MEMBER, campaign_id=None)
            connection.execute("select count(*) from payment where campaign_id = %s", (number,))
        yield "memory of a session of the help desk", "MB", _memory_mb(connection)
        tables, indexes = connection.execute(
            "select count(*) filter (where relkind in ('r', 'p')), count(*) filter (where relkind in ('i', 'I'))"
            " from pg_class where relnamespace = to_regnamespace(current_schema())"
        ).fetchall()[0]
        yield "tables that a dump locks", "", float(tables)
        yield "tables and indexes", "", float(tables + indexes)
        (room,) = connection.execute(
            "select current_setting('max_locks_per_transaction')::bigint * current_setting('max_connections')::bigint"
        ).fetchall()[0]
        yield "room of the lock table", "", float(room)


def _memory_mb(connection: Connection) -> float:
    rows = connection.execute("select sum(total_bytes)::float8 / 1e6 from pg_backend_memory_contexts")
    return float(rows.fetchall()[0][0])


def _new_campaign(connection: Connection) -> int:
    with connection.transaction():
        (campaign_id,) = connection.execute(
            "insert into campaign (name, expected_count, expected_amount, creator)"
            f" values ('new', {MEMBERS_A_LIST}, {MEMBERS_A_LIST} * 100, 'bench') returning campaign_id"
        ).fetchall()[0]
        load_targets(connection, campaign_id, [(f"n-{uuid4()}-{n}", 100, "r") for n in range(MEMBERS_A_LIST)])
    return int(campaign_id)
