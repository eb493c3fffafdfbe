-- What takes events out of the outbox, and who was told.

-- How far the relay is with a campaign's events; campaign 0 is the deployment. Its row is what two relays take turns on, so
-- that a campaign's events leave in their order. Writers of events never touch it: paying does not wait for the relay.
create table outbox_cursor (
    campaign_id  bigint primary key,
    published_no bigint not null default 0,       -- events up to this one are published, or parked
    tries        int not null default 0,          -- of the next event, where the broker refused that very event
    next_try_at  timestamptz
);

-- An event that the broker refuses for what it is; the ones after it go on, and people are told.
alter table outbox_event
    add column parked_at timestamptz,
    add column trouble   text,
    add constraint parked_or_published check (num_nulls(parked_at, published_at) > 0);
create index outbox_parked on outbox_event (campaign_id, event_no) where parked_at is not null;

-- A message is claimed before it is sent: two notifiers do not both send it, and one that died leaves its claim to lapse.
alter table notification
    add column claimed_until timestamptz,
    alter column sent_at drop not null,
    alter column sent_at drop default;
