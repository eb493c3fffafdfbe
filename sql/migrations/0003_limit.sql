-- The limit: one global figure, split into integer shares that partitions hold by lease.

create table money_limit (
    only_row      boolean primary key default true check (only_row),
    tps           int not null check (tps >= 0),          -- 0 holds everything
    shares        int not null check (shares > 0),
    set_by        text not null,
    set_at        timestamptz not null default clock_timestamp(),
    reason        text,
    until         timestamptz,
    tps_afterwards int check (tps_afterwards >= 0),       -- what `until` restores
    last_event_no bigint not null default 0,
    check ((until is null) = (tps_afterwards is null))
);

create table money_share (
    share        smallint primary key check (share >= 0),
    epoch        bigint not null default 0,               -- grows with every holder: the fence
    holder       uuid,
    run_id       bigint,
    leased_until timestamptz,                             -- database time + what a holder may still send in
    released_at  timestamptz,
    handover     jsonb                                    -- the last second's sends and the lowered rate, on a clean release
) with (fillfactor = 50);
