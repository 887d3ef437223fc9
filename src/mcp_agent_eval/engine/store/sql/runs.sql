-- Runs as they are read, and how they come into being.

-- name: insert_run
-- Store a run, in the queue or already over.
INSERT INTO runs (
    id, status, queue_status, case_id, suite_id, suite_run_id, position, agent_id, persona_id,
    agent_model, persona_model, judge_model, needs, idempotency_key, created_at, started_at, ended_at,
    duration_ms, termination_reason, end_detail, error, max_turns
) VALUES (
    :id, :status, :queue_status, :case_id, :suite_id, :suite_run_id, :position, :agent_id, :persona_id,
    :agent_model, :persona_model, :judge_model, :needs, :idempotency_key, :created_at, :started_at, :ended_at,
    :duration_ms, :termination_reason, :end_detail, :error, :max_turns
);

-- name: insert_run_documents
-- Store what of a run is large.
INSERT INTO run_documents (run, agent_overrides, snapshot)
SELECT serial, :agent_overrides, :snapshot FROM runs WHERE id = :id;

-- name: get_run
-- One run by its id or by the key that it was started with.
SELECT * FROM whole_runs
WHERE 1 = 1
  AND id = :id                              --? id
  AND idempotency_key = :idempotency_key    --? idempotency_key
;

-- name: get_snapshot
-- What a run ran with.
SELECT snapshot FROM run_documents WHERE run = (SELECT serial FROM runs WHERE id = :run_id);

-- name: list_runs
-- A page of runs, newest first.
SELECT * FROM whole_runs
WHERE 1 = 1
  AND case_id = :case_id                --? case_id
  AND suite_id = :suite_id              --? suite_id
  AND suite_run_id = :suite_run_id      --? suite_run_id
  AND status = :status                  --? status
ORDER BY created_at DESC, serial DESC
LIMIT :limit OFFSET :offset;

-- name: count_runs
-- How many runs such a list has.
SELECT count(*) AS total FROM runs
WHERE 1 = 1
  AND case_id = :case_id                --? case_id
  AND suite_id = :suite_id              --? suite_id
  AND suite_run_id = :suite_run_id      --? suite_run_id
  AND status = :status                  --? status
;

-- name: list_runs_of_suite_run
-- The runs of a suite run, in the order of its cases.
SELECT * FROM whole_runs WHERE suite_run_id = :suite_run_id ORDER BY position, serial;

-- name: list_run_ids_of_suite_run
-- Their ids alone.
SELECT id FROM runs WHERE suite_run_id = :suite_run_id ORDER BY position, serial;

-- name: find_{table}s_by_id
-- for table: run, suite_run
-- The one with just this id.
SELECT id FROM {table}s WHERE id = :reference;

-- name: find_{table}s_by_prefix
-- for table: run, suite_run
-- Those whose id begins like this.
SELECT id FROM {table}s WHERE id >= :reference AND id < :reference_end ORDER BY id LIMIT :limit;
