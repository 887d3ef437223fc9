-- The queue: a run is pending, claimed or done. A worker holds a lease on what it claimed, and an epoch that
-- fences off whoever held it before.

-- name: list_pending_needs
-- What the pending runs need, each combination once, in steps along `runs_pending`.
WITH RECURSIVE found (needs) AS (
    SELECT min(needs) FROM runs WHERE queue_status = 'pending'
    UNION ALL
    SELECT (SELECT min(runs.needs) FROM runs WHERE queue_status = 'pending' AND runs.needs > found.needs)
    FROM found WHERE found.needs IS NOT NULL
)
SELECT needs FROM found WHERE needs IS NOT NULL;

-- name: find_pending
-- Any run that waits.
SELECT 1 AS found FROM runs WHERE queue_status = 'pending' LIMIT 1;

-- name: count_claimed
-- What is being executed, by what it needs and by suite run.
SELECT needs, lane, count(*) AS claimed FROM runs WHERE queue_status = 'claimed' GROUP BY needs, lane;

-- name: list_claimable
-- The oldest pending runs of each suite run and need, each with its place among these and with how many more of
-- its suite run may be claimed. It steps from lane to lane and from run to run along `runs_pending`, so that all that
-- waits behind them costs nothing.
WITH RECURSIVE
lanes (needs, lane) AS (
    SELECT wanted.value, (
        SELECT min(runs.lane) FROM runs WHERE queue_status = 'pending' AND runs.needs = wanted.value
    )
    FROM {list needs} AS wanted
    UNION ALL
    SELECT lanes.needs, (
        SELECT min(runs.lane) FROM runs
        WHERE queue_status = 'pending' AND runs.needs = lanes.needs AND runs.lane > lanes.lane
    )
    FROM lanes WHERE lanes.lane IS NOT NULL
),
open_lanes (needs, lane, free) AS (
    SELECT lanes.needs, lanes.lane, coalesce(
        suite_runs.parallelism
        - (SELECT count(*) FROM runs WHERE queue_status = 'claimed' AND runs.lane = lanes.lane),
        :room
    )
    FROM lanes LEFT JOIN suite_runs ON suite_runs.id = lanes.lane
    WHERE lanes.lane IS NOT NULL
),
heads (needs, lane, free, place, serial) AS (
    SELECT open_lanes.needs, open_lanes.lane, open_lanes.free, 1, (
        SELECT min(runs.serial) FROM runs
        WHERE queue_status = 'pending' AND runs.needs = open_lanes.needs AND runs.lane = open_lanes.lane
    )
    FROM open_lanes WHERE open_lanes.free > 0
    UNION ALL
    SELECT heads.needs, heads.lane, heads.free, heads.place + 1, (
        SELECT min(runs.serial) FROM runs
        WHERE queue_status = 'pending' AND runs.needs = heads.needs AND runs.lane = heads.lane
            AND runs.serial > heads.serial
    )
    FROM heads WHERE heads.serial IS NOT NULL AND heads.place < heads.free AND heads.place < :room
)
SELECT runs.id, heads.serial, heads.needs, heads.lane, heads.free, heads.place
FROM heads JOIN runs ON runs.serial = heads.serial;

-- name: claim_runs
-- Claim these runs.
UPDATE runs SET
    queue_status = 'claimed',
    status = 'running',
    waiting_for = NULL,
    lease_owner = :worker,
    lease_until = :lease_until,
    epoch = epoch + 1,
    attempts = attempts + 1,
    fruitless = fruitless + 1,
    started_at = coalesce(started_at, :now)
WHERE id IN {list run_ids} AND queue_status = 'pending'
RETURNING serial, id, epoch, attempts;

-- name: postpone_run
-- Put a run that its worker cannot go on with back into the queue, at the place that it had.
UPDATE runs SET
    queue_status = 'pending',
    status = 'queued',
    waiting_for = :waiting_for,
    attempts = attempts - 1,
    fruitless = 0,
    lease_owner = NULL,
    lease_until = NULL
WHERE id = :run_id;

-- name: fail_overdue
-- End the runs that have waited for a model until their time was over.
UPDATE runs SET
    queue_status = 'done',
    status = 'failed',
    termination_reason = 'error',
    end_detail = 'model_failed',
    error = waiting_for || :reason,
    waiting_for = NULL,
    ended_at = :now,
    duration_ms = (:now - started_at) / 1000
WHERE queue_status = 'pending' AND waiting_for IS NOT NULL AND started_at < :started_before
RETURNING id, suite_run_id;

-- name: renew_leases
-- Hold on to runs that a worker claimed.
UPDATE runs SET lease_until = :lease_until
WHERE queue_status = 'claimed' AND lease_owner = :worker
  AND id IN {list run_ids}
RETURNING id, epoch, cancel_requested;

-- name: cancel_leases
-- End the runs that were to be cancelled when their worker let go of them.
UPDATE runs SET
    queue_status = 'done',
    status = 'cancelled',
    termination_reason = 'cancelled',
    ended_at = :now,
    duration_ms = (:now - started_at) / 1000,
    lease_owner = NULL,
    lease_until = NULL
