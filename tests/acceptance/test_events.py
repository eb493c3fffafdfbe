"""Events from the outbox to a real Kafka and to a Slack on loopback, by the command line, whatever dies on the way."""

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from bulkpoint.embedded.kafka import KafkaBroker
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.outbox import write_event
from tests.world.campaigns import World
from tests.world.command_line import CommandLine
from tests.world.logins import new_login
from tests.world.money import Money
from tests.world.slack import OK, slack_that_answers
from tests.world.waiting import wait_for

BACKLOG = 10_000


@pytest.fixture
def teller(bulkpoint: CommandLine, kafka: KafkaBroker, tmp_path: Path) -> CommandLine:
    """The command line with a topic of its own and, in the end, a Slack."""
    token = tmp_path / "token"
    token.write_text("xoxb-canary")
    bulkpoint.environment |= {
        "BULKPOINT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "BULKPOINT_KAFKA_TOPIC": f"events-{uuid4().hex[:8]}",
        "BULKPOINT_SLACK_TOKEN_FILE": str(token),
        "BULKPOINT_SLACK_CHANNEL": "#points",
    }
    return bulkpoint


def write(connection: Connection, campaign_id: int, count: int = 1, **data: Any) -> None:
    with connection.transaction():
        for _ in range(count):
            write_event(
                connection, campaign_id=campaign_id, run_no=1, type="campaign.progressed", actor="kim", data=data
            )


def end_a_run(world: World) -> int:
    """A campaign that was started and stopped; its id."""
    return world.campaign(name="캠페인 0").begun().stopped(reason="명단 <오류>").id


