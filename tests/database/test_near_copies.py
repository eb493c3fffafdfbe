"""Lists that repeat others, whole or in part: what is said of them, and which are refused until a person confirms."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkpoint.campaigns import near_copies
from bulkpoint.campaigns.approve import approve_campaign
from bulkpoint.campaigns.copies import compare_file
from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.preview import compare_read, preview_campaign, read_file
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run
from bulkpoint.campaigns.start import plan_start
from bulkpoint.errors import UsageError
from bulkpoint.intake.list_sketch import ListSketch, SketchMaker
from bulkpoint.rules.copies import Comparison, Overlap
from bulkpoint.rules.findings import Finding
from bulkpoint.rules.preview import Preview
from bulkpoint.rules.readiness import PaymentLimits, Policy
from bulkpoint.settings import load_settings
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import connect
from bulkpoint.store.duplicate_list import remember_list
from bulkpoint.store.finding import latest_findings
from bulkpoint.store.near_copy import keep_list_sample, present_snapshot
from bulkpoint.store.target import digest_targets
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused

LIMITS = PaymentLimits(copy_share=0.9)
SETTINGS = load_settings({})

Row = tuple[str, int, str]


def rows_of(salt: str, count: int = 100, *, first: int = 0) -> list[Row]:
    """Members that are those of the salt, each with an amount of its own."""
    return [(f"{salt}{n}", 100 + n, f"reason {n % 3}") for n in range(first, first + count)]


class Lists:
    """Lists in files, and campaigns that are created with them."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder

    def file(self, rows: Iterable[Row]) -> Path:
        path = self.folder / f"list-{len(list(self.folder.iterdir()))}.csv"
        path.write_text("member_id,amount,reason\n" + "".join(f"{m},{amount},{reason}\n" for m, amount, reason in rows))
        return path

    def preview(self, rows: Iterable[Row]) -> Preview:
        return compare_read(self.world.connection, read_file(self.file(rows), LIMITS), LIMITS)

    def create(self, rows: Iterable[Row], say: Callable[[str], None] = lambda _: None, **fields: Any) -> Campaign:
        new = NewCampaign(**({"name": "c"} | fields))
        path = self.file(rows)
        made = create_campaign(self.world.connection, new, actor="alice", limits=LIMITS, targets=path, say=say)
        return Campaign(self.world, made)

    def unchecked(self, members: dict[str, int]) -> Campaign:
        """Seen before, whatever it repeats."""
        rows = [(member, amount, "r") for member, amount in members.items()]
        campaign = self.world.campaign(rows)
        connection, digest = self.world.connection, digest_targets(self.world.connection, campaign.id)
        remember_list(connection, campaign.id, digest)
        sample = near_copies.sample_of(sketched(rows), digest, present_snapshot(connection))
        keep_list_sample(connection, campaign.id, sample)
        return campaign

    def loaded(self, rows: list[Row]) -> Campaign:
        """Another program loads it."""
        return self.world.campaign(rows)


@pytest.fixture
def lists(world: World, tmp_path: Path) -> Lists:
    (tmp_path / "lists").mkdir()
    return Lists(world, tmp_path / "lists")


def start(campaign: Campaign, **asked: Any) -> None:
    """By the command, then by the job."""
    connection = campaign.world.connection
    request = RunRequest(campaign=campaign.id, actor="bob", force=True, **({"reason": "r"} | asked))
    request = plan_start(connection, SETTINGS, request).request
    campaign._run = begin_run(connection, request, shares=2, policy=Policy(limits=LIMITS))


def said(findings: Iterable[Finding]) -> list[str]:
    return [sentence(each.as_refusal()) for each in findings]


def near_copy(seen: Preview) -> Finding:
    (found,) = (each for each in seen.noticed if each.name == "NEAR_COPY")
    return found


