-- name: copy_targets
copy campaign_target (campaign_id, member_id, amount, reason) from stdin

-- name: total_targets
select count(*), coalesce(sum(amount), 0) as amount, coalesce(max(amount), 0)::bigint as largest
from campaign_target where campaign_id = %(campaign_id)s

-- name: digest_targets
select target_digest(%(campaign_id)s)
