-- name: calls_of_run
with chosen as (select * from call_tally where run_id = %(run_id)s)
-- include: sum_calls

-- name: calls_of_campaign
with chosen as (select t.* from call_tally t join campaign_run r using (run_id) where r.campaign_id = %(campaign_id)s)
-- include: sum_calls

-- name: calls_of_all
with chosen as (
    select method, outcome, calls, seconds_sum, buckets from call_total
    union all
    select method, outcome, calls, seconds_sum, buckets from call_tally where share > -2
)
-- include: sum_calls

-- name: fold_ended_calls
select fold_call_tally()
