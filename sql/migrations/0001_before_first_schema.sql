-- The first schema. sql/schema.sql shows the present one, with the changes of later migrations. A released migration
-- never changes; a change is a new migration (the rule for their names: bulkpoint/rules/migrations.py).

-- The functions below that run with the owner's rights keep this path: our schema, and temporary tables last. Otherwise
-- a caller's temporary table of the same name would stand for ours, the audit log's head for one.
select set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- ---------------------------------------------------------------------------------------------------------------------
-- Campaigns and their targets
-- ---------------------------------------------------------------------------------------------------------------------

create table campaign (
    campaign_id      bigint generated always as identity primary key,
    name             text not null check (length(name) between 1 and 200),
    note             text not null default '' check (length(note) <= 2000),
    -- Every idempotency key is made from it. It is random, so that a database that was recreated never produces the
    -- keys of an earlier one.
    key_namespace    uuid not null default gen_random_uuid(),
    expected_count   bigint not null check (expected_count > 0),
    expected_amount  bigint not null check (expected_amount > 0),     -- points, as all amounts
    creator          text not null,                                   -- a claimed name
    creator_login    name not null default session_user,              -- what the database knows
    created_at       timestamptz not null default clock_timestamp(),
    not_before       timestamptz,
    -- Of the list that it was created with; null where another program loads it. A list that is another one by now
    -- starts only after a person has accepted that.
    created_digest   bytea check (length(created_digest) = 32),
    approved_by      text,
    approved_login   name,
    approved_at      timestamptz,
    approved_digest  bytea,
    -- A no stands until somebody else than the creator says yes.
    rejected_by      text,
    rejected_login   name,
    rejected_at      timestamptz,
    rejected_reason  text check (length(rejected_reason) between 1 and 500),
    -- The earlier campaign whose list this one repeats on purpose, and why.
    same_as          bigint references campaign,
    same_as_reason   text,
    frozen_at        timestamptz,
    target_count     bigint,
    target_amount    bigint,
    digest           bytea check (length(digest) = 32),
    withdrawn_by     text,
    withdrawn_at     timestamptz,
    withdrawn_reason text,
    last_event_no    bigint not null default 0,
    constraint approved_whole check (num_nulls(approved_by, approved_login, approved_at, approved_digest) in (0, 4)),
    constraint approver_is_not_the_creator check (approved_login <> creator_login),
    constraint rejected_whole check (num_nulls(rejected_by, rejected_login, rejected_at, rejected_reason) in (0, 4)),
    constraint rejecter_is_not_the_creator check (rejected_login <> creator_login),
    constraint approved_or_rejected check (approved_at is null or rejected_at is null),
    constraint same_as_has_its_reason check (num_nulls(same_as, same_as_reason) in (0, 2)),
    constraint frozen_whole check (num_nulls(frozen_at, target_count, target_amount, digest) in (0, 4))
);

-- The queue, and what may be taken out of it: a campaign's first run freezes it.
create index campaign_waits on campaign (campaign_id) where frozen_at is null and withdrawn_at is null;

create function keep_key_namespace() returns trigger language plpgsql as $$
begin
    raise exception 'campaign %: key_namespace never changes, every idempotency key is made from it', old.campaign_id;
end $$;

create trigger key_namespace_never_changes before update of key_namespace on campaign
    for each row when (old.key_namespace is distinct from new.key_namespace) execute function keep_key_namespace();

-- The four-eyes principle rests on who created and who approved: a login writes its own name there and no other, and
-- what another has approved it does not change.
create function refuse_the_name_of_another() returns trigger language plpgsql set search_path from current as $$
begin
    if tg_op = 'INSERT' then
        if new.creator_login <> session_user then
            raise exception 'a campaign is created in the name of the session''s login (%)', session_user
                using errcode = 'insufficient_privilege';
        end if;
    elsif new.approved_login <> session_user
          or not exists (select from operator_right where login = session_user and permission = 'approve') then
        raise exception 'campaign %: login % may not approve it in the name of %',
            new.campaign_id, session_user, new.approved_login
            using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;

create trigger created_in_ones_own_name before insert on campaign
    for each row execute function refuse_the_name_of_another();
create trigger approved_in_ones_own_name before update of approved_by, approved_login, approved_at, approved_digest
    on campaign for each row
    when ((new.approved_by, new.approved_login, new.approved_at, new.approved_digest)
          is distinct from (old.approved_by, old.approved_login, old.approved_at, old.approved_digest)
          and new.approved_login is not null)
    execute function refuse_the_name_of_another();

-- Who may approve says no in the own name, and takes a no back; the creator does neither.
create function refuse_the_no_of_another() returns trigger language plpgsql set search_path from current as $$
begin
    if new.creator_login = session_user then
        raise exception 'campaign %: login % created it, and does not decide about its rejection',
            new.campaign_id, session_user using errcode = 'check_violation';
    end if;
    if coalesce(new.rejected_login, session_user) <> session_user
       or not exists (select from operator_right where login = session_user and permission = 'approve') then
        raise exception 'campaign %: login % may not reject it in the name of %, or take a rejection back',
            new.campaign_id, session_user, new.rejected_login
            using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;

create trigger rejected_in_ones_own_name before update of rejected_by, rejected_login, rejected_at, rejected_reason
    on campaign for each row
    when ((new.rejected_by, new.rejected_login, new.rejected_at, new.rejected_reason)
          is distinct from (old.rejected_by, old.rejected_login, old.rejected_at, old.rejected_reason))
    execute function refuse_the_no_of_another();

create function keep_created_digest() returns trigger language plpgsql as $$
begin
    raise exception 'campaign %: created_digest never changes, the list is compared with it', old.campaign_id;
end $$;

create trigger created_digest_never_changes before update of created_digest on campaign
    for each row when (old.created_digest is not null and old.created_digest is distinct from new.created_digest)
    execute function keep_created_digest();

-- A check that only says true or false would name a constraint; a loader's program gets a sentence. Called only for an
-- amount that is refused, so it costs a load nothing.
create function refuse_amount(member_id text, amount numeric) returns boolean language plpgsql immutable as $$
begin
    raise exception 'member %: amount % is not a whole number of points from 1 to 1000000000000', member_id, amount
        using errcode = 'check_violation', table = 'campaign_target', column = 'amount', constraint = 'amount_range';
end $$;

