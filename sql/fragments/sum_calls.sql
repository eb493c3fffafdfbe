-- Calls by method and outcome, over all rows of `chosen`, which are as those of call_tally.
select method, outcome, sum(calls)::bigint as calls, sum(seconds_sum) as seconds_sum, sum_of(buckets) as buckets
from chosen group by method, outcome order by method, outcome
