-- name: was_judged
select judged_at from judged_list where campaign_id = %(campaign_id)s and digest = %(digest)s

-- name: list_findings
select finding, facts, at_stake, accepted_by from campaign_finding
where campaign_id = %(campaign_id)s and digest = %(digest)s order by finding

-- name: list_latest_findings
-- Of the list that a campaign was frozen with, else of the one that was judged last.
select finding, facts, at_stake, accepted_by from campaign_finding
where campaign_id = %(campaign_id)s
  and digest = coalesce((select digest from campaign where campaign_id = %(campaign_id)s),
                        (select digest from judged_list where campaign_id = %(campaign_id)s
                         order by judged_at desc limit 1))
order by finding

-- name: latest_judged
-- The digest of the list that was judged last: it may have changed since.
select digest from judged_list where campaign_id = %(campaign_id)s order by judged_at desc limit 1

-- name: remember_judged
insert into judged_list (campaign_id, digest) values (%(campaign_id)s, %(digest)s) on conflict do nothing

-- name: keep_finding
-- What was accepted once for this list stays accepted, by whom it was.
insert into campaign_finding as kept
    (campaign_id, digest, finding, facts, at_stake, accepted_by, accepted_login, accepted_at)
values (%(campaign_id)s, %(digest)s, %(finding)s, %(facts)s, %(at_stake)s, %(accepted_by)s,
        case when %(accepted_by)s::text is not null then session_user end,
        case when %(accepted_by)s::text is not null then clock_timestamp() end)
on conflict (campaign_id, digest, finding) do update
set facts = excluded.facts, at_stake = excluded.at_stake,
    accepted_by = coalesce(kept.accepted_by, excluded.accepted_by),
    accepted_login = coalesce(kept.accepted_login, excluded.accepted_login),
    accepted_at = coalesce(kept.accepted_at, excluded.accepted_at)

-- name: read_targets
-- In no order. The rules for ids and amounts are the same code for files and tables: searching here for the shapes of
-- rules/damage.py took twice as long as reading all rows.
select member_id, amount::bigint from campaign_target where campaign_id = %(campaign_id)s
