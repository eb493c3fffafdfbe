-- The one place where wire sends become a tally. It reads call(method, outcome, duration_s), one row per send that was
-- written now; duration_s is null where no answer came. Bucket 0: less than the first bound, the last one: all longer.
-- Every statement locks the rows in the same order, so two of them never deadlock.
timed as (
    select method, outcome, width_bucket(duration_s, %(duration_bounds)s::float8[]) as bucket,
           count(*) as calls, coalesce(sum(duration_s), 0) as seconds
    from call group by method, outcome, bucket
), tallied as (
    insert into call_tally as t (run_id, share, method, outcome, calls, seconds_sum, buckets)
    select %(run_id)s, %(share)s, a.method, a.outcome, sum(a.calls), sum(a.seconds),
           array(select coalesce(b.calls, 0)
                 from generate_series(0, cardinality(%(duration_bounds)s::float8[])) as n
                 left join timed b on b.bucket = n and b.method = a.method and b.outcome = a.outcome order by n)
    from timed a group by a.method, a.outcome order by a.method, a.outcome
    on conflict (run_id, share, method, outcome) do update set
        calls = t.calls + excluded.calls, seconds_sum = t.seconds_sum + excluded.seconds_sum,
        buckets = added(t.buckets, excluded.buckets)
)
