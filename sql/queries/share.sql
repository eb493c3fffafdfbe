-- name: allocate_shares
-- Make exactly the shares 0..N-1; the caller has locked the limit's row and knows that nothing is leased.
with gone as (delete from money_share where share >= %(shares)s)
insert into money_share (share) select generate_series(0, %(shares)s - 1) on conflict do nothing

-- name: shares_in_the_way
-- How many shares there are, and how many are leased, or were released so recently that their sends still count.
select count(*) as shares, count(*) filter (
    where leased_until > clock_timestamp() or released_at > clock_timestamp() - interval '2 s') as in_the_way
from money_share

-- name: lock_share_count
-- How many shares there are to be; nobody else divides the limit until the transaction ends.
select shares from money_limit for update

-- name: set_share_count
update money_limit set shares = %(shares)s

-- name: reset_breakers
-- A new run has its full patience: how long an earlier run waited for the money API no longer counts, nor does a rate
-- that was lowered more than a minute ago.
update money_share set pressure = case
    when coalesce(released_at, leased_until) > clock_timestamp() - interval '1 min'
        then pressure || '{"open_since": null, "trouble_since": null}' end
where pressure is not null

-- name: acquire_share
-- Take a free share that has permits; a new epoch fences every earlier holder. Without a run: for look-ups only.
-- idle_s: only one that a worker of this run gave back so long ago, while the money API slowed nobody.
update money_share set
    epoch = epoch + 1, holder = %(holder)s, turns = null, run_id = %(run_id)s,
    heard = case when run_id = %(run_id)s then heard end,
    leased_until = clock_timestamp() + %(lease_s)s * interval '1 s', released_at = null
where share = (
    select s.share from money_share s, money_limit l
    where (s.leased_until is null or s.leased_until <= clock_timestamp()) and s.share < least(l.tps, l.shares)
      and (%(run_id)s::bigint is null or exists (
          select from live_run where run_id = %(run_id)s and driver_epoch = %(driver_epoch)s))
      and (%(idle_s)s::float8 is null or (s.run_id = %(run_id)s and s.pressure is null
           and s.released_at <= clock_timestamp() - %(idle_s)s::float8 * interval '1 s'))
    order by s.share limit 1 for update of s skip locked
)
returning share, epoch, handover, pressure, extract(epoch from clock_timestamp())::float8 as database_now

-- name: renew_share
-- All that a holder must know in one answer: is the share still its own, is the run still running, how many permits,
-- what the money API promises, is a share idle; and, while any is slowed down, what the others at work wrote for it.
with renewed as (
    update money_share set leased_until = clock_timestamp() + %(lease_s)s * interval '1 s', pressure = %(pressure)s,
        heard = coalesce(%(heard)s, heard), turns = %(turns)s
    where share = %(share)s and epoch = %(epoch)s and holder = %(holder)s
    returning share
)
select exists (select from renewed) as held,
       %(run_id)s::bigint is null or exists (
           select from live_run where run_id = %(run_id)s and driver_epoch = %(driver_epoch)s) as run_live,
       l.tps, l.shares, extract(epoch from clock_timestamp())::float8 as database_now,
       p.key_retention_h, p.settle_s,
       exists (select from money_share s
               where s.run_id = %(run_id)s and s.leased_until is null and s.pressure is null
                 and s.share < least(l.tps, l.shares)
                 and s.released_at <= clock_timestamp() - %(idle_s)s::float8 * interval '1 s') as idle_share,
       (select coalesce(jsonb_agg(jsonb_build_object('share', s.share, 'turns', s.turns)), '[]') from money_share s
        where s.share <> %(share)s and s.share < least(l.tps, l.shares)
          and s.leased_until > clock_timestamp() + (%(lease_s)s::float8 - %(silent_s)s::float8) * interval '1 s'
        having %(turns)s::jsonb is not null or count(s.turns) > 0) as others
from money_limit l left join money_promise p on true

-- name: release_share
-- Give the share back at once, with what its next holder must know.
update money_share set
    holder = null, leased_until = null, released_at = clock_timestamp(),
    handover = %(handover)s, pressure = %(pressure)s, turns = null, heard = coalesce(%(heard)s, heard)
where share = %(share)s and epoch = %(epoch)s and holder = %(holder)s

-- name: shares_of_run
-- What a run's shares have heard of the money API, how many it has now, and how many with permits are nobody's.
select extract(epoch from clock_timestamp())::float8 as now, l.tps,
       count(*) filter (where s.run_id = %(run_id)s and s.leased_until > clock_timestamp()) as leased,
       count(*) filter (where s.share < least(l.tps, l.shares)
                          and (s.leased_until is null or s.leased_until <= clock_timestamp())) as free,
       coalesce(jsonb_agg(s.heard) filter (where s.run_id = %(run_id)s and s.heard is not null), '[]') as heard
from money_limit l left join money_share s on true group by l.tps

-- name: run_is_live
select exists (select from live_run where run_id = %(run_id)s and driver_epoch = %(driver_epoch)s)