def test_three_lists_in_one_file_are_refused_until_one_of_their_campaigns_is_named(lists: Lists) -> None:
    parts = [rows_of(salt) for salt in "abc"]
    ids = [lists.create(part).id for part in parts]
    merged = [row for part in parts for row in part]
    random.Random(1).shuffle(merged)
    words = (
        f"300 of 300 members are in campaigns {ids[0]}, {ids[1]}, {ids[2]} of the last 90 days, with the same amount."
    )
    seen = lists.preview(merged)
    assert said(seen.noticed) == [
        f"{words} If they are meant to be paid again: --same-as {ids[0]} --reason T.",
        f"300 of 300 members are also in campaigns {ids[0]}, {ids[1]}, {ids[2]} that did not start yet.",
    ]
    assert seen.refused_by == 1
    with refused(f"is not loaded, 1 finding:\n{words} .*--same-as {ids[0]} --reason T"):
        lists.create(merged)
    with refused("no other campaign of the last 90 days has this list|300 of 300"):
        lists.create(merged, same_as=lists.create(rows_of("d")).id, reason="r")
    meant = lists.create(merged, same_as=ids[1], reason="once more")
    assert get_campaign(lists.world.connection, meant.id).same_as == ids[1]
    kept = latest_findings(lists.world.connection, meant.id)
    assert [(each.name, each.count, each.accepted_by) for each in kept] == [
        ("MEMBERS_WAITING", 300, None),
        ("NEAR_COPY", 300, "alice"),
    ]
    assert preview_campaign(lists.world.connection, meant.id, LIMITS).refused_by == 0
    start(meant)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda rows: rows[:199], "199 of 199 members are in campaign 1 of the last 90 days, with the same amount."),
        (lambda rows: [*rows, ("new", 5, "r")], "200 of 201 members are in campaign 1 of the last"),
        (lambda rows: [(*rows[0][:2], rows[0][2] + " "), *rows[1:]], "200 of 200 members are in campaign 1 of"),
        (lambda rows: [(m, amount, f"again {why}") for m, amount, why in reversed(rows)], "200 of 200 members are in"),
        (lambda rows: [(rows[0][0], 1, "r"), *rows[1:]], "200 of 200 members .*, 199 of them with the same amount."),
        (lambda rows: [*rows, *rows_of("x")], "200 of 300 members .* amount.\n200 of 200 members of campaign 1 are in"),
        (lambda rows: [*rows, *rows_of("x", 900)], ":\n200 of 200 members of campaign 1 are in this list"),
    ],
    ids=["a row less", "a row more", "a space", "reasons and order", "an amount", "half as many more", "a part of it"],
)  # fmt: skip
def test_a_list_that_was_edited_is_still_a_copy(
    lists: Lists, changed: Callable[[list[Row]], list[Row]], words: str
) -> None:
    rows = rows_of("m", 200)
    lists.create(rows)
    with refused(words):
        lists.create(changed(rows))
    assert near_copy(lists.preview(changed(rows))).refuses
    lists.create(changed(rows), same_as=1, reason="r")


def test_the_same_members_with_other_amounts_are_shown_and_not_refused(lists: Lists) -> None:
    rows = rows_of("m", 200)
    lists.create(rows)
    tenfold = [(member, 10 * amount, reason) for member, amount, reason in rows]
    found = near_copy(lists.preview(tenfold))
    assert said([found]) == ["200 of 200 members are in campaign 1 of the last 90 days, with other amounts."]
    assert not found.refuses
    start(lists.create(tenfold))


def test_a_list_of_a_few_members_inside_a_larger_one_is_shown_and_not_refused(lists: Lists) -> None:
    lists.create(rows_of("m", 19))
    found = near_copy(lists.preview(rows_of("m", 500)))
    assert said([found]) == ["19 of 19 members of campaign 1 are in this list, with the same amount."]
    assert not found.refuses
    lists.create(rows_of("m", 20), same_as=1, reason="r")
    assert near_copy(lists.preview(rows_of("m", 500))).refuses


def test_less_than_half_in_common_is_not_worth_a_word(lists: Lists) -> None:
    lists.create(rows_of("m", 200))
    mixed = [*rows_of("m", 90), *rows_of("x", 110)]
    assert [each.name for each in lists.preview(mixed).noticed] == ["MEMBERS_WAITING"]
    assert said(lists.preview(mixed).noticed) == ["90 of 200 members are also in campaign 1 that did not start yet."]


def test_an_equal_list_is_still_refused_as_such(lists: Lists) -> None:
    lists.create(rows_of("m"))
    with refused("same as that of campaign 1 .*every member, amount and reason. Nothing was loaded"):
        lists.create(rows_of("m"))
    seen = lists.preview(rows_of("m"))
    assert [each.code for each in seen.findings] == ["SAME_LIST"]
    assert seen.noticed == (), "one copy, one sentence"
    lists.create(rows_of("m"), same_as=1, reason="r")
    start(Campaign(lists.world, 1))