-- Written by loaders, read-only to the payer. Collation C: the freeze has the same order on every server.
-- amount is numeric, because PostgreSQL rounds 1000.5 on its way into a bigint before any check or trigger sees it.
create table campaign_target (
    campaign_id bigint not null,
    member_id   text collate "C" not null
        constraint member_id_length check (length(member_id) between 1 and 128)
        constraint member_id_no_control_characters check (member_id !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]')
        -- Format characters (Unicode Cf) and others without a shape: two ids that look the same would be two members.
        constraint member_id_no_invisible_characters check (member_id !~
            '[\u00AD\u034F\u0600-\u0605\u061C\u06DD\u070F\u0890\u0891\u08E2\u115F\u1160\u17B4\u17B5\u180B-\u180F'
            '\u200B-\u200F\u202A-\u202E\u2060-\u206F\u2800\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB'
            '\U000110BD\U000110CD\U00013430-\U0001343F\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF]')
        constraint member_id_not_masked check (position('••••' in member_id) = 0)
        constraint member_id_no_space_at_the_ends check (
            member_id !~ '^[\s\u0085\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]'
            and member_id !~ '[\s\u0085\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]$'),
    amount      numeric not null constraint amount_range check (
        case when amount between 1 and 1000000000000 and amount = trunc(amount) then true
             else refuse_amount(member_id, amount) end),
    reason      text not null constraint reason_length check (length(reason) between 1 and 500),
    primary key (campaign_id, member_id)
);

-- A loader locks its campaign's row FOR KEY SHARE, the freeze locks it FOR UPDATE. So a freeze waits for a loader that
-- is still open, and a later loader is refused; otherwise its rows would be lost silently. The check is
-- made once per statement, not once per row: a load of a million rows pays for one look-up.
-- Security definer: a loader's login may write campaign_target only, and the check locks the campaign's row.
create function refuse_targets_once_frozen() returns trigger
    language plpgsql security definer set search_path from current as $$
declare
    touched bigint;
    campaign_frozen_at timestamptz;
begin
    if tg_op = 'TRUNCATE' then
        raise exception 'campaign_target is never truncated: delete the rows of one campaign before its start'
            using errcode = 'restrict_violation';
    end if;
    for touched in select distinct campaign_id from changed loop
        select frozen_at into campaign_frozen_at from campaign where campaign_id = touched for key share;
        if not found then
            raise exception 'campaign % does not exist: create it first, then load its targets', touched
                using errcode = 'foreign_key_violation';
        end if;
        if campaign_frozen_at is not null
           and not (tg_op = 'DELETE' and exists (select from campaign_archive where campaign_id = touched)) then
            raise exception 'campaign % was frozen at %: its targets can no longer change', touched, campaign_frozen_at
                using errcode = 'restrict_violation';
        end if;
    end loop;
    return null;
end $$;

create trigger no_insert_once_frozen after insert on campaign_target
    referencing new table as changed for each statement execute function refuse_targets_once_frozen();
create trigger no_update_once_frozen after update on campaign_target
    referencing old table as changed for each statement execute function refuse_targets_once_frozen();
create trigger no_update_into_frozen after update on campaign_target
    referencing new table as changed for each statement execute function refuse_targets_once_frozen();
create trigger no_delete_once_frozen after delete on campaign_target
    referencing old table as changed for each statement execute function refuse_targets_once_frozen();
create trigger never_truncated before truncate on campaign_target
    for each statement execute function refuse_targets_once_frozen();

-- SHA-256 over a campaign's targets in the order of member_id, each row as
--     <bytes of member_id>:<member_id>,<amount>,<bytes of reason>:<reason>\n
-- hashed in chunks of 10,000 rows and then over the chunks' hashes, because a PostgreSQL value has 1 GB at most.
create function target_digest_by_sorting(of_campaign bigint) returns bytea language sql stable as $$
    with numbered as (
        select row_number() over (order by member_id) - 1 as position,
               octet_length(member_id) || ':' || member_id || ',' || amount::bigint || ','
               || octet_length(reason) || ':' || reason || E'\n' as line
        from campaign_target where campaign_id = of_campaign
    ), chunk as (
        select position / 10000 as no, sha256(convert_to(string_agg(line, '' order by position), 'UTF8')) as hash
        from numbered group by position / 10000
    )
    select sha256(coalesce(string_agg(hash, ''::bytea order by no), ''::bytea)) from chunk
$$;

-- The same by the index, which has the rows in order, one chunk after the other: half the CPU of sorting them.
create function target_digest_in_order(of_campaign bigint) returns bytea language plpgsql stable
    set enable_sort = off set enable_bitmapscan = off set enable_seqscan = off as $$
declare
    after text := '';
    lines text;
    last text;
    hashes bytea := '';
begin
    loop
        select string_agg(octet_length(member_id) || ':' || member_id || ',' || amount::bigint || ','
                          || octet_length(reason) || ':' || reason || E'\n', '' order by member_id), max(member_id)
        into lines, last
        from (select member_id, amount, reason from campaign_target
              where campaign_id = of_campaign and member_id > after order by member_id limit 10000) chunk;
        exit when last is null;
        hashes := hashes || sha256(convert_to(lines, 'UTF8'));
        after := last;
    end loop;
    return sha256(hashes);
end $$;

-- A list that was loaded in another order jumps from page to page by the index: only where memory has room for all.
create function target_digest(of_campaign bigint) returns bytea language sql stable as $$
    select case when (select expected_count from campaign where campaign_id = of_campaign) <= 3000000
                then target_digest_in_order(of_campaign) else target_digest_by_sorting(of_campaign) end
$$;

-- When a campaign's list was seen: loaded from a file, approved, frozen. Two campaigns with the same digest have the
-- same members with the same amounts and reasons.
create table duplicate_list (
    digest      bytea not null check (length(digest) = 32),
    campaign_id bigint not null references campaign,
    seen_at     timestamptz not null default clock_timestamp(),
    primary key (digest, campaign_id)
);

-- A sample of each list that was seen, to compare later lists with: the members with the lowest hashes, all of a short
-- list. A hash is the first 8 bytes of the SHA-256 of the member_id, so the samples of all lists have the same members.
create table list_sample (
    campaign_id  bigint primary key references campaign,
    digest       bytea not null check (length(digest) = 32),
    target_count bigint not null,
    hashes       bytea not null,                           -- 8 bytes each, ascending
    amounts      bytea not null,                           -- 8 bytes each, of the same members
    seen_in      xid8 not null default pg_current_xact_id(),
    -- What the comparison of this list with earlier ones saw: a list that was committed later is compared at the start.
    compared_in  pg_snapshot not null,
    constraint an_amount_for_each_hash check (length(hashes) = length(amounts) and length(hashes) % 8 = 0)
);
-- Random numbers cannot be compressed.
alter table list_sample alter hashes set storage external, alter amounts set storage external;

