-- Campaigns, their targets and their runs.

create table campaign (
    campaign_id      bigint generated always as identity primary key,
    name             text not null check (length(name) between 1 and 200),
    note             text not null default '' check (length(note) <= 2000),
    -- Part of every idempotency key; random, so a wiped or failed-over database cannot meet old keys.
    key_namespace    uuid not null default gen_random_uuid(),
    expected_count   bigint not null check (expected_count > 0),
    expected_amount  bigint not null check (expected_amount > 0),
    creator          text not null,
    created_at       timestamptz not null default clock_timestamp(),
    not_before       timestamptz,
    frozen_at        timestamptz,
    target_count     bigint,
    target_amount    bigint,
    digest           bytea check (length(digest) = 32),
    approved_by      text,
    approved_at      timestamptz,
    approved_digest  bytea,
    withdrawn_by     text,
    withdrawn_at     timestamptz,
    withdrawn_reason text,
    last_event_no    bigint not null default 0,
    check (num_nulls(frozen_at, target_count, target_amount, digest) in (0, 4))
);

create function keep_key_namespace() returns trigger language plpgsql as $$
begin
    raise exception 'campaign %: key_namespace never changes, every idempotency key is made from it', old.campaign_id;
end $$;

create trigger key_namespace_never_changes before update of key_namespace on campaign
    for each row when (old.key_namespace is distinct from new.key_namespace) execute function keep_key_namespace();

-- Written by loaders, read-only to the payer. Collation C: the order of the freeze, the same on every server.
create table campaign_target (
    campaign_id bigint not null,
    member_id   text collate "C" not null
        constraint member_id_length check (length(member_id) between 1 and 128)
        constraint member_id_no_control_characters check (member_id !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]')
        constraint member_id_no_space_at_the_ends check (member_id !~ '^[\s\u0085\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]|[\s\u0085\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]$'),
    amount      bigint not null constraint amount_range check (amount between 1 and 1000000000000),
    reason      text not null constraint reason_length check (length(reason) between 1 and 500),
    primary key (campaign_id, member_id)
);

-- A loader takes its campaign's row FOR KEY SHARE, the freeze takes it FOR UPDATE: a loader that is still open when the
-- freeze begins is waited for, and one that comes later is refused. Without this its rows would be lost, silently.
-- Once a statement, not once a row: a load of a million rows pays for one look-up.
create function refuse_targets_once_frozen() returns trigger language plpgsql as $$
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
        if campaign_frozen_at is not null then
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

create type run_kind as enum ('INITIAL', 'RETRY', 'RESUME', 'REVERSAL');
create type run_state as enum ('RUNNING', 'COMPLETED', 'FAILED', 'STOPPED');

create table campaign_run (
    run_id        bigint generated always as identity primary key,
    campaign_id   bigint not null references campaign,
    run           int not null check (run > 0),
    kind          run_kind not null,
    state         run_state not null default 'RUNNING',
    -- Written by a partition that met trouble; closes every gate until the driver ends the run.
    halt          text,
    reason        text,
    actor         text not null,
    started_at    timestamptz not null default clock_timestamp(),
    finished_at   timestamptz,
    -- The driver's own lease: a second driver is refused while it lives, a late one is fenced by the epoch.
    driver_epoch  bigint not null default 1,
    driver_holder uuid not null,
    driver_until  timestamptz not null,
    unique (campaign_id, run),
    check ((state = 'RUNNING') = (finished_at is null))
);

create unique index one_runs on campaign_run ((true)) where state = 'RUNNING';

-- A campaign shows its latest run's state; before the first run it waits.
create view campaign_overview as
select c.*,
       case when c.withdrawn_at is not null then 'WITHDRAWN' else coalesce(r.state::text, 'WAITING') end as state,
       r.run_id, r.run, r.kind as run_kind, r.reason as run_reason, r.halt as run_halt,
       r.started_at as run_started_at, r.finished_at as run_finished_at, r.driver_until
from campaign c
left join lateral (
    select * from campaign_run where campaign_run.campaign_id = c.campaign_id order by run desc limit 1
) r on true;