WHERE queue_status = 'claimed' AND cancel_requested = 1
  AND id = :run_id                  --? run_id
  AND lease_owner = :worker         --? worker
  AND (lease_until < :expired OR lease_until > :too_late)   --? expired
RETURNING id, suite_run_id;

-- name: fail_leases
-- End the runs whose workers died one after the other, without storing anything.
UPDATE runs SET
    queue_status = 'done',
    status = 'failed',
    termination_reason = 'error',
    error = :error,
    ended_at = :now,
    duration_ms = (:now - started_at) / 1000,
    lease_owner = NULL,
    lease_until = NULL
WHERE queue_status = 'claimed' AND fruitless >= :most_attempts
  AND (lease_until < :expired OR lease_until > :too_late)
RETURNING id, suite_run_id;

-- name: return_leases
-- Put runs back into the queue, at the place that they had.
UPDATE runs SET
    queue_status = 'pending',
    status = 'queued',
    attempts = attempts - :attempts_back,
    fruitless = CASE WHEN fruitless > 0 THEN fruitless - :attempts_back ELSE 0 END,
    lease_owner = NULL,
    lease_until = NULL
WHERE queue_status = 'claimed'
  AND id IN {list run_ids}          --? run_ids
  AND lease_owner = :worker         --? worker
  AND (lease_until < :expired OR lease_until > :too_late)   --? expired
RETURNING id, suite_run_id;

-- name: cancel_pending
-- End a run that nobody has claimed.
UPDATE runs SET
    queue_status = 'done',
    status = 'cancelled',
    termination_reason = 'cancelled',
    waiting_for = NULL,
    ended_at = :now,
    duration_ms = (:now - started_at) / 1000
WHERE id = :run_id AND queue_status = 'pending'
RETURNING id, suite_run_id;

-- name: stop_pending
-- End the runs of a suite run that nobody has claimed.
UPDATE runs SET
    queue_status = 'done',
    status = 'cancelled',
    termination_reason = 'cancelled',
    error = :reason,
    waiting_for = NULL,
    ended_at = :now,
    duration_ms = (:now - started_at) / 1000
WHERE suite_run_id = :suite_run_id AND queue_status = 'pending'
RETURNING id, suite_run_id;

-- name: keep_stopped
-- Remember why a suite run was stopped.
UPDATE suite_runs SET stopped = :reason WHERE id = :suite_run_id AND stopped IS NULL;

-- name: signal_cancel
-- Tell the worker of a claimed run to stop.
UPDATE runs SET cancel_requested = 1 WHERE id = :run_id AND queue_status = 'claimed';

-- name: get_queue_status
-- Whether a run is there, and where in the queue.
SELECT queue_status FROM runs WHERE id = :run_id;

-- name: find_owned
-- A run, if it still belongs to whoever claimed it then.
SELECT serial FROM runs
WHERE id = :run_id AND epoch = :epoch AND lease_owner = :worker AND queue_status = 'claimed';

-- name: keep_totals
-- What a run used so far; no row when it belongs to somebody else by now.
UPDATE runs SET
    fruitless = CASE WHEN :new_calls > 0 THEN 0 ELSE fruitless END,
    spoken_turns = :spoken_turns,
    agent_input_tokens = :agent_input_tokens,
    agent_output_tokens = :agent_output_tokens,
    agent_cost_nano_usd = :agent_cost_nano_usd,
    agent_unpriced = :agent_unpriced,
    persona_input_tokens = :persona_input_tokens,
    persona_output_tokens = :persona_output_tokens,
    persona_cost_nano_usd = :persona_cost_nano_usd,
    persona_unpriced = :persona_unpriced,
    judge_input_tokens = :judge_input_tokens,
    judge_output_tokens = :judge_output_tokens,
    judge_cost_nano_usd = :judge_cost_nano_usd,
    judge_unpriced = :judge_unpriced,
    unpriced_models = :unpriced_models
WHERE id = :run_id AND epoch = :epoch AND lease_owner = :worker AND queue_status = 'claimed'
RETURNING serial, id, suite_run_id, cancel_requested;

-- name: keep_ending
-- How a conversation ended whose verdicts are still to come.
UPDATE runs SET termination_reason = :termination_reason, end_detail = :end_detail, error = :error
WHERE id = :run_id;

-- name: finish_run
-- End a run, with its verdict.
UPDATE runs SET
    queue_status = 'done',
    status = :status,
    termination_reason = :termination_reason,
    end_detail = :end_detail,
    error = :error,
    score = :score,
    pass_fail = :pass_fail,
    ended_at = :ended_at,
    duration_ms = :duration_ms,
    lease_owner = NULL,
    lease_until = NULL
WHERE id = :run_id;

-- name: keep_evaluation
-- The evaluation of a run.
UPDATE run_documents SET evaluation = :evaluation WHERE run = :run;
