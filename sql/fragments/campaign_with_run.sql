-- A campaign with its latest run, from campaign_overview.
       campaign_id, name, note, state, expected_count, expected_amount, target_count, target_amount, digest,
       creator, creator_login::text, created_at, not_before, approved_by, approved_login::text, approved_at,
       approved_digest, created_digest, rejected_by, rejected_login::text, rejected_at, rejected_reason, same_as,
       frozen_at, run_id, run_no, run_kind::text, run_reason, run_started_at, run_finished_at,
       driver_until, driver_is_gone, run_waiting, stopping, archived_at, archive_place
