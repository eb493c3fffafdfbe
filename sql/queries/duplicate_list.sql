-- name: remember_list
insert into duplicate_list (digest, campaign_id) values (%(digest)s, %(campaign_id)s)
on conflict (digest, campaign_id) do update set seen_at = excluded.seen_at

-- name: find_same_list
-- The latest campaign with exactly this list: one that was started, or an older one that still waits. A withdrawn one
-- paid no one.
select o.campaign_id, o.name, extract(epoch from clock_timestamp() - s.seen_at)::float8 as ago_s
from duplicate_list s join campaign_overview o using (campaign_id)
where s.digest = %(digest)s and s.campaign_id <> %(campaign_id)s
  and s.seen_at > clock_timestamp() - %(days)s * interval '1 day'
  and (o.frozen_at is not null or o.state = 'WAITING' and o.campaign_id < %(campaign_id)s)
order by s.seen_at desc limit 1

-- name: list_of_these_totals_exists
-- Whether any list of the last days has so many targets and points: only then can one be the same.
select exists (
    select from duplicate_list s join campaign c using (campaign_id)
    where c.expected_count = %(count)s and c.expected_amount = %(amount)s
      and s.seen_at > clock_timestamp() - %(days)s * interval '1 day')

-- name: allow_repetition
update campaign set same_as = %(same_as)s, same_as_reason = %(reason)s where campaign_id = %(campaign_id)s