def test_only_members_who_are_or_may_be_paid_there_count(lists: Lists) -> None:
    rows = rows_of("m", 100)
    first = lists.create(rows).begun()
    order = sorted(rows)  # payments are numbered by member_id
    first.failed(range(1, 31), "REJECTED").failed(range(31, 61), "UNAVAILABLE").failed(range(61, 66), "UNKNOWN")
    first.ended("COMPLETED")
    rest = lists.preview(order[:60])
    assert said(rest.noticed) == [
        "60 members do not count, because they were not paid in campaign 1: a retry of it could pay them too."
    ]
    assert rest.refused_by == 0
    assert near_copy(lists.preview(order[60:])).count == 40, "UNKNOWN may have been paid"
    with refused("40 of 40 members are in campaign 1"):
        lists.create(order[60:])
    found = near_copy(lists.preview([(member, amount, "again") for member, amount, _ in rows]))
    assert said([found]) == [
        "40 of 40 members of campaign 1 are in this list, with the same amount.\n"
        "60 members do not count, because they were not paid in campaign 1: a retry of it could pay them too. "
        "If they are meant to be paid again: --same-as 1 --reason T."
    ]
    assert lists.create(order[:60])


def test_a_withdrawn_campaign_and_one_of_long_ago_do_not_count(lists: Lists) -> None:
    lists.create(rows_of("m")).withdrawn()
    lists.create([(member, amount, "other") for member, amount, _ in rows_of("m")])
    lists.world.connection.execute("update duplicate_list set seen_at = seen_at - interval '91 days'")
    assert lists.preview(rows_of("m")).noticed == ()
    lists.create(rows_of("m"))


def test_a_list_that_another_program_loads_is_judged_at_preview_and_start(lists: Lists) -> None:
    first = lists.create(rows_of("m"))
    loaded = lists.loaded([(member, amount, "other") for member, amount, _ in rows_of("m")])
    words = f"100 of 100 members are in campaign {first.id} of the last 90 days, with the same amount."
    seen = preview_campaign(lists.world.connection, loaded.id, LIMITS)
    assert said(seen.noticed)[0].startswith(words)
    assert seen.refused_by == 1
    with refused(f"{words} .*--same-as {first.id} --reason T"):
        start(loaded)
    start(loaded, same_as=first.id, reason="meant")
    loaded.ended("COMPLETED")
    with refused(f"100 of 100 members are in campaign {loaded.id}"):
        start(first)


def test_an_approver_sees_what_the_list_repeats_and_confirms_nothing(lists: Lists) -> None:
    lists.create(rows_of("m"))
    loaded = lists.loaded([(member, amount, "other") for member, amount, _ in rows_of("m")])
    shown: list[Finding] = []
    approve_campaign(lists.world.connection, loaded.id, actor="lee", limits=LIMITS, show=shown.extend)
    assert said(shown)[0].startswith("100 of 100 members are in campaign 1 of the last 90 days, with the same amount.")
    with refused("100 of 100 members are in campaign 1"):
        start(loaded)
    start(loaded, same_as=1, reason="meant")


def start_refused_after(first: Campaign, second: Campaign, **asked: Any) -> None:
    start(first, **asked)
    first.paid(3).ended("COMPLETED")
    with refused(f"100 of 100 members are in campaign {first.id} of the last 90 days"):
        start(second)


@pytest.mark.parametrize("younger_first", [False, True])
def test_of_two_lists_that_were_created_at_the_same_moment_the_later_start_is_refused(
    lists: Lists, database_url: str, younger_first: bool
) -> None:
    """Each is compared before the other one is committed."""
    hers: list[Campaign] = []

    def meanwhile(line: str) -> None:
        if line.startswith("Loading"):
            hers.append(Lists(World(other), lists.folder).create(rows_of("m")))

    with connect(database_url) as other:
        ours = lists.create([(member, amount, "other") for member, amount, _ in rows_of("m")], say=meanwhile)
        theirs = hers[0].on(lists.world.connection)
    assert ours.id < theirs.id
    if not younger_first:
        start_refused_after(ours, theirs)
        return
    with refused(f"100 of 100 members are in campaign {ours.id}"):
        start(theirs)
    start_refused_after(theirs, ours, same_as=ours.id, reason="meant")


def test_a_younger_list_that_was_started_first_is_looked_at_again(lists: Lists) -> None:
    first = lists.create(rows_of("m"))
    second = lists.create(
        [(member, amount, "other") for member, amount, _ in rows_of("m")], same_as=first.id, reason="r"
    )
    start_refused_after(second, first)
    start(first, same_as=second.id, reason="meant")


def test_near_copies_are_not_accepted_by_name(lists: Lists) -> None:
    from bulkpoint.campaigns.findings import check_names

    with refused("--same-as ID --reason T", UsageError):
        check_names(["near-copy"])


# Exact figures


def compare(lists: Lists, rows: Iterable[Row]) -> Comparison:
    return compare_file(lists.world.connection, sketched(rows)).comparison


def sketched(rows: Iterable[Row]) -> ListSketch:
    maker = SketchMaker()
    for member, amount, _ in rows:
        maker.add(member, amount)
    return maker.sketch()


