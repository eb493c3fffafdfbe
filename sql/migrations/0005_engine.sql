-- What look-ups and back-pressure must remember.

-- When the latest call of a payment left: money's "not found" proves nothing for a while after it.
alter table payment add column last_sent_at timestamptz;

-- A look-up is a wire send too, and counts against the limit.
alter table payment_attempt add column method text not null default 'POST' check (method in ('POST', 'GET'));

-- How far money holds a share's holder back; null where it does not. Kept with every renewal, so that it outlives a crash.
alter table money_share add column pressure jsonb;
