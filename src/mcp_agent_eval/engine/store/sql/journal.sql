-- What was said to models and what came back, and the transcript. A run that is taken over may write a row
-- again: the first one stays.

-- name: insert_call
-- Write down a model call.
INSERT INTO model_calls (
    run, seq, role, model, input_tokens, output_tokens, cost_nano_usd, latency_ms, attempts, dropped, error,
    created_at, request, response, reply
) VALUES (
    :run, :seq, :role, :model, :input_tokens, :output_tokens, :cost_nano_usd, :latency_ms, :attempts, :dropped,
    :error, :created_at, :request, :response, :reply
)
ON CONFLICT (run, seq) DO NOTHING;

-- name: insert_turn
-- Write down a row of the transcript.
INSERT INTO turns (
    run, turn_number, id, role, text, tool_calls, flow_event, model, input_tokens, output_tokens, cost_cents,
    latency_ms, created_at
) VALUES (
    :run, :turn_number, :id, :role, :text, :tool_calls, :flow_event, :model, :input_tokens, :output_tokens,
    :cost_cents, :latency_ms, :created_at
)
ON CONFLICT (run, turn_number) DO NOTHING;

-- name: list_turns
-- A transcript from a turn on.
SELECT
    runs.id AS run_id, turn_number, turns.id, role, text, tool_calls, flow_event, model, input_tokens,
    output_tokens, cost_cents, latency_ms, turns.created_at
FROM runs JOIN turns ON turns.run = runs.serial
WHERE runs.id = :run_id AND turn_number >= :from_turn
ORDER BY turn_number LIMIT :limit;

-- name: list_requests
-- The requests before a call, without which the later ones cannot be read.
SELECT role, request FROM runs JOIN model_calls ON model_calls.run = runs.serial
WHERE runs.id = :run_id AND seq < :before_seq
ORDER BY seq;

-- name: list_calls
-- Model calls from one on.
SELECT
    runs.id AS run_id, seq, role, model, input_tokens, output_tokens, cost_nano_usd, latency_ms,
    model_calls.attempts, dropped, model_calls.error, model_calls.created_at, request, response, reply
FROM runs JOIN model_calls ON model_calls.run = runs.serial
WHERE runs.id = :run_id AND seq >= :from_seq
ORDER BY seq
LIMIT :limit        --? limit
;