MEMBERS = st.dictionaries(st.integers(0, 40).map(lambda n: f"회원-{n}"), st.integers(1, 2), min_size=1, max_size=40)
EARLIER = st.lists(
    st.tuples(MEMBERS, st.sampled_from(["waiting", "started", "withdrawn"])),
    max_size=3,
    unique_by=lambda each: frozenset(each[0].items()),  # an equal list is refused where it is started
)


def test_whatever_short_lists_have_in_common_is_counted_exactly(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are longer than their samples, or not; each count is that of a plain look at all members."""
    monkeypatch.setattr(near_copies, "SAMPLE_MAX", 8)
    connection = lists.world.connection

    @settings(max_examples=25, deadline=None)
    @given(EARLIER, MEMBERS, st.sets(st.integers(0, 40).map(lambda n: f"회원-{n}")))
    def counts(earlier: list[tuple[dict[str, int], str]], new: dict[str, int], unpaid: set[str]) -> None:
        connection.execute("update duplicate_list set seen_at = seen_at - interval '91 days'")
        live: dict[int, tuple[dict[str, int], str]] = {}
        for place, (drawn, state) in enumerate(earlier):
            members = drawn | {f"own-{place}": 1}  # the very same list could not start twice
            campaign = lists.unchecked(members)
            if state == "withdrawn":
                campaign.withdrawn()
                continue
            live[campaign.id] = members, state
            if state == "started":
                order = sorted(members, key=str.encode)
                campaign.begun().failed([n for n, one in enumerate(order, 1) if one in unpaid]).ended("COMPLETED")
        paid = {
            number: {m: a for m, a in members.items() if state == "waiting" or m not in unpaid}
            for number, (members, state) in live.items()
        }
        found = compare(lists, [(member, amount, "r") for member, amount in new.items()])
        assert found == Comparison(
            members=len(new),
            covered=sum(any(m in one for one in paid.values()) for m in new),
            covered_same=sum(any(one.get(m) == a for one in paid.values()) for m, a in new.items()),
            waiting=sum(any(m in paid[n] for n, (_, state) in live.items() if state == "waiting") for m in new),
            about=False,
            overlaps=found.overlaps,
        )
        assert {each.campaign_id: each for each in found.overlaps} == {
            number: Overlap(
                number, state == "waiting", len(paid[number]), len(new.keys() & paid[number].keys()),
                len(new.items() & paid[number].items()), len(new.keys() & members.keys() - paid[number].keys()),
            )
            for number, (members, state) in live.items()
            if new.keys() & members.keys()
        }  # fmt: skip

    counts()


def test_long_lists_are_estimated_and_what_is_short_in_them_is_exact(
    lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30,000 members: 27,000 of a list of 40,000, all of one of 15,000, all of one of 700, 150 of one of 300."""
    rows = rows_of("m", 42_000)
    for part in (rows[3_000:], rows[14_000:29_000], rows[500:1_200], [*rows[:150], *rows_of("x", 150)]):
        lists.unchecked({member: amount for member, amount, _ in part})
    found = compare(lists, rows[:30_000])
    long, read, short, whole = sorted(found.overlaps, key=lambda each: each.campaign_id)
    assert found.about
    assert found.covered == pytest.approx(27_850, rel=0.02)
    assert long.about
    assert long.shared == pytest.approx(27_000, rel=0.02)
    assert [(each.shared, each.shared_same, each.about) for each in (read, short, whole)] == [
        (15_000, 15_000, False), (700, 700, False), (150, 150, False),
    ]  # fmt: skip
    # Where too much would have to be read, lists of middling length are counted by their samples.
    monkeypatch.setattr(near_copies, "READ_MAX", 0)
    found = compare(lists, rows[:30_000])
    assert found.covered == pytest.approx(27_850, rel=0.02)
    by_sample = next(each for each in found.overlaps if each.campaign_id == short.campaign_id)
    assert (by_sample.shared, by_sample.shared_same, by_sample.about) == (700, 700, True)


def test_an_edit_of_a_long_list_is_seen_as_what_it_is(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    """By look-ups, and by a sample alone where too much would have to be looked up."""
    rows = rows_of("m", 21_000)
    lists.unchecked({member: amount for member, amount, _ in rows})
    changed = [(member, amount + (n % 10 == 0), "r") for n, (member, amount, _) in enumerate(rows)]
    for bound, about in ((200_000, 0.01), (0, 0.05)):
        monkeypatch.setattr(near_copies, "COUNTED_MAX", bound)
        found = compare(lists, changed)
        assert found.overlaps[0].shared == pytest.approx(21_000, rel=about)
        assert found.overlaps[0].shared_same == pytest.approx(18_900, rel=about)
