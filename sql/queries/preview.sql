-- name: sum_targets_by_reason
-- One scan: the reasons with the most points, each row with the sums over all of them. No row where there is no target.
select reason, count::bigint, amount, sum(count) over ()::bigint as all_count,
       sum(amount) over ()::numeric as all_amount,
       min(smallest) over () as smallest, max(largest) over () as largest,
       sum(above) over ()::bigint as above, count(*) over () as reason_count
from (select reason, count(*) as count, sum(amount) as amount, min(amount)::bigint as smallest,
             max(amount)::bigint as largest,
             count(*) filter (where amount > %(row_max)s::bigint) as above
      from campaign_target where campaign_id = %(campaign_id)s group by reason) one
order by amount desc, count desc, reason collate "C" limit %(reasons)s

-- name: count_targets_by_bucket
-- One scan; bucket 1 begins at the first edge.
select width_bucket(amount::bigint, %(edges)s::bigint[]) as bucket, count(*)
from campaign_target where campaign_id = %(campaign_id)s group by bucket

-- name: get_pace
-- The limit in force now, computed without restoring the figure after a temporary one: a preview writes nothing.
select case when over then tps_afterwards else tps end as tps, case when over then null else until end as until,
       case when over then null else tps_afterwards end as tps_afterwards
from (select *, coalesce(until <= clock_timestamp(), false) as over from money_limit) l
