-- name: archive_head
-- What the manifest says of a campaign beyond its row in `campaign list`.
select key_namespace::text, creator_login::text, session_user::text as login, current_database()::text as database,
       (select max(name) from migration) as schema_version,
       last_event_no - coalesce((select published_no from outbox_cursor o where o.campaign_id = c.campaign_id), 0)
           as unpublished_events,
       extract(epoch from clock_timestamp() - (
           select max(finished_at) from campaign_run r where r.campaign_id = c.campaign_id))::float8 as ended_s_ago
from campaign c where campaign_id = %(campaign_id)s

-- name: archive_payments
-- A campaign's payments by number, a batch. Times in microseconds since 1970. Without the claim: nobody has one now.
select campaign_id, seq, member_id, amount, reason, state::text, transaction_id, failure_kind::text, failure_code,
       failure_message, tries::int, retry_runs::int, maybe_credited, refused,
       (extract(epoch from first_sent_at) * 1000000)::bigint as first_sent_at,
       (extract(epoch from last_sent_at) * 1000000)::bigint as last_sent_at,
       (extract(epoch from finished_at) * 1000000)::bigint as finished_at,
       (extract(epoch from next_try_at) * 1000000)::bigint as next_try_at,
       retried_kind::text, retried_code, retried_message
from payment where campaign_id = %(campaign_id)s and seq > %(after)s order by seq limit %(rows_max)s

-- name: archive_attempts
-- A campaign's attempts by id, a batch. By the column, which has an index, not by its text: that would sort all of them
-- for each batch.
select campaign_id, attempt_id::text, method, seq, run_id,
       (extract(epoch from sent_at) * 1000000)::bigint as sent_at,
       (extract(epoch from answered_at) * 1000000)::bigint as answered_at,
       http_status::int, outcome, code, transaction_id
from payment_attempt where campaign_id = %(campaign_id)s and attempt_id > %(after)s::uuid
order by payment_attempt.attempt_id limit %(rows_max)s

-- name: digest_payments
-- The digest of a batch of payments as their file must have it (archive/tables.py): a text has its length in front, a
-- missing value is -, and concat_ws leaves out the text that has no length.
select count(*)::bigint as rows, coalesce(sum(amount), 0)::bigint as amount, max(seq)::text as last,
       sha256(convert_to(string_agg(concat_ws(',',
           campaign_id, seq, octet_length(member_id), member_id, amount, octet_length(reason), reason,
           octet_length(state::text), state,
           coalesce(octet_length(transaction_id)::text, '-'), transaction_id,
           coalesce(octet_length(failure_kind::text)::text, '-'), failure_kind,
           coalesce(octet_length(failure_code)::text, '-'), failure_code,
           coalesce(octet_length(failure_message)::text, '-'), failure_message,
           tries, retry_runs, maybe_credited::text, refused::text,
           coalesce(first_us::text, '-'), coalesce(last_us::text, '-'),
           coalesce(finished_us::text, '-'), coalesce(next_us::text, '-'),
           coalesce(octet_length(retried_kind::text)::text, '-'), retried_kind,
           coalesce(octet_length(retried_code)::text, '-'), retried_code,
           coalesce(octet_length(retried_message)::text, '-'), retried_message,
           E'\n'), '' order by seq), 'UTF8')) as hash
from (
    select *, (extract(epoch from first_sent_at) * 1000000)::bigint as first_us,
           (extract(epoch from last_sent_at) * 1000000)::bigint as last_us,
           (extract(epoch from finished_at) * 1000000)::bigint as finished_us,
           (extract(epoch from next_try_at) * 1000000)::bigint as next_us
    from payment where campaign_id = %(campaign_id)s and seq > %(after)s order by seq limit %(rows_max)s
) batch

-- name: digest_attempts
-- The same of a batch of attempts.
select count(*)::bigint as rows, 0::bigint as amount,
       (array_agg(attempt_id order by attempt_id))[count(*)]::text as last,
       sha256(convert_to(string_agg(concat_ws(',',
           campaign_id, octet_length(attempt_id::text), attempt_id, octet_length(method), method, seq, run_id, sent_us,
           coalesce(answered_us::text, '-'), coalesce(http_status::text, '-'), octet_length(outcome), outcome,
           coalesce(octet_length(code)::text, '-'), code,
           coalesce(octet_length(transaction_id)::text, '-'), transaction_id,
           E'\n'), '' order by attempt_id), 'UTF8')) as hash
from (
    select *, (extract(epoch from sent_at) * 1000000)::bigint as sent_us,
           (extract(epoch from answered_at) * 1000000)::bigint as answered_us
    from payment_attempt where campaign_id = %(campaign_id)s and attempt_id > %(after)s::uuid
    order by attempt_id limit %(rows_max)s
) batch

-- name: lock_payments
-- Nobody changes the campaign's rows until the transaction ends.
select lock_payments(%(campaign_id)s)

-- name: archive_campaign
-- The campaign is archived, and its targets are gone.
select archive_campaign(%(campaign_id)s, %(actor)s, %(place)s, %(manifest)s, %(payments)s, %(attempts)s)

-- name: drop_archived_partitions
select drop_archived_partitions(%(campaign_id)s)

-- name: wait_for_locks
-- For this transaction, or until the savepoint before it comes back: milliseconds.
select set_config('lock_timeout', %(ms)s::text, true)

-- name: get_archive
-- Where an archived campaign is, and who archived it.
select archived_at, archived_by, place, manifest_digest, payments, attempts
from campaign_archive where campaign_id = %(campaign_id)s

-- name: list_old_campaigns
-- Campaigns that ended so long ago and are not archived, the oldest first.
select campaign_id from campaign_overview
where archived_at is null and state in ('COMPLETED', 'FAILED', 'STOPPED')
  and run_finished_at < clock_timestamp() - %(age_s)s * interval '1 s'
order by campaign_id

-- name: count_archived
-- How many campaigns are archived.
select count(*)::bigint from campaign_archive

-- name: list_archived_sums
-- What an archived campaign's payments came to: for each quarter of an hour, kept reason, state and kind.
select ended_from, reason, state::text, failure_kind::text, count, amount
from archived_sum where campaign_id = %(campaign_id)s order by ended_from, reason, state, failure_kind

-- name: count_by_state
-- A campaign's payments and points by state and kind, from its counters.
select state::text, failure_kind::text, sum(count)::bigint as count, sum(amount)::bigint as amount
from campaign_counter where campaign_id = %(campaign_id)s
group by state, failure_kind having sum(count) <> 0 or sum(amount) <> 0

-- name: list_old_attempts
-- Campaigns that ended so long ago with nothing left to do, and whose attempts are here.
select o.campaign_id
from campaign_overview o join campaign_count c using (campaign_id)
where o.archived_at is null and o.state in ('COMPLETED', 'FAILED', 'STOPPED')
  and c.pending + c.processing + c.unknown = 0
  and o.run_finished_at < clock_timestamp() - %(age_s)s * interval '1 s'
  and not exists (select from removed_attempts r where r.campaign_id = o.campaign_id)
order by o.campaign_id

-- name: remove_attempts
select remove_attempts(%(campaign_id)s, %(actor)s, %(age_s)s * interval '1 s')
