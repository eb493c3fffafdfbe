-- name: add_missing_cursors
-- A cursor for every campaign with an event that waits and none yet, and for the deployment, which is campaign 0.
insert into outbox_cursor (campaign_id)
select distinct campaign_id from outbox_event e
where published_at is null and parked_at is null
  and not exists (select from outbox_cursor o where o.campaign_id = e.campaign_id)
on conflict do nothing

-- name: take_cursor
-- A campaign with events to publish that no other relay has locked. Which have any, the index of those that wait says;
-- published_no is looked at again once the row is locked, when another relay may just have moved it.
select o.campaign_id, o.published_no, o.tries
from (select distinct campaign_id from outbox_event where published_at is null and parked_at is null) w
join outbox_cursor o using (campaign_id)
left join campaign c using (campaign_id)
left join money_limit l on o.campaign_id = 0
where o.published_no < coalesce(c.last_event_no, l.last_event_no)
  and (o.next_try_at is null or o.next_try_at <= clock_timestamp())
order by o.campaign_id limit 1 for update of o skip locked

-- name: events_to_publish
select campaign_id, event_no, event_id::text, type, version, run_no, occurred_at, actor, data
from outbox_event where campaign_id = %(campaign_id)s and event_no > %(after)s order by event_no limit %(most)s

-- name: mark_published
update outbox_event set published_at = clock_timestamp(), trouble = null
where campaign_id = %(campaign_id)s and event_no > %(after)s and event_no <= %(upto)s
  and published_at is null and parked_at is null

-- name: park_event
update outbox_event set parked_at = clock_timestamp(), trouble = %(trouble)s
where campaign_id = %(campaign_id)s and event_no = %(event_no)s

-- name: move_cursor
update outbox_cursor set published_no = %(published_no)s, tries = %(tries)s,
    next_try_at = clock_timestamp() + %(wait_s)s::float8 * interval '1 s'
where campaign_id = %(campaign_id)s

-- name: note_trouble
update outbox_event set trouble = %(trouble)s where campaign_id = %(campaign_id)s and event_no = %(event_no)s

-- name: parked_events
select campaign_id, event_no, event_id::text, type, parked_at, trouble
from outbox_event where parked_at is not null order by campaign_id, event_no

-- name: unpark_event
-- Published after all, later than the events that followed it.
update outbox_event set parked_at = null, trouble = null, published_at = clock_timestamp()
where campaign_id = %(campaign_id)s and event_no = %(event_no)s and parked_at is not null

-- name: outbox_status
-- Campaigns with events that wait, and since when the oldest waits.
select x.campaign_id, coalesce(o.published_no, 0) as published_no, x.last_event_no, e.occurred_at as waits_since,
       e.trouble
from (select campaign_id, min(event_no) as event_no, max(event_no) as last_event_no from outbox_event
      where published_at is null and parked_at is null group by campaign_id) x
join outbox_event e using (campaign_id, event_no)
left join outbox_cursor o using (campaign_id)
order by x.campaign_id
