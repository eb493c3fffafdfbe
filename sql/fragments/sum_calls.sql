-- Calls by method and outcome, over all runs and shares of `chosen`, which has rows of call_tally.
bucket as (
    select c.method, c.outcome, b.place, sum(b.calls)::bigint as calls
    from chosen c cross join unnest(c.buckets) with ordinality as b(calls, place) group by 1, 2, 3
)
select c.method, c.outcome, sum(c.calls)::bigint as calls, sum(c.seconds_sum) as seconds_sum,
       array(select b.calls from bucket b where b.method = c.method and b.outcome = c.outcome order by b.place)
           as buckets
from chosen c group by 1, 2 order by 1, 2
