-- name: claim_notification
-- The notifier that gets a row sends the message; a claim expires unless its holder marks the message as sent.
insert into notification as n (event_id, channel, claimed_until)
values (%(event_id)s, %(channel)s, clock_timestamp() + %(claim_s)s * interval '1 s')
on conflict (event_id, channel) do update set claimed_until = excluded.claimed_until
where n.sent_at is null and n.claimed_until < clock_timestamp()
returning true

-- name: was_notified
-- Whether the message was sent; no row where no notifier has claimed it.
select sent_at is not null from notification where event_id = %(event_id)s and channel = %(channel)s

-- name: notification_sent
update notification set sent_at = clock_timestamp() where event_id = %(event_id)s and channel = %(channel)s

-- name: give_up_notification
-- The next notifier may send it at once.
update notification set claimed_until = clock_timestamp() - interval '1 s'
where event_id = %(event_id)s and channel = %(channel)s and sent_at is null

-- name: awaits_approval
-- Whether a campaign still waits for somebody to approve it, or to say no.
select o.approved_at is null and o.state = 'WAITING' and o.frozen_at is null and o.withdrawn_at is null
       and c.rejected_at is null
from campaign_overview o join campaign c using (campaign_id) where campaign_id = %(campaign_id)s

-- name: unsent_notifications
-- Events of these types that were not notified yet, the oldest first; without those that are too old to matter, which
-- are not read (by statement_timestamp an index is searched, by clock_timestamp it is not).
select e.campaign_id, e.event_no, e.event_id::text, e.type, e.version, e.run_no, e.occurred_at, e.actor, e.data
from outbox_event e
where e.type = any(%(types)s) and e.occurred_at > statement_timestamp() - %(age_s)s * interval '1 s'
  and (select n.sent_at from notification n where n.event_id = e.event_id and n.channel = %(channel)s) is null
order by e.occurred_at, e.campaign_id, e.event_no limit %(most)s
