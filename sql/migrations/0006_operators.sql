-- Who may do what, by database login; and which lists were seen.

-- Whoever brings the database to this version owns it, and can begin.
insert into operator_right (login, permission) select session_user, unnest(array['start', 'force', 'approve', 'throttle'])
on conflict do nothing;

alter table campaign
    add column creator_login  name,
    add column approved_login name,
    -- The earlier campaign of which this list is a wanted repetition, and why.
    add column same_as        bigint references campaign,
    add column same_as_reason text,
    add constraint approver_is_not_the_creator check (approved_login <> creator_login),
    add constraint approved_whole check (num_nulls(approved_by, approved_login, approved_at, approved_digest) in (0, 4)),
    add constraint same_as_has_its_reason check (num_nulls(same_as, same_as_reason) in (0, 2));
update campaign c set creator_login = a.login
from audit_event a where a.campaign_id = c.campaign_id and a.action = 'create';
update campaign set creator_login = session_user where creator_login is null;
alter table campaign alter column creator_login set default session_user, alter column creator_login set not null;

-- When a campaign's list was seen: loaded from a file, approved, frozen. Two campaigns of one digest have the same members
-- with the same amounts and reasons.
create table duplicate_list (
    digest      bytea not null check (length(digest) = 32),
    campaign_id bigint not null references campaign,
    seen_at     timestamptz not null default clock_timestamp(),
    primary key (digest, campaign_id)
);
insert into duplicate_list (digest, campaign_id, seen_at)
select digest, campaign_id, frozen_at from campaign where frozen_at is not null;

-- RETRY runs that took this payment.
alter table payment add column retry_runs smallint not null default 0;

-- A run ends once: going on is a new run.
create function refuse_another_end() returns trigger language plpgsql as $$
begin
    raise exception 'run % of campaign % is % and stays so', old.run, old.campaign_id, old.state
        using errcode = 'restrict_violation';
end $$;
create trigger ends_once before update of state on campaign_run
    for each row when (old.state <> 'RUNNING' and new.state <> old.state) execute function refuse_another_end();

-- The view lists the campaign's columns as they were when it was made: it is made anew.
drop view campaign_overview;
create view campaign_overview as
select c.*,
       case when c.withdrawn_at is not null then 'WITHDRAWN' else coalesce(r.state::text, 'WAITING') end as state,
       r.run_id, r.run, r.kind as run_kind, r.reason as run_reason, r.halt as run_halt,
       r.started_at as run_started_at, r.finished_at as run_finished_at, r.driver_until
from campaign c
left join lateral (
    select * from campaign_run where campaign_run.campaign_id = c.campaign_id order by run desc limit 1
) r on true;

-- As before, with the digest that its caller has computed and checked: the targets are read once less.
drop function freeze_campaign(bigint);
create function freeze_campaign(of_campaign bigint, of_digest bytea) returns void
    language plpgsql security definer set search_path from current as $$
declare
    payments text := 'payment_' || of_campaign;
    attempts text := 'payment_attempt_' || of_campaign;
    one text := 'campaign_id = ' || of_campaign;
    copied bigint;
begin
    execute format('create table %I (like payment including defaults including constraints, check (%s))
                    with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5)', payments, one);
    execute format('insert into %I (campaign_id, seq, member_id, amount, reason)
                    select campaign_id, row_number() over (order by member_id), member_id, amount, reason
                    from campaign_target where campaign_id = $1 order by member_id', payments) using of_campaign;
    get diagnostics copied = row_count;
    execute format('alter table %I add primary key (campaign_id, seq)', payments);
    execute format('create index on %I (member_id)', payments);
    execute format('alter table payment attach partition %I for values in (%s)', payments, of_campaign);
    execute format('create table %I (like payment_attempt including defaults including constraints including indexes, check (%s))', attempts, one);
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

-- A loader's login may write campaign_target and no more; the check that its campaign is not frozen locks the campaign's row.
alter function refuse_targets_once_frozen() security definer set search_path from current;
