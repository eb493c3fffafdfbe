-- Of a run `r` that is RUNNING: it reads halt(halt, reason). The first reason stays; it replaces the reason why the run
-- was started, and comes after that for which the driver gives the run up.
halt = h.halt,
    reason = case when r.halt = 'GIVEN_UP' then concat_ws('; ', r.reason, h.halt || ': ' || h.reason)
                  else h.halt || ': ' || h.reason end
from halt h
where r.run_id = %(run_id)s and r.state = 'RUNNING' and (r.halt is null or r.halt = 'GIVEN_UP')
