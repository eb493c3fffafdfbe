-- Payments, their attempts and the counters; a partition a campaign.

create type payment_state as enum ('PENDING', 'PROCESSING', 'SUCCESS', 'FAILED');
create type failure_kind as enum ('REJECTED', 'MISMATCH', 'UNAVAILABLE', 'UNKNOWN');

create table payment (
    campaign_id     bigint not null,
    seq             bigint not null,
    member_id       text collate "C" not null,
    amount          bigint not null,
    reason          text not null,
    state           payment_state not null default 'PENDING',
    tries           smallint not null default 0,        -- calls of the latest run that count against the retry limit; a 429 does not
    next_try_at     timestamptz,
    maybe_credited  boolean not null default false,
    first_sent_at   timestamptz,
    claim_share     smallint,
    claim_epoch     bigint,
    transaction_id  text,
    failure_kind    failure_kind,
    failure_code    text,
    failure_message text,
    finished_at     timestamptz,
    primary key (campaign_id, seq),
    constraint success_has_its_transaction check (state <> 'SUCCESS' or transaction_id is not null),
    constraint failed_has_its_kind check ((state = 'FAILED') = (failure_kind is not null)),
    constraint processing_has_its_claim check ((state = 'PROCESSING') = (claim_epoch is not null)),
    constraint never_sent_is_never_failed check (state <> 'FAILED' or first_sent_at is not null),
    constraint maybe_credited_ends_unknown check (state <> 'FAILED' or not maybe_credited or failure_kind = 'UNKNOWN')
) partition by list (campaign_id);
-- For the help desk. None on state or time: it would undo the heap-only updates.
create index payment_member on payment (member_id);

-- One row for each wire send, never changed; what a later reversal stands on.
create table payment_attempt (
    campaign_id    bigint not null,
    attempt_id     uuid not null,
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

-- Payments and points by state and kind of failure. Each share adds the differences that it makes, in the transaction
-- that makes them, so a row by itself may be negative and the sums over the shares are the progress, whatever the size of
-- the campaign. share -1 is the driver's: the freeze, a retry, a reconciliation.
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

-- The sums by state; FAILED includes UNKNOWN.
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
       coalesce(sum(amount) filter (where state = 'FAILED'), 0)::bigint as failed_amount
from campaign_counter group by campaign_id;

-- The FAILED ones by kind.
create view campaign_failed_count as
select campaign_id, failure_kind, sum(count)::bigint as count, sum(amount)::bigint as amount
from campaign_counter where state = 'FAILED' group by campaign_id, failure_kind;

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

-- SHA-256 over a campaign's rows in the order of member_id (collation C), each row as
--     <bytes of member_id>:<member_id>,<amount>,<bytes of reason>:<reason>\n
-- hashed in chunks of 10,000 rows and then over the chunks' hashes: a value of PostgreSQL holds 1 GB at most.
create function target_digest(of_campaign bigint) returns bytea language sql stable as $$
    with numbered as (
        select row_number() over (order by member_id) - 1 as position, member_id, amount, reason
        from campaign_target where campaign_id = of_campaign
    ), chunk as (
        select position / 10000 as no, sha256(convert_to(string_agg(
            octet_length(member_id) || ':' || member_id || ',' || amount || ',' || octet_length(reason) || ':' || reason || E'\n',
            '' order by position), 'UTF8')) as hash
        from numbered group by position / 10000
    )
    select sha256(coalesce(string_agg(hash, ''::bytea order by no), ''::bytea)) from chunk
$$;

-- Copies the targets into payments, numbered 1..n by member_id. The partition is filled first and attached last, so a
-- reader of other campaigns never waits for a start. The caller holds the campaign's row FOR UPDATE and has checked the totals.
create function freeze_campaign(of_campaign bigint) returns void
    language plpgsql security definer set search_path from current as $$
declare
    payments text := 'payment_' || of_campaign;
    attempts text := 'payment_attempt_' || of_campaign;
    one text := 'campaign_id = ' || of_campaign;
begin
    execute format('create table %I (like payment including defaults including constraints, check (%s))
                    with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5)', payments, one);
    execute format('insert into %I (campaign_id, seq, member_id, amount, reason)
                    select campaign_id, row_number() over (order by member_id), member_id, amount, reason
                    from campaign_target where campaign_id = $1 order by member_id', payments) using of_campaign;
    execute format('alter table %I add primary key (campaign_id, seq)', payments);
    execute format('create index on %I (member_id)', payments);
    execute format('alter table payment attach partition %I for values in (%s)', payments, of_campaign);
    execute format('create table %I (like payment_attempt including defaults including constraints including indexes, check (%s))', attempts, one);
    execute format('alter table payment_attempt attach partition %I for values in (%s)', attempts, of_campaign);
    execute format('analyze %I', payments);

    update campaign c
    set frozen_at = clock_timestamp(), target_count = t.n, target_amount = t.amount, digest = target_digest(of_campaign)
    from (select count(*) as n, sum(amount)::bigint as amount from campaign_target where campaign_id = of_campaign) t
    where c.campaign_id = of_campaign;
    insert into campaign_counter (campaign_id, share, state, count, amount)
    select campaign_id, -1, 'PENDING', target_count, target_amount from campaign where campaign_id = of_campaign;
end $$;