def topic(teller: CommandLine, *, settle_s: float = 1.0) -> list[dict[str, Any]]:
    """Everything that is in the topic, in its order."""
    consumer = Consumer(
        {
            "bootstrap.servers": teller.environment["BULKPOINT_KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": uuid4().hex,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    consumer.subscribe([teller.environment["BULKPOINT_KAFKA_TOPIC"]])
    found, ended_at = [], None
    deadline = time.monotonic() + 60
    while ended_at is None or time.monotonic() < ended_at + settle_s:
        assert time.monotonic() < deadline, "the topic has no end"
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error() is not None:
            ended_at = time.monotonic()
            continue
        key, value = message.key(), message.value()
        assert key is not None
        assert value is not None
        event = json.loads(value)
        assert key == str(event["campaign_id"]).encode()
        found.append(event)
    consumer.close()
    return found


def test_two_relays_side_by_side_keep_each_campaigns_order_and_publish_each_event_once(
    teller: CommandLine, connection: Connection, world: World
) -> None:
    ours = [world.campaign().id for _ in range(20)]
    with connection.transaction():
        for _ in range(BACKLOG // len(ours)):
            for campaign_id in ours:
                write_event(
                    connection, campaign_id=campaign_id, run_no=1, type="campaign.progressed", actor="kim", data={}
                )
    began = time.monotonic()
    relays = [teller.begin("outbox", "relay") for _ in range(2)]
    said = [relay.communicate(timeout=90) for relay in relays]
    took_s = time.monotonic() - began
    assert [relay.returncode for relay in relays] == [0, 0], said
    print(f"{BACKLOG:,} events in {took_s:.1f} s, two starts of Python included")
    numbers: dict[int, list[int]] = {}
    for event in topic(teller):
        numbers.setdefault(event["campaign_id"], []).append(event["event_no"])
    assert numbers == {campaign_id: list(range(1, BACKLOG // len(ours) + 1)) for campaign_id in ours}
    assert teller.run("outbox", "status").stdout == "0 events wait, 0 were set aside\n"


def test_a_relay_killed_between_the_brokers_word_and_its_own_makes_one_slack_message(
    teller: CommandLine, connection: Connection, database_url: str, world: World
) -> None:
    campaign_id = end_a_run(world)
    with connect(database_url) as holder, holder.transaction():
        holder.execute("select from outbox_event where campaign_id = %s for update", (campaign_id,))
        relay = teller.begin("outbox", "relay")
        waits = (
            b"select exists (select from pg_stat_activity"
            b" where wait_event_type = 'Lock' and query like '%published_at%')"
        )
        wait_for(lambda: connection.execute(waits).fetchone() == (True,), "the relay to wait for the lock")
        relay.send_signal(signal.SIGKILL)
        relay.communicate()
    assert teller.run("outbox", "relay").stdout == "published 2 events, set aside 0\n"
    published = Counter(event["event_id"] for event in topic(teller))
    assert set(published.values()) == {2}, "at least once, and here twice"
    with slack_that_answers(OK) as (url, posts):
        teller.environment["BULKPOINT_SLACK_BASE_URL"] = url
        for _ in range(2):
            told = teller.run("notify")
            assert told.returncode == 0, told.stderr
    assert len(posts) == 1
    body = json.loads(posts[0]["body"])
    assert body["text"] == "⏸️ 지급 중단, 결과가 나온 건 없음: 캠페인 0, 성공: 0건 / 실패: 0건"
    assert "명단 &lt;오류&gt;" in body["blocks"][1]["text"]["text"]


def test_a_broker_that_stops_and_starts_in_the_middle_costs_only_time(
    teller: CommandLine, connection: Connection, kafka: KafkaBroker, world: World
) -> None:
    campaign_id = world.campaign().id
    write(connection, campaign_id, 3)
    follower = teller.begin("outbox", "relay", "--follow")
    try:
        published = b"select count(*) from outbox_event where published_at is not null"
        wait_for(lambda: connection.execute(published).fetchone() == (3,), "three events to be published")
        kafka.kill()
        write(connection, campaign_id, 3)
        away = teller.run("outbox", "relay")
        assert away.returncode == 6
        assert "Kafka at 127.0.0.1" in away.stderr
        assert "The events stay in the outbox" in away.stderr
        waiting = teller.run("outbox", "status", "--json").json
        assert [(one["campaign_id"], one["published_no"], one["last_event_no"]) for one in waiting["waiting"]] == [
            (campaign_id, 3, 6)
        ]
        kafka.start()
        wait_for(lambda: connection.execute(published).fetchone() == (6,), "all six to be published", seconds=60)
    finally:
        follower.send_signal(signal.SIGTERM)
        follower.communicate(timeout=30)
    assert follower.returncode == 128 + signal.SIGTERM
    seen = [event["event_no"] for event in topic(teller)]
    assert list(dict.fromkeys(seen)) == [1, 2, 3, 4, 5, 6]


def test_an_event_that_the_broker_refuses_is_set_aside_and_the_others_go_on(
    teller: CommandLine, connection: Connection, kafka: KafkaBroker, world: World
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    name = teller.environment["BULKPOINT_KAFKA_TOPIC"]
    small = NewTopic(name, num_partitions=1, replication_factor=1, config={"max.message.bytes": "2000"})
    admin.create_topics([small])[name].result(20)
    poisoned, other = [world.campaign().id for _ in range(2)]
    write(connection, poisoned)
    write(connection, poisoned, words="x" * 3_000)
    write(connection, poisoned)
    write(connection, other)
    relayed = teller.run("outbox", "relay")
    assert (relayed.returncode, relayed.stdout) == (3, "published 3 events, set aside 1\n"), relayed.stderr
    order = [(event["campaign_id"], event["event_no"]) for event in topic(teller)]
    assert [number for campaign_id, number in order if campaign_id == poisoned] == [1, 3]
    assert (other, 1) in order
    status = teller.run("outbox", "status")
    assert "0 events wait, 1 were set aside" in status.stdout
    assert "Message size too large" in status.stdout
    check = teller.run("check")
    assert check.returncode == 5
    assert "outbox relay --parked" in check.stdout + check.stderr
    still = teller.run("outbox", "relay", "--parked")
    assert still.returncode == 3
    larger = ConfigEntry("max.message.bytes", "100000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[larger])
    admin.incremental_alter_configs([resource])[resource].result(20)
    mended = teller.run("outbox", "relay", "--parked")
    assert (mended.returncode, mended.stdout) == (0, "published 1 events, set aside 0\n"), mended.stderr
    assert teller.run("check").returncode == 0


def test_two_notifiers_and_a_slack_in_trouble_make_one_message_an_event(
    teller: CommandLine, connection: Connection, world: World
) -> None:
    for _ in range(3):
        end_a_run(world)
    assert teller.run("outbox", "relay").returncode == 0
    busy = (429, {"Retry-After": "1"}, b'{"ok": false, "error": "ratelimited"}')
    broken: tuple[int, dict[str, str], bytes] = (500, {}, b"oops")
    with slack_that_answers(busy, broken, OK) as (url, posts):
        teller.environment["BULKPOINT_SLACK_BASE_URL"] = url
        both = [teller.begin("notify", "--follow") for _ in range(2)]
        done = b"select count(*) from notification where sent_at is not null"
        wait_for(lambda: connection.execute(done).fetchone() == (3,), "three messages to be sent", seconds=60)
        for one in both:
            one.send_signal(signal.SIGINT)
        for one in both:
            one.communicate(timeout=30)
    sent = Counter(json.loads(post["body"])["text"] for post in posts[2:])
    assert len(posts) == 5, "two refusals, three messages"
    assert sum(sent.values()) == 3


def test_the_relays_login_publishes_and_notifies_with_its_group_role_alone(
    teller: CommandLine, connection: Connection, database_url: str, world: World, tmp_path: Path
) -> None:
    make_roles(database_url)
    end_a_run(world)
    with new_login(connection, database_url) as login, slack_that_answers(OK) as (url, posts):
        login.alter("nosuperuser")
        login.grant("bulkpoint_relay")
        passfile = tmp_path / "pgpass"
        passfile.write_text(login.passfile_line)
        passfile.chmod(0o600)
        parts = urlsplit(database_url)
        address = parts._replace(netloc=f"{login.name}@{parts.hostname}:{parts.port}").geturl()
        teller.environment |= {"BULKPOINT_SLACK_BASE_URL": url, "BULKPOINT_DATABASE_URL": address}
        teller.environment["PGPASSFILE"] = str(passfile)
        for command in (["outbox", "relay"], ["outbox", "status"], ["notify"]):
            teller.succeed(*command)
    assert [event["type"] for event in topic(teller)] == ["campaign.started", "campaign.stopped"]
    assert len(posts) == 1


def test_without_kafka_the_notifier_reads_the_outbox_and_tells_what_no_event_does(
    teller: CommandLine, connection: Connection, world: World
) -> None:
    del teller.environment["BULKPOINT_KAFKA_BOOTSTRAP_SERVERS"]
    end_a_run(world)
    lost = world.campaign().begun().without_driver().id
    with slack_that_answers(OK) as (url, posts):
        teller.environment["BULKPOINT_SLACK_BASE_URL"] = url
        for _ in range(2):
            assert teller.run("notify").returncode == 0
    told = [json.loads(post["body"])["text"] for post in posts]
    assert [text.partition(":")[0] for text in told] == ["⏸️ 지급 중단, 결과가 나온 건 없음", "🚨 확인이 필요합니다"]
    assert f"bulkpoint campaign resume {lost}" in told[1]


def test_kafka_and_slack_down_for_a_whole_run_change_only_when_people_hear_of_it(
    teller: CommandLine, kafka: KafkaBroker, money: Money, tmp_path: Path
) -> None:
    kafka.stop()
    try:
        with slack_that_answers((500, {}, b"oops")) as (url, _):
            teller.environment |= {
                "BULKPOINT_MONEY_URL": money.url,
                "BULKPOINT_PARTITIONS": "1",
                "BULKPOINT_SLACK_BASE_URL": url,
            }
            targets = tmp_path / "targets.csv"
            targets.write_text("member_id,amount,reason\n" + "".join(f"m{n},5,r\n" for n in range(100)))
            campaign = teller.run("campaign", "create", "--name", "설", "--targets", str(targets)).stdout.split()[-1]
            job = teller.submit(campaign, "--yes")
            assert job.returncode == 0, job.stderr
            assert len(money.ledger()) == 100
    finally:
        kafka.start()
    warnings = [line for line in job.stdout.splitlines() if line.startswith("bulkpoint: warning: ")]
    assert len(warnings) == 2, job.stdout
    assert "Kafka" in warnings[0]
    assert "Slack answered 500" in warnings[1]
    with slack_that_answers(OK) as (url, posts):
        teller.environment["BULKPOINT_SLACK_BASE_URL"] = url
        assert teller.run("outbox", "relay").returncode == 0
        assert teller.run("notify").returncode == 0
        assert teller.run("notify").returncode == 0
    events = [event["type"].removeprefix("campaign.") for event in topic(teller) if event["campaign_id"]]
    assert events == ["created", "started", "progressed", "progressed", "progressed", "completed"]
    assert [json.loads(post["body"])["text"] for post in posts] == ["📢 지급 완료: 설, 성공: 100건 / 실패: 0건"]