-- Lists that were judged: whether anything makes them look wrong although no row breaks a rule. Once a list; a campaign
-- whose targets change has another digest, and is judged again.
create table judged_list (
    campaign_id bigint not null references campaign,
    digest      bytea not null check (length(digest) = 32),
    judged_at   timestamptz not null default clock_timestamp(),
    primary key (campaign_id, digest)
);

-- What was found in a judged list. With money at stake, the campaign does not start until a person has accepted the
-- finding by its name, for this very list.
create table campaign_finding (
    campaign_id    bigint not null,
    digest         bytea not null,
    finding        text not null check (finding ~ '^[A-Z][A-Z_]+$'),
    facts          jsonb not null,                         -- how often, the first examples: rules/findings.py
    at_stake       boolean not null,
    accepted_by    text,                                   -- a claimed name
    accepted_login name,                                   -- what the database knows
    accepted_at    timestamptz,
    primary key (campaign_id, digest, finding),
    foreign key (campaign_id, digest) references judged_list,
    constraint accepted_whole check (num_nulls(accepted_by, accepted_login, accepted_at) in (0, 3))
);

-- Nobody accepts in another login's name.
create function refuse_acceptance_of_another() returns trigger language plpgsql as $$
begin
    if new.accepted_login <> session_user then
        raise exception 'campaign %: login % may not accept % in the name of %',
            new.campaign_id, session_user, new.finding, new.accepted_login
            using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;

create trigger accepted_in_ones_own_name before insert on campaign_finding
    for each row when (new.accepted_login is not null) execute function refuse_acceptance_of_another();
create trigger accepted_again_in_ones_own_name before update of accepted_login on campaign_finding
    for each row when (new.accepted_login is distinct from old.accepted_login and new.accepted_login is not null)
    execute function refuse_acceptance_of_another();

