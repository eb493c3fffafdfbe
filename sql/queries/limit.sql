-- name: ensure_limit
-- The first row; whoever comes second changes nothing.
insert into money_limit (tps, shares, set_by, reason) values (%(tps)s, %(shares)s, %(actor)s, 'first value, from the settings')
on conflict (only_row) do nothing

-- name: get_limit
-- in_use: what the holders of live leases may send a second; share i of N has tps / N, and one more while i < tps mod N.
select tps, shares, set_by, set_at, reason, until, tps_afterwards,
       coalesce((
           select sum(tps / shares + case when share < tps % shares then 1 else 0 end)
           from money_share where leased_until > clock_timestamp() and share < shares
       ), 0)::bigint as in_use
from money_limit

-- name: lock_limit
select tps, tps_afterwards from money_limit for update

-- name: set_limit
update money_limit
set tps = %(tps)s, set_by = %(actor)s, set_at = clock_timestamp(), reason = %(reason)s, until = %(until)s,
    tps_afterwards = %(tps_afterwards)s
