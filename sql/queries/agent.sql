-- name: agent_lives
-- Its sign of life, also the first.
insert into agent (host, pid, alive_until)
values (%(host)s, %(pid)s, clock_timestamp() + %(alive_s)s * interval '1 s')
on conflict (host, pid) do update set alive_until = excluded.alive_until

-- name: agent_ends
-- In order; its row stays, for whoever asks which hosts had one.
update agent set alive_until = clock_timestamp() where host = %(host)s and pid = %(pid)s

-- name: list_agents
-- Those that are alive, by host.
select host, pid, login::text, started_at, alive_until from agent
where alive_until > clock_timestamp() order by host, pid