-- A campaign whose payments, attempts and targets are in files, and here no more. What stays: its row, runs, samples,
-- counters, events and audit rows, the digests and samples of its list, and which payment a transaction id names.
create table campaign_archive (
    campaign_id     bigint primary key references campaign,
    archived_at     timestamptz not null default clock_timestamp(),
    archived_by     text not null,                         -- a claimed name
    archived_login  name not null default session_user,    -- what the database knows
    place           text not null,                         -- the folder with its files, as it was named then
    manifest_digest bytea not null check (length(manifest_digest) = 32),   -- SHA-256 of the manifest in it
    payments        bigint not null,
    attempts        bigint not null
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Runs
-- ---------------------------------------------------------------------------------------------------------------------

create type run_kind as enum ('INITIAL', 'RETRY', 'RESUME');
create type run_state as enum ('RUNNING', 'COMPLETED', 'FAILED', 'STOPPED');

create table campaign_run (
    run_id        bigint generated always as identity primary key,
    campaign_id   bigint not null references campaign,
    run_no        int not null check (run_no > 0),         -- from 1 in each campaign
    kind          run_kind not null,
    state         run_state not null default 'RUNNING',
    -- Written by a partition that met trouble. It closes every gate; then the driver ends the run.
    halt          text,
    reason        text,
    actor         text not null,
    started_at    timestamptz not null default clock_timestamp(),
    finished_at   timestamptz,
    -- A person's stop: it closes every gate at once. The run ends STOPPED once no call is under way any more, so that
    -- the figures of its end are final.
    stop_actor    text,
    stop_reason   text,
    stop_asked_at timestamptz,
    -- Payments that had ended when the run began, after it had opened `reopened` FAILED ones again.
    done_before   bigint not null default 0,
    reopened      bigint not null default 0,
    -- The driver's lease. While it lasts, a second driver is refused; a driver that returns too late is refused by
    -- the epoch, its fencing token.
    driver_epoch  bigint not null default 1,
    driver_holder uuid not null,
    driver_until  timestamptz not null,
    -- What a RUNNING run waits for, as its driver sees it; null while payments are paid.
    waiting       jsonb,
    unique (campaign_id, run_no),
    constraint finished_once_ended check ((state = 'RUNNING') = (finished_at is null)),
    constraint stop_asked_whole check ((stop_actor is null) = (stop_asked_at is null))
);

-- One campaign runs at a time.
create unique index one_runs on campaign_run ((true)) where state = 'RUNNING';

-- Of these only can something be left: `check` asks for them in a database of many campaigns.
create index campaign_run_not_completed on campaign_run (campaign_id) where state in ('FAILED', 'STOPPED');

-- A run ends once: continuing is a new run.
create function refuse_another_end() returns trigger language plpgsql as $$
begin
    raise exception 'run % of campaign % is % and stays so', old.run_no, old.campaign_id, old.state
        using errcode = 'restrict_violation';
end $$;

create trigger ends_once before update of state on campaign_run
    for each row when (old.state <> 'RUNNING' and new.state <> old.state) execute function refuse_another_end();

-- The run whose payments may be sent now: RUNNING, neither halted nor being stopped, and its driver is alive.
create view live_run as
select * from campaign_run
where state = 'RUNNING' and halt is null and stop_asked_at is null and driver_until > clock_timestamp();

-- A campaign with its latest run, whose state it shows; before the first run it is WAITING.
-- Whether the login of this session may see member ids; for every login, of itself only.
create function sees_members() returns boolean
    language plpgsql stable security definer set search_path from current as $$
begin
    return exists (select from operator_right where login = session_user and permission = 'members');
end $$;

-- Why a run ended, which may name a member («m-1», bulkpoint/rules/member_names.py), for the login of this session.
create function shown_reason(reason text) returns text language sql stable as $$
    select case when reason like '%«%' and not sees_members()
                then regexp_replace(reason, '«[^»]*»', '«••••»', 'g') else reason end
$$;

create view campaign_overview as
select c.*,
       case when c.withdrawn_at is not null then 'WITHDRAWN' else coalesce(r.state::text, 'WAITING') end as state,
       r.run_id, r.run_no, r.kind as run_kind, shown_reason(r.reason) as run_reason, r.halt as run_halt,
       r.started_at as run_started_at, r.finished_at as run_finished_at, r.driver_until,
       case when r.state = 'RUNNING' then r.waiting end as run_waiting,
       coalesce(r.state = 'RUNNING' and r.driver_until <= clock_timestamp(), false) as driver_is_gone,
       coalesce(r.state = 'RUNNING' and r.stop_asked_at is not null, false) as stopping,
       a.archived_at, a.place as archive_place
from campaign c
left join campaign_archive a using (campaign_id)
left join lateral (
    select * from campaign_run where campaign_run.campaign_id = c.campaign_id order by run_no desc limit 1
) r on true;

-- ---------------------------------------------------------------------------------------------------------------------
-- Payments and their attempts, one partition per campaign
-- ---------------------------------------------------------------------------------------------------------------------

create type payment_state as enum ('PENDING', 'PROCESSING', 'SUCCESS', 'FAILED');
create type failure_kind as enum ('REJECTED', 'MISMATCH', 'UNAVAILABLE', 'UNKNOWN');

-- One row for each target. It is both the outbox of calls to the money API and the table of their results.
create table payment (
    campaign_id     bigint not null,
    seq             bigint not null,                       -- 1..n in the order of member_id
    member_id       text collate "C" not null,
    amount          bigint not null,
    reason          text not null,
    state           payment_state not null default 'PENDING',
    tries           smallint not null default 0,           -- calls of the latest run that count against the retry limit
    retry_runs      smallint not null default 0,           -- RETRY runs that took this payment
    next_try_at     timestamptz,
    maybe_credited  boolean not null default false,        -- until the money API itself says otherwise
    first_sent_at   timestamptz,
    -- When the latest call left: for the visibility delay after it, "not found" proves nothing.
    last_sent_at    timestamptz,
    -- Who has it while PROCESSING: a share, and the fencing token of the holder that claimed the payment.
    claim_share     smallint,
    claim_epoch     bigint,
    transaction_id  text,
    failure_kind    failure_kind,
    failure_code    text,
    failure_message text,
    -- The money API itself refused its latest call, with failure_code: REJECTED if an earlier one has not credited it.
    refused         boolean not null default false,
    finished_at     timestamptz,
    -- Why it was FAILED before its latest RETRY. If that run learns nothing from the money API, it is FAILED so again.
    retried_kind    failure_kind,
    retried_code    text,
    retried_message text,
    primary key (campaign_id, seq),
    constraint success_has_its_transaction check (state <> 'SUCCESS' or transaction_id is not null),
    constraint failed_has_its_kind check ((state = 'FAILED') = (failure_kind is not null)),
    constraint processing_has_its_claim check ((state = 'PROCESSING') = (claim_epoch is not null)),
    constraint never_sent_is_never_failed check (state <> 'FAILED' or first_sent_at is not null),
    constraint maybe_credited_ends_unknown check (state <> 'FAILED' or not maybe_credited or failure_kind = 'UNKNOWN')
) partition by list (campaign_id);

-- For the help desk. There is no index on state or time: it would prevent heap-only updates.
create index payment_member on payment (member_id);

-- One row for each wire send, never changed. A look-up (GET) is a send too, and counts against the limit.
create table payment_attempt (
    campaign_id    bigint not null,
    attempt_id     uuid not null,                          -- UUIDv7, made before the send
    method         text not null default 'POST' check (method in ('POST', 'GET')),
    seq            bigint not null,
    run_id         bigint not null,
    sent_at        timestamptz not null,
    answered_at    timestamptz,
    http_status    smallint,
    outcome        text not null,
    code           text,
    transaction_id text,
    primary key (campaign_id, attempt_id)
) partition by list (campaign_id);

-- Which payment a transaction id of the money API names, over all campaigns: one id never pays two. Filled by the
-- statements that make a payment SUCCESS. A table of its own, because an index on payment.transaction_id would prevent
-- heap-only updates; collation C, because ids are only compared for equality (docs/decisions/0012).
create table money_transaction (
    transaction_id text collate "C" primary key,
    campaign_id    bigint not null,
    seq            bigint not null
);

-- Ids that people name are compared without case, in the form NFKC. Those of small letters only, or of capital letters
-- only, are found by the primary key: only the others, which few money APIs have, need this index.
create index money_transaction_folded on money_transaction (lower(normalize(transaction_id, NFKC)))
where transaction_id <> lower(transaction_id) and transaction_id <> upper(transaction_id)
   or octet_length(transaction_id) <> length(transaction_id);

-- Payments and points by state and kind of failure. Each share adds the differences that it makes, in the transaction
-- that makes them. So one row may be negative; the sums over the shares are the progress, at the same cost for every
-- size of campaign. share -1 is the driver's: the freeze, a retry, a reconciliation.
create table campaign_counter (
    campaign_id  bigint not null references campaign,
    share        smallint not null check (share >= -1),
    state        payment_state not null,
    failure_kind failure_kind,
    count        bigint not null,
    amount       bigint not null,
    constraint one_counter unique nulls not distinct (campaign_id, share, state, failure_kind),
    constraint only_failed_has_a_kind check ((state = 'FAILED') = (failure_kind is not null))
) with (fillfactor = 50);

create index campaign_counter_unknown on campaign_counter (campaign_id) where failure_kind = 'UNKNOWN';

-- The sums by state. FAILED includes UNKNOWN, which is counted apart too: such a payment may have been credited.
create view campaign_count as
select campaign_id,
       coalesce(sum(count) filter (where state = 'PENDING'), 0)::bigint as pending,
       coalesce(sum(count) filter (where state = 'PROCESSING'), 0)::bigint as processing,
       coalesce(sum(count) filter (where state = 'SUCCESS'), 0)::bigint as success,
       coalesce(sum(count) filter (where state = 'FAILED'), 0)::bigint as failed,
       coalesce(sum(count) filter (where failure_kind = 'UNKNOWN'), 0)::bigint as unknown,
       coalesce(sum(amount) filter (where state = 'PENDING'), 0)::bigint as pending_amount,
       coalesce(sum(amount) filter (where state = 'PROCESSING'), 0)::bigint as processing_amount,
       coalesce(sum(amount) filter (where state = 'SUCCESS'), 0)::bigint as success_amount,
       coalesce(sum(amount) filter (where state = 'FAILED'), 0)::bigint as failed_amount,
       coalesce(sum(amount) filter (where failure_kind = 'UNKNOWN'), 0)::bigint as unknown_amount
from campaign_counter group by campaign_id;

-- FAILED payments by kind.
create view campaign_failed_count as
select campaign_id, failure_kind, sum(count)::bigint as count, sum(amount)::bigint as amount
from campaign_counter where state = 'FAILED' group by campaign_id, failure_kind;

-- Wire sends of a run by outcome, and how long their answers took: what payment_attempt would say, without reading it,
-- and for good, because it stays when attempts are removed. Each share adds its own in the statement that writes them;
-- share -1 is that of reconciliations, share -2 has all of a run that ended, once the next one begins. buckets:
-- answered calls by duration; the bounds are in rules/durations.py.
create table call_tally (
    run_id      bigint not null references campaign_run,
    share       smallint not null check (share >= -2),
    method      text not null,
    outcome     text not null,
    calls       bigint not null,
    seconds_sum double precision not null,                 -- of answered calls
    buckets     bigint[] not null,
    primary key (run_id, share, method, outcome)
) with (fillfactor = 50);

create index call_tally_open on call_tally (run_id) where share > -2;

-- The sums of all rows of share -2: with the few other rows, every call there ever was.
create table call_total (
    method      text not null,
    outcome     text not null,
    calls       bigint not null,
    seconds_sum double precision not null,
    buckets     bigint[] not null,
    primary key (method, outcome)
);

-- Element by element; of two histograms with the same bounds.
create function added(had bigint[], more bigint[]) returns bigint[] language sql immutable strict as $$
    select array(select u.one + u.other from unnest(had, more) with ordinality as u(one, other, place) order by place)
$$;

create aggregate sum_of(bigint[]) (sfunc = added, stype = bigint[]);

-- Makes the rows of runs that ended one for each outcome, as share -2, and adds them to call_total: a scrape reads a
-- few rows, however many campaigns there were. A late result adds a row again, for the next time; one that is being
-- written now is left alone, and not waited for. By this function, because what is counted never becomes less.
create function fold_call_tally() returns void language sql security definer set search_path from current as $$
    with over as materialized (
        select t.run_id, t.share, t.method, t.outcome from call_tally t join campaign_run r using (run_id)
        where t.share > -2 and r.state <> 'RUNNING' for update of t skip locked
    ), folded as (
        delete from call_tally t using over o
        where (t.run_id, t.share, t.method, t.outcome) = (o.run_id, o.share, o.method, o.outcome) returning t.*
    ), of_run as (
        insert into call_tally as t (run_id, share, method, outcome, calls, seconds_sum, buckets)
        select run_id, -2, method, outcome, sum(calls), sum(seconds_sum), sum_of(buckets)
        from folded group by run_id, method, outcome order by run_id, method, outcome
        on conflict (run_id, share, method, outcome) do update set
            calls = t.calls + excluded.calls, seconds_sum = t.seconds_sum + excluded.seconds_sum,
            buckets = added(t.buckets, excluded.buckets)
    )
    insert into call_total as t (method, outcome, calls, seconds_sum, buckets)
    select method, outcome, sum(calls), sum(seconds_sum), sum_of(buckets)
    from folded group by method, outcome order by method, outcome
    on conflict (method, outcome) do update set
        calls = t.calls + excluded.calls, seconds_sum = t.seconds_sum + excluded.seconds_sum,
        buckets = added(t.buckets, excluded.buckets)
$$;
revoke execute on function fold_call_tally() from public;

-- Copies a campaign's targets into payments, numbered 1..n by member_id. The partition is filled first and attached
-- last, so a reader of other campaigns never waits for a start. The caller has locked the campaign's row FOR UPDATE and
-- has computed and checked the digest.
create function freeze_campaign(of_campaign bigint, of_digest bytea) returns void
    language plpgsql security definer set search_path from current as $$
declare
    payments text := 'payment_' || of_campaign;
    attempts text := 'payment_attempt_' || of_campaign;
    only_this text := 'campaign_id = ' || of_campaign;
    copied bigint;
begin
    -- Half of each page is left free: each row is written twice while it is paid, and those of one page at about the
    -- same time. In pages that are fuller, every fourth change moves to another page, and writes both indexes.
    execute format('create table %I (like payment including defaults including constraints, check (%s))
                    with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05,
                          autovacuum_vacuum_insert_scale_factor = 0.5)', payments, only_this);
    execute format('insert into %I (campaign_id, seq, member_id, amount, reason)
                    select campaign_id, row_number() over (order by member_id), member_id, amount, reason
                    from campaign_target where campaign_id = $1 order by member_id', payments) using of_campaign;
    get diagnostics copied = row_count;
    execute format('alter table %I add primary key (campaign_id, seq)', payments);
    execute format('create index on %I (member_id)', payments);
    execute format('alter table payment attach partition %I for values in (%s)', payments, of_campaign);
    execute format('create table %I (like payment_attempt including defaults including constraints including indexes,
                                     check (%s))', attempts, only_this);
    execute format('alter table payment_attempt attach partition %I for values in (%s)', attempts, of_campaign);
    execute format('analyze %I', payments);

    update campaign
    set frozen_at = clock_timestamp(), target_count = copied, target_amount = expected_amount, digest = of_digest
    where campaign_id = of_campaign and expected_count = copied;
    if not found then
        raise exception 'campaign %: % targets were copied, which is not what is expected', of_campaign, copied;
    end if;
    insert into campaign_counter (campaign_id, share, state, count, amount)
    select campaign_id, -1, 'PENDING', target_count, target_amount from campaign where campaign_id = of_campaign;
end $$;
revoke execute on function freeze_campaign(bigint, bytea) from public;

-- What the payments of an archived campaign came to: by the quarter of an hour in which they ended, because that is the
-- step of the world's time zones, and by the reasons with the most points; null: all other reasons. No member.
create table archived_sum (
    campaign_id  bigint not null references campaign_archive,
    ended_from   timestamptz,                              -- null: they have not ended
    reason       text,
    state        payment_state not null,
    failure_kind failure_kind,
    count        bigint not null,
    amount       bigint not null
);
create index archived_sum_campaign on archived_sum (campaign_id);

-- Keeps everyone from changing a campaign's payments and attempts, until the caller's transaction ends; readers go on.
create function lock_payments(of_campaign bigint) returns void
    language plpgsql security definer set search_path from current as $$
begin
    if not exists (select from operator_right where login = session_user and permission = 'archive') then
        raise exception 'login % may not archive campaigns', session_user using errcode = 'insufficient_privilege';
    end if;
    execute format('lock table %I, %I in share mode', 'payment_' || of_campaign, 'payment_attempt_' || of_campaign);
end $$;
revoke execute on function lock_payments(bigint) from public;

-- Marks a campaign as archived, and removes its targets. Its files were compared with the rows under the locks that the
-- caller's transaction has: the campaign's row FOR UPDATE, its partitions IN SHARE MODE.
create function archive_campaign(
    of_campaign bigint, by_actor text, in_place text, of_manifest bytea, payment_rows bigint, attempt_rows bigint
) returns void language plpgsql security definer set search_path from current as $$
begin
    if not exists (select from operator_right where login = session_user and permission = 'archive') then
        raise exception 'login % may not archive campaigns', session_user using errcode = 'insufficient_privilege';
    end if;
    if not exists (select from campaign_overview where campaign_id = of_campaign
                   and state in ('COMPLETED', 'FAILED', 'STOPPED') and run_finished_at < clock_timestamp() - coalesce(
                       (select key_retention_h from money_promise), 0) * interval '1 hour')
       or exists (select from payment where campaign_id = of_campaign and state = 'PROCESSING') then
        raise exception 'campaign % may still be needed: it has not ended, or the money API still knows its keys',
            of_campaign using errcode = 'restrict_violation';
    end if;
    insert into campaign_archive (campaign_id, archived_by, place, manifest_digest, payments, attempts)
    values (of_campaign, by_actor, in_place, of_manifest, payment_rows, attempt_rows);
    insert into archived_sum (campaign_id, ended_from, reason, state, failure_kind, count, amount)
    select of_campaign,
           case when p.state in ('SUCCESS', 'FAILED') then date_bin('15 minutes', p.finished_at, 'epoch') end,
           kept.reason, p.state, p.failure_kind, count(*), sum(p.amount)
    from payment p
    left join (select reason from payment where campaign_id = of_campaign
               group by reason order by sum(amount) desc, reason limit 1000) kept using (reason)
    where p.campaign_id = of_campaign group by 2, 3, 4, 5;
    -- What made the list look wrong stays, without the rows that are its examples: they name members.
    update campaign_finding set facts = facts || '{"examples": []}' where campaign_id = of_campaign;
    delete from campaign_target where campaign_id = of_campaign;
end $$;
revoke execute on function archive_campaign(bigint, text, text, bytea, bigint, bigint) from public;

-- Drops the partitions of a campaign that is archived. Whoever pays another campaign waits for `lock_timeout` at most:
-- then this fails (55P03), and the caller tries again from a savepoint. Locked in the order in which a payer locks.
create function drop_archived_partitions(of_campaign bigint) returns void
    language plpgsql security definer set search_path from current as $$
begin
    if not exists (select from operator_right where login = session_user and permission = 'archive')
       or not exists (select from campaign_archive where campaign_id = of_campaign) then
        raise exception 'the partitions of campaign % stay', of_campaign using errcode = 'insufficient_privilege';
    end if;
    execute format('lock table %I, %I in access exclusive mode',
                   'payment_' || of_campaign, 'payment_attempt_' || of_campaign);
    lock table only payment, only payment_attempt in access exclusive mode;
    execute format('drop table %I, %I', 'payment_' || of_campaign, 'payment_attempt_' || of_campaign);
end $$;
revoke execute on function drop_archived_partitions(bigint) from public;

-- Campaigns whose attempts were removed, because they were older than people want to keep them.
create table removed_attempts (
    campaign_id   bigint primary key references campaign,
    removed_at    timestamptz not null default clock_timestamp(),
    removed_by    text not null,                           -- a claimed name
    removed_login name not null default session_user,      -- what the database knows
    attempts      bigint not null
);

-- Removes the attempts of one campaign that ended so long ago, with nothing left to do, and never before the money API
-- has forgotten its keys. Only this campaign's own table is locked. Returns how many they were.
create function remove_attempts(of_campaign bigint, by_actor text, older_than interval) returns bigint
    language plpgsql security definer set search_path from current as $$
declare
    removed bigint;
begin
    if not exists (select from operator_right where login = session_user and permission = 'archive') then
        raise exception 'login % may not remove attempts', session_user using errcode = 'insufficient_privilege';
    end if;
    if not exists (select from campaign_overview o join campaign_count c using (campaign_id)
                   where o.campaign_id = of_campaign and o.archived_at is null
                     and o.state in ('COMPLETED', 'FAILED', 'STOPPED') and c.pending + c.processing + c.unknown = 0
                     and o.run_finished_at < clock_timestamp() - greatest(
                         older_than, coalesce((select key_retention_h from money_promise), 0) * interval '1 hour')) then
        raise exception 'the attempts of campaign % may still be needed', of_campaign
            using errcode = 'restrict_violation';
    end if;
    execute format('lock table %I in access exclusive mode', 'payment_attempt_' || of_campaign);
    select count(*) into removed from payment_attempt where campaign_id = of_campaign;
    execute format('truncate %I', 'payment_attempt_' || of_campaign);
    insert into removed_attempts (campaign_id, removed_by, attempts) values (of_campaign, by_actor, removed);
    return removed;
end $$;
revoke execute on function remove_attempts(bigint, text, interval) from public;

-- Samples of a run's progress, one every few seconds.
create table campaign_progress (
    run_id     bigint not null references campaign_run,
    sampled_at timestamptz not null default clock_timestamp(),
    pending    bigint not null,
    processing bigint not null,
    success    bigint not null,
    failed     bigint not null,
    tps        int not null,
    primary key (run_id, sampled_at)
);

-- ---------------------------------------------------------------------------------------------------------------------
-- The limit: one global figure, divided into integer shares that partitions lease
-- ---------------------------------------------------------------------------------------------------------------------

create table money_limit (
    only_row       boolean primary key default true check (only_row),
    tps            int not null check (tps >= 0),          -- calls per second; 0 pauses everything
    shares         int not null check (shares > 0),
    set_by         text not null,
    set_at         timestamptz not null default clock_timestamp(),
    reason         text,
    until          timestamptz,
    tps_afterwards int check (tps_afterwards >= 0),        -- the figure from `until` on
    last_event_no  bigint not null default 0,
    constraint until_has_its_afterwards check ((until is null) = (tps_afterwards is null))
);

-- What the money API promises, and how long a call to it may take. Whether a payment may be sent again rests on it,
-- so it belongs to the deployment: processes whose settings differ use the safer value of the two.
create table money_promise (
    only_row          boolean primary key default true check (only_row),
    key_retention_h   double precision not null check (key_retention_h > 0 and key_retention_h < 'infinity'),
    settle_s          double precision not null check (settle_s between 0 and 86400),
    connect_timeout_s double precision not null check (connect_timeout_s > 0),
    timeout_s         double precision not null check (timeout_s > 0 and timeout_s <= 60),
    set_by            text not null,
    set_at            timestamptz not null default clock_timestamp(),
    reason            text not null,
    constraint connecting_is_part_of_the_call check (connect_timeout_s <= timeout_s)
);

create table money_share (
    share        smallint primary key check (share >= 0),
    epoch        bigint not null default 0,                -- the fencing token: it grows with every holder
    holder       uuid,
    run_id       bigint,
    leased_until timestamptz,                              -- database time; includes calls that may be on their way
    released_at  timestamptz,
    handover     jsonb,                                    -- the last second's sends, written at a clean release
    -- How far the money API slows the holder down; null where it does not. Stored at every renewal, so that it
    -- survives a crash.
    pressure     jsonb,
    -- What the holder's run last heard of the money API: a usable answer, trouble, until when it asked us to wait.
    heard        jsonb,
    -- While the money API slows any share down: what this one counted, and, of the lowest share, when each may send.
    turns        jsonb
) with (fillfactor = 50);

-- The leased shares: their epoch is the fencing token of a live holder.
create view live_share as
select * from money_share where leased_until > clock_timestamp();

-- ---------------------------------------------------------------------------------------------------------------------
-- What leaves the system
-- ---------------------------------------------------------------------------------------------------------------------

-- The transactional outbox. event_no counts a campaign's events without a gap, because it is taken under the campaign's
-- row lock. campaign 0 is the deployment itself (tps.changed).
create table outbox_event (
    campaign_id  bigint not null check (campaign_id >= 0),
    event_no     bigint not null check (event_no > 0),
    event_id     uuid not null unique,
    type         text not null check (type in (
        'campaign.created', 'campaign.approved', 'campaign.rejected', 'campaign.withdrawn', 'campaign.started',
        'campaign.progressed', 'campaign.completed', 'campaign.failed', 'campaign.stopped', 'campaign.corrected',
        'campaign.retried', 'campaign.resumed', 'campaign.forced', 'tps.changed')),
    version      int not null default 1,
    run_no       int,
    occurred_at  timestamptz not null default clock_timestamp(),
    actor        text not null,
    data         jsonb not null default '{}',
    published_at timestamptz,
    -- Kafka refused this very event: it is parked (a dead letter), later events go on, and people are notified.
    parked_at    timestamptz,
    trouble      text,
    primary key (campaign_id, event_no),
    constraint parked_or_published check (num_nulls(parked_at, published_at) > 0)
);

-- What waits for the relay, which looks every second; and what is young enough for the notifier, which does so too.
create index outbox_unpublished on outbox_event (campaign_id, event_no)
where published_at is null and parked_at is null;
create index outbox_event_occurred on outbox_event (occurred_at);
create index outbox_parked on outbox_event (campaign_id, event_no) where parked_at is not null;

-- How far the relay is with a campaign's events; campaign 0 is the deployment. Two relays take turns on its row, so a
-- campaign's events are published in order. Writers of events never touch it: paying does not wait for the relay.
create table outbox_cursor (
    campaign_id  bigint primary key,
    published_no bigint not null default 0,                -- events up to this one are published, or parked
    tries        int not null default 0,                   -- of the next event, where Kafka refused that very event
    next_try_at  timestamptz
);

-- One message per event and channel. It is claimed before it is sent, so two notifiers do not both send it. The claim
-- of a dead notifier expires.
create table notification (
    event_id      uuid not null,
    channel       text not null,
    claimed_until timestamptz,
    sent_at       timestamptz,
    primary key (event_id, channel)
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Who may do what, and who did it
-- ---------------------------------------------------------------------------------------------------------------------

create table operator_right (
    login      name not null,
    permission text not null check (
        permission in ('start', 'force', 'approve', 'throttle', 'reconcile', 'archive', 'members')),
    granted_at timestamptz not null default clock_timestamp(),
    primary key (login, permission)
);

-- The login that made the tables owns them, and starts with every right.
insert into operator_right (login, permission)
select session_user, unnest(array['start', 'force', 'approve', 'throttle', 'reconcile', 'archive', 'members']);

-- Append-only hash chain: each row is sealed with the hash of the row before.
create table audit_event (
    audit_no    bigint primary key,
    occurred_at timestamptz not null,
    login       text not null,
    os_user     text not null,
    host        text not null,
    actor       text not null,
    action      text not null,
    campaign_id bigint,
    run_no      int,
    detail      jsonb not null default '{}',
    hash        bytea not null
);

-- The history of one campaign.
create index audit_event_campaign on audit_event (campaign_id);

-- The history of the limit.
create index audit_event_limit on audit_event (audit_no) where action = 'tps.set';

create table audit_head (
    only_row boolean primary key default true check (only_row),
    audit_no bigint not null,
    hash     bytea not null
);
insert into audit_head (audit_no, hash) values (0, sha256(''::bytea));

create function audit_hash(previous bytea, e audit_event) returns bytea language sql stable as $$
    select sha256(previous || convert_to(jsonb_build_array(
        e.audit_no, extract(epoch from e.occurred_at), e.login, e.os_user, e.host, e.actor, e.action,
        e.campaign_id, e.run_no, e.detail
    )::text, 'UTF8'))
$$;

create function seal_audit_event() returns trigger language plpgsql security definer set search_path from current as $$
declare
    head audit_head;
begin
    select * into head from audit_head for update;         -- one writer at a time: the chain has no branches
    new.audit_no := head.audit_no + 1;
    new.occurred_at := clock_timestamp();
    new.login := session_user;
    new.hash := audit_hash(head.hash, new);
    update audit_head set audit_no = new.audit_no, hash = new.hash;
    return new;
end $$;

create trigger sealed before insert on audit_event for each row execute function seal_audit_event();

create function refuse_audit_change() returns trigger language plpgsql as $$
begin
    raise exception 'audit_event is append-only: % is refused', tg_op using errcode = 'restrict_violation';
end $$;

create trigger append_only before update or delete on audit_event for each row execute function refuse_audit_change();
create trigger never_truncated before truncate on audit_event for each statement execute function refuse_audit_change();

-- Who looks at members or takes them out leaves a trace, also with a login that may change nothing else: it adds these
-- rows by this function, and no others. Returns that login.
create function note_reading(
    of_action text, of_campaign bigint, os_user text, host text, actor text, detail jsonb
) returns text language plpgsql security definer set search_path from current as $$
begin
    if of_action not in ('export', 'find', 'list', 'preview') then
        raise exception 'a reader''s trace is an export, a find, a list or a preview, not %', of_action
            using errcode = 'insufficient_privilege';
    end if;
    insert into audit_event (os_user, host, actor, action, campaign_id, detail)
    values (os_user, host, actor, of_action, of_campaign,
            (detail - 'masked') || case when sees_members() then '{}' else '{"masked": true}' end::jsonb);
    return session_user;
end $$;
revoke execute on function note_reading(text, bigint, text, text, text, jsonb) from public;

-- Payments that are SUCCESS by a person's word: paid at the money API by hand, under no key of ours. Written in the
-- transaction that makes the payment SUCCESS, with what the money API said about our key at that time.
create table settled_by_hand (
    campaign_id    bigint not null references campaign,
    seq            bigint not null,
    amount         bigint not null check (amount > 0),     -- points of the payment
    transaction_id text collate "C" not null,
    money_said     text not null check (money_said in ('NOT_CREDITED', 'FORGOTTEN')),
    reason         text not null check (length(reason) between 1 and 500),
    settled_by     text not null,                          -- a claimed name
    settled_login  name not null default session_user,     -- what the database knows
    settled_at     timestamptz not null default clock_timestamp(),
    primary key (campaign_id, seq)
);

create function check_settled_by_hand() returns trigger language plpgsql set search_path from current as $$
begin
    if tg_op <> 'INSERT' then
        raise exception 'settled_by_hand is append-only: % is refused', tg_op using errcode = 'restrict_violation';
    end if;
    if new.settled_login <> session_user
       or not exists (select from operator_right where login = session_user and permission = 'reconcile') then
        raise exception 'login % may not settle a payment in the name of %', session_user, new.settled_login
            using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;

create trigger settled_in_ones_own_name before insert or update or delete on settled_by_hand
    for each row execute function check_settled_by_hand();

-- ---------------------------------------------------------------------------------------------------------------------
-- Starts that are asked for
-- ---------------------------------------------------------------------------------------------------------------------

-- A run that someone asked for, from the question to the run: Spark needs some 20 s to start, and until then it can be
-- called back. Whoever runs the job takes the request; the transaction that makes the run ends it as DONE.
create table run_request (
    request_id   uuid primary key,
    campaign_id  bigint not null references campaign,
    kind         run_kind not null,
    options      jsonb not null default '{}',              -- what else was asked for: force, same_as, selection
    digest       text,
    reason       text,
    actor        text not null,                            -- a claimed name
    requested_by name not null default session_user,       -- what the database knows; its rights count
    requested_at timestamptz not null default clock_timestamp(),
    -- Until then whoever runs jobs may take it. Null: the program that asked starts the job itself.
    valid_until  timestamptz,
    -- An automatic retry: the request of the run before it, in whose name the same job asks again.
    follows      uuid references run_request,
    state        text not null default 'WAITING' check (state in ('WAITING', 'TAKEN', 'DONE', 'REFUSED')),
    holder       uuid,                                     -- the driver that has it, new each time that it is taken
    taken_by     text,                                     -- host and process of the job
    taken_login  name,                                     -- the login that runs it; the trigger writes it
    -- Renewed by the job: after it, the program that asked or the job is gone.
    alive_until  timestamptz not null,
    refusal      jsonb,                                    -- code and facts; its sentence is made where it is shown
    ended_at     timestamptz,
    constraint refused_has_its_refusal check ((state = 'REFUSED') = (refusal is not null)),
    constraint ended_once_over check ((state in ('DONE', 'REFUSED')) = (ended_at is not null)),
    constraint taken_has_its_taker check (state <> 'TAKEN' or taken_by is not null and holder is not null)
);

create index run_request_open on run_request (campaign_id) where state in ('WAITING', 'TAKEN');
-- A second click asks for nothing more.
create unique index run_request_one_waits on run_request (campaign_id)
    where state in ('WAITING', 'TAKEN') and valid_until is not null;
-- Of those that were left, one is on its way at a time.
create unique index run_request_one_on_its_way on run_request ((true))
    where state = 'TAKEN' and valid_until is not null;

-- Nobody asks in another login's name, or without the right; but a job does that retries what its own run has left.
create function check_run_request() returns trigger language plpgsql as $$
begin
    if new.follows is null and new.requested_by <> session_user
       or new.follows is not null and (
           new.kind <> 'RETRY' or new.valid_until is not null
           or coalesce((new.options #>> '{selection,beyond_limit}')::boolean, false))
       or new.follows is not null and not exists (
           select from run_request q where q.request_id = new.follows and q.campaign_id = new.campaign_id
              and q.state = 'DONE' and q.requested_by = new.requested_by and q.taken_login = session_user) then
        raise exception 'login % asks for a run in the name of %', session_user, new.requested_by
            using errcode = 'insufficient_privilege';
    end if;
    if not exists (select from operator_right where login = new.requested_by and permission = 'start')
       or (new.options->>'force')::boolean
          and not exists (select from operator_right where login = new.requested_by and permission = 'force') then
        raise exception 'login % may not start campaigns', new.requested_by using errcode = 'insufficient_privilege';
    end if;
    new.taken_login := case when new.state = 'TAKEN' then session_user end;
    return new;
end $$;

create trigger asked_with_the_right before insert on run_request for each row execute function check_run_request();

-- What is over stays over, and who takes a request cannot say that somebody else did.
create function check_taken_request() returns trigger language plpgsql as $$
begin
    if old.state in ('DONE', 'REFUSED') then
        raise exception 'request % is over: it is %', old.request_id, old.state using errcode = 'restrict_violation';
    end if;
    new.taken_login := case when new.holder is distinct from old.holder and new.state = 'TAKEN' then session_user
                            else old.taken_login end;
    return new;
end $$;

create trigger taken_in_ones_own_name before update on run_request for each row execute function check_taken_request();

-- Programs that take requests and run their jobs (`bulkpoint agent`), each with its sign of life.
create table agent (
    host        text not null,
    pid         int not null,
    login       name not null default session_user,
    started_at  timestamptz not null default clock_timestamp(),
    alive_until timestamptz not null,
    primary key (host, pid)
);
