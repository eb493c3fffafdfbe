-- What leaves the system, and who did what.

-- The transactional outbox. event_no counts a campaign's events without a gap: it is taken under the campaign's row lock.
-- campaign 0 is the deployment itself (tps.changed).
create table outbox_event (
    campaign_id  bigint not null check (campaign_id >= 0),
    event_no     bigint not null check (event_no > 0),
    event_id     uuid not null unique,
    type         text not null check (type in (
        'campaign.created', 'campaign.approved', 'campaign.withdrawn', 'campaign.started', 'campaign.progressed',
        'campaign.completed', 'campaign.failed', 'campaign.stopped', 'campaign.retried', 'campaign.resumed',
        'campaign.forced', 'tps.changed')),
    version      int not null default 1,
    run          int,
    occurred_at  timestamptz not null default clock_timestamp(),
    actor        text not null,
    data         jsonb not null default '{}',
    published_at timestamptz,
    primary key (campaign_id, event_no)
);

-- One message an event and channel, whoever sends it.
create table notification (
    event_id uuid not null,
    channel  text not null,
    sent_at  timestamptz not null default clock_timestamp(),
    primary key (event_id, channel)
);

create table operator_right (
    login      name not null,
    permission text not null check (permission in ('start', 'force', 'approve', 'throttle')),
    granted_at timestamptz not null default clock_timestamp(),
    primary key (login, permission)
);

-- Append-only, each row sealed with the hash of the one before.
create table audit_event (
    audit_no    bigint primary key,
    occurred_at timestamptz not null,
    login       text not null,
    os_user     text not null,
    host        text not null,
    actor       text not null,
    action      text not null,
    campaign_id bigint,
    run         int,
    detail      jsonb not null default '{}',
    hash        bytea not null
);

create table audit_head (
    only_row boolean primary key default true check (only_row),
    audit_no bigint not null,
    hash     bytea not null
);
insert into audit_head (audit_no, hash) values (0, sha256(''::bytea));

create function audit_hash(previous bytea, e audit_event) returns bytea language sql stable as $$
    select sha256(previous || convert_to(jsonb_build_array(
        e.audit_no, extract(epoch from e.occurred_at), e.login, e.os_user, e.host, e.actor, e.action, e.campaign_id, e.run, e.detail
    )::text, 'UTF8'))
$$;

create function seal_audit_event() returns trigger language plpgsql security definer set search_path from current as $$
declare
    head audit_head;
begin
    select * into head from audit_head for update;      -- one writer at a time: a chain has no branches
    new.audit_no := head.audit_no + 1;
    new.occurred_at := clock_timestamp();
    new.login := session_user;
    new.hash := audit_hash(head.hash, new);
    update audit_head set audit_no = new.audit_no, hash = new.hash;
    return new;
end $$;

create trigger sealed before insert on audit_event for each row execute function seal_audit_event();

create function refuse_audit_change() returns trigger language plpgsql as $$
begin
    raise exception 'audit_event is append-only: % is refused', tg_op using errcode = 'restrict_violation';
end $$;

create trigger append_only before update or delete on audit_event for each row execute function refuse_audit_change();
create trigger never_truncated before truncate on audit_event for each statement execute function refuse_audit_change();
