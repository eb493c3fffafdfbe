-- name: write_campaign_event
-- Numbers the event under its campaign's row lock, and stores it.
with numbered as (
    update campaign set last_event_no = last_event_no + 1 where campaign_id = %(campaign_id)s returning last_event_no
)
insert into outbox_event (campaign_id, event_no, event_id, type, run_no, actor, data)
select %(campaign_id)s, last_event_no, %(event_id)s, %(type)s, %(run_no)s, %(actor)s, %(data)s from numbered
returning event_no

-- name: write_deployment_event
-- The same for campaign 0, the deployment itself, numbered under the limit's row lock.
with numbered as (
    update money_limit set last_event_no = last_event_no + 1 returning last_event_no
)
insert into outbox_event (campaign_id, event_no, event_id, type, run_no, actor, data)
select 0, last_event_no, %(event_id)s, %(type)s, %(run_no)s, %(actor)s, %(data)s from numbered
returning event_no
