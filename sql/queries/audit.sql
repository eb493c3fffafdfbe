-- name: write_audit
-- The trigger adds number, time, database login and the seal.
insert into audit_event (os_user, host, actor, action, campaign_id, run_no, detail)
values (%(os_user)s, %(host)s, %(actor)s, %(action)s, %(campaign_id)s, %(run_no)s, %(detail)s)

-- name: note_reading
-- The same for one who looked at members or took them out, whose login may have no right to write.
select note_reading(%(action)s, %(campaign_id)s, %(os_user)s, %(host)s, %(actor)s, %(detail)s) as login,
       sees_members() as sees

-- name: list_audit
-- The latest rows that meet every condition given; a null is no condition. search: a text anywhere in a row.
select audit_no, occurred_at, login, os_user, host, actor, action, campaign_id, run_no, detail, hash
from audit_event
where (%(campaign_id)s::bigint is null or campaign_id = %(campaign_id)s)
  and (%(action)s::text is null or action = %(action)s)
  and (%(actor)s::text is null or actor = %(actor)s)
  and (%(login)s::text is null or login = %(login)s)
  and (%(since)s::timestamptz is null or occurred_at >= %(since)s)
  and (%(until)s::timestamptz is null or occurred_at < %(until)s)
  and (%(who)s::text is null or login = %(who)s or actor = %(who)s)
  and (%(before_no)s::bigint is null or audit_no < %(before_no)s)
  and (%(search)s::text is null
       or position(lower(%(search)s) in lower(concat_ws(E'\n', login, os_user, host, actor, action, detail))) > 0)
order by audit_no desc limit %(rows_max)s

-- name: sum_readings
-- Who looked at members or took them out, by login and action, the most rows first. What a detail says is a claim.
select login, action, count(*) as times,
       coalesce(sum((detail->>'rows')::numeric) filter (where jsonb_typeof(detail->'rows') = 'number'), 0)::bigint
           as rows,
       count(*) filter (where detail->>'reason' is null) as without_reason,
       count(*) filter (where detail ? 'masked') as masked, min(occurred_at) as first_at, max(occurred_at) as last_at
from audit_event
where action = any(%(actions)s) and (%(login)s::text is null or login = %(login)s)
  and (%(since)s::timestamptz is null or occurred_at >= %(since)s)
  and (%(until)s::timestamptz is null or occurred_at < %(until)s)
group by login, action order by rows desc, times desc, login, action

-- name: list_audit_actions
select distinct action from audit_event order by action

-- name: list_history
-- What happened to one campaign, oldest first; changes of the limit during one of its runs belong to it.
select audit_no, occurred_at, login, os_user, host, actor, action, campaign_id, run_no, detail, hash
from audit_event a
where campaign_id = %(campaign_id)s
   or campaign_id is null and action = 'tps.set' and exists (
       select from campaign_run r where r.campaign_id = %(campaign_id)s
          and a.occurred_at between r.started_at and coalesce(r.finished_at, 'infinity'))
order by audit_no

-- name: verify_audit
-- Every seal is computed again, in one pass over one snapshot: the first row that does not follow from the one before
-- it, the last row, the head, the first row beyond the head, and the row whose hash a person kept.
with linked as (
    select audit_no, lag(audit_no, 1, 0::bigint) over chain as before_no,
           hash is distinct from audit_hash(lag(hash, 1, sha256(''::bytea)) over chain, e) as altered
    from audit_event e window chain as (order by audit_no)
), total as (
    select count(*) as rows, max(audit_no) as last_no,
           min(audit_no) filter (where altered or audit_no <> before_no + 1) as broken_no
    from linked
)
select t.rows, last.audit_no as last_no, last.occurred_at as last_at, last.hash as last_hash,
       broken.audit_no as broken_no, broken.occurred_at as broken_at,
       (select coalesce(max(earlier.audit_no), 0) from audit_event earlier where earlier.audit_no < t.broken_no)
           as before_no,
       head.audit_no as head_no, head.hash as head_hash, beyond.occurred_at as after_head_at,
       kept.occurred_at as kept_at, kept.hash as kept_hash
from total t
left join audit_event last on last.audit_no = t.last_no
left join audit_event broken on broken.audit_no = t.broken_no
left join audit_head head on true
left join audit_event beyond on beyond.audit_no = head.audit_no + 1
left join audit_event kept on kept.audit_no = %(kept_no)s

-- name: last_look
-- When this session's own login looked at a campaign's list last, and which list that was.
select occurred_at as at, detail->>'digest' as digest, (detail->>'rows')::bigint as count
from audit_event where campaign_id = %(campaign_id)s and action = 'preview' and login = session_user
order by audit_no desc limit 1
