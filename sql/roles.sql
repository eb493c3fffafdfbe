-- Group roles of least privilege, for the logins of people and programs: `grant bulkpoint_operator to kim`.
-- Run by `bulkpoint db roles` as the owner of the tables, after each migration; safe to repeat.

do $$
declare
    name text;
begin
    foreach name in array array['bulkpoint_reader', 'bulkpoint_loader', 'bulkpoint_operator', 'bulkpoint_relay'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
end $$;

-- What a strict server has taken from PUBLIC. An owner of tables who does not own database and schema gets a warning.
do $$
declare
    groups text := 'bulkpoint_reader, bulkpoint_loader, bulkpoint_operator, bulkpoint_relay';
begin
    execute format('grant connect on database %I to %s', current_database(), groups);
    execute format('grant usage on schema %I to %s', current_schema(), groups);
    -- `reconcile --settlement` compares in a temporary table.
    execute format('grant temporary on database %I to bulkpoint_operator', current_database());
    -- Looks at everything, changes nothing: the help desk, finance, audit.
    execute format('grant select on all tables in schema %I to bulkpoint_reader', current_schema());
end $$;
-- But for the trace of what it looked at.
grant execute on function note_reading(text, bigint, text, text, text, jsonb) to bulkpoint_reader;

-- Loads targets of campaigns that others created, until the freeze.
grant select, insert, update, delete on campaign_target to bulkpoint_loader;
grant select on campaign, migration to bulkpoint_loader;

-- Creates and runs campaigns; operator_right says by login which of that is allowed. Never rewrites history.
grant bulkpoint_reader, bulkpoint_loader to bulkpoint_operator;
grant insert (name, note, expected_count, expected_amount, creator, creator_login, not_before) on campaign
    to bulkpoint_operator;
grant update (last_event_no, created_digest, approved_by, approved_login, approved_at, approved_digest, rejected_by,
              rejected_login, rejected_at, rejected_reason, withdrawn_by, withdrawn_at, withdrawn_reason, same_as,
              same_as_reason) on campaign to bulkpoint_operator;
grant insert on judged_list, campaign_finding to bulkpoint_operator;
grant update (facts, at_stake, accepted_by, accepted_login, accepted_at) on campaign_finding to bulkpoint_operator;
grant insert, update on campaign_run, campaign_counter, call_tally, money_limit, money_promise, money_transaction,
                        duplicate_list, list_sample to bulkpoint_operator;
grant insert on campaign_progress, payment_attempt, outbox_event, audit_event to bulkpoint_operator;
-- A payment's state by a person's word: the table checks the right and the name.
grant insert (campaign_id, seq, amount, transaction_id, money_said, reason, settled_by) on settled_by_hand
    to bulkpoint_operator;
-- Asks for a run by its own name; everyone who runs campaigns may take one, or call one back.
grant insert (request_id, campaign_id, kind, options, digest, reason, actor, requested_by, valid_until, follows, state,
              holder, taken_by, alive_until) on run_request to bulkpoint_operator;
grant update (state, holder, taken_by, alive_until, refusal, ended_at) on run_request to bulkpoint_operator;
-- `agent`: its sign of life.
grant insert (host, pid, alive_until), update (alive_until) on agent to bulkpoint_operator;
-- At its end the job publishes its events and notifies people.
grant update (published_at, parked_at, trouble) on outbox_event to bulkpoint_operator;
grant insert, update on outbox_cursor, notification to bulkpoint_operator;
grant update on payment to bulkpoint_operator;
grant insert, update, delete on money_share to bulkpoint_operator;
grant execute on function freeze_campaign(bigint, bytea), fold_call_tally() to bulkpoint_operator;
-- Only with the right `archive`, which the functions check.
grant execute on function lock_payments(bigint), archive_campaign(bigint, text, text, bytea, bigint, bigint),
                          drop_archived_partitions(bigint), remove_attempts(bigint, text, interval)
    to bulkpoint_operator;

-- Publishes events from the outbox to Kafka and Slack.
grant select on campaign, campaign_run, campaign_overview, campaign_counter, campaign_count, campaign_failed_count,
                campaign_progress, money_limit, outbox_event, outbox_cursor, notification, migration to bulkpoint_relay;
grant update (published_at, parked_at, trouble) on outbox_event to bulkpoint_relay;
grant insert, update on outbox_cursor, notification to bulkpoint_relay;
-- `check`, from the host of relay and notifier: no member, no reason, no detail of the audit log.
grant select (campaign_id, run_no, action) on audit_event to bulkpoint_relay;
grant select (campaign_id, amount) on campaign_target to bulkpoint_relay;
-- `metrics`, from there too: only sums.
grant select on call_tally, call_total, campaign_archive, money_share, live_share to bulkpoint_relay;
grant select (campaign_id, digest, judged_at) on judged_list to bulkpoint_relay;
grant select (campaign_id, digest, finding, at_stake, accepted_by) on campaign_finding to bulkpoint_relay;
grant select (campaign_id, kind, actor, requested_at, valid_until, state, alive_until) on run_request
    to bulkpoint_relay;
grant select on agent to bulkpoint_relay;
