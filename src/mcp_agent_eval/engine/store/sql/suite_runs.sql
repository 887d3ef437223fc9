-- Suite runs. Their figures are added up from their runs, without touching what of a run is large.

-- name: insert_suite_run
-- Store a suite run; its runs follow.
INSERT INTO suite_runs (id, suite_id, parallelism, agent_overrides, idempotency_key, created_at)
VALUES (:id, :suite_id, :parallelism, :agent_overrides, :idempotency_key, :created_at);

-- name: aggregate_suite_runs
-- The aggregates of one suite run, or of all those of a suite, newest first. A run is in flight until it is
-- scored and billed.
WITH outcomes AS (
    SELECT
        runs.*,
        CASE WHEN queue_status = 'done' THEN status ELSE 'in_flight' END AS outcome,
        agent_cost_nano_usd + persona_cost_nano_usd + judge_cost_nano_usd AS cost_nano_usd,
        agent_cost_cents + persona_cost_cents + judge_cost_cents AS total_cost_cents
    FROM runs
)
SELECT
    suite_runs.id AS suite_run_id,
    suite_runs.suite_id,
    suite_runs.agent_overrides,
    suite_runs.stopped,
    count(run.id) AS total_runs,
    count(*) FILTER (WHERE outcome = 'completed') AS completed,
    count(*) FILTER (WHERE outcome = 'in_flight') AS in_flight,
    count(*) FILTER (WHERE outcome = 'cancelled') AS cancelled,
    count(*) FILTER (WHERE outcome = 'failed') AS errored,
    count(*) FILTER (WHERE outcome = 'completed' AND pass_fail = 1) AS passed,
    count(*) FILTER (WHERE outcome = 'completed' AND pass_fail = 0) AS failed,
    CASE WHEN count(run.id) = 0 THEN 0 ELSE CAST(sum(total_cost_cents) AS {bigint}) END AS total_cost_cents,
    CAST(coalesce(sum(cost_nano_usd), 0) AS {bigint}) AS cost_nano_usd,
    count(*) FILTER (WHERE run.id IS NOT NULL AND total_cost_cents IS NULL) AS unpriced_runs,
    min(started_at) AS started_at,
    max(ended_at) AS ended_at,
    avg(score) FILTER (WHERE outcome = 'completed') AS score_avg
FROM suite_runs
LEFT JOIN outcomes AS run ON run.suite_run_id = suite_runs.id
WHERE 1 = 1
  AND suite_runs.id = :suite_run_id     --? suite_run_id
  AND suite_runs.suite_id = :suite_id   --? suite_id
  AND suite_runs.idempotency_key = :idempotency_key     --? idempotency_key
GROUP BY suite_runs.id, suite_runs.serial
ORDER BY suite_runs.created_at DESC, suite_runs.serial DESC;
