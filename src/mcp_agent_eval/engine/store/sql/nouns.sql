-- The nouns: agents, personas, tools, cases and suites. `live` is given where deleted ones do not count.

-- name: insert_{kind}
-- for kind: agent, persona, tool, suite
-- Store a new noun.
INSERT INTO {kind}s (id, name, name_key, body, created_at, updated_at, deleted_at)
VALUES (:id, :name, :name_key, :body, :created_at, :updated_at, :deleted_at);

-- name: insert_case
-- Store a new case.
INSERT INTO cases (id, name, name_key, agent_id, persona_id, suite_id, body, created_at, updated_at, deleted_at)
VALUES (
    :id, :name, :name_key, :agent_id, :persona_id, :suite_id, :body, :created_at, :updated_at, :deleted_at
);

-- name: replace_{kind}
-- for kind: agent, persona, tool, suite
-- Change a noun that was not deleted.
UPDATE {kind}s SET name = :name, name_key = :name_key, body = :body, updated_at = :updated_at
WHERE id = :id AND deleted_at IS NULL;

-- name: replace_case
-- Change a case that was not deleted.
UPDATE cases SET
    name = :name, name_key = :name_key, body = :body, updated_at = :updated_at,
    agent_id = :agent_id, persona_id = :persona_id, suite_id = :suite_id
WHERE id = :id AND deleted_at IS NULL;

-- name: delete_{kind}
-- for kind: agent, persona, tool, case, suite
-- Mark a noun as deleted, once.
UPDATE {kind}s SET deleted_at = :at WHERE id = :id AND deleted_at IS NULL;

-- name: get_{kind}s
-- for kind: agent, persona, tool, case, suite
-- Nouns by their ids.
SELECT id, body, created_at, updated_at, deleted_at FROM {kind}s
WHERE id IN {list ids}
  AND deleted_at IS NULL        --? live
;

-- name: list_{kind}s
-- for kind: agent, tool, suite
-- A page of nouns, newest first.
SELECT id, body, created_at, updated_at, deleted_at FROM {kind}s
WHERE deleted_at IS NULL
ORDER BY created_at DESC, serial DESC
LIMIT :limit OFFSET :offset;

-- name: list_personas
-- A page of personas, by name.
SELECT id, body, created_at, updated_at, deleted_at FROM personas
WHERE deleted_at IS NULL
ORDER BY name_key, serial
LIMIT :limit OFFSET :offset;

-- name: list_cases
-- A page of cases, newest first.
SELECT id, body, created_at, updated_at, deleted_at FROM cases
WHERE deleted_at IS NULL
  AND agent_id = :agent_id      --? agent_id
  AND persona_id = :persona_id  --? persona_id
  AND suite_id = :suite_id      --? suite_id
ORDER BY created_at DESC, serial DESC
LIMIT :limit OFFSET :offset;

-- name: count_{kind}s
-- for kind: agent, persona, tool, suite
-- How many there are.
SELECT count(*) AS total FROM {kind}s WHERE deleted_at IS NULL;

-- name: count_cases
-- How many cases such a list has.
SELECT count(*) AS total FROM cases
WHERE deleted_at IS NULL
  AND agent_id = :agent_id      --? agent_id
  AND persona_id = :persona_id  --? persona_id
  AND suite_id = :suite_id      --? suite_id
;

-- name: list_cases_of_suite
-- The cases that a suite runs, in the order in which they were made.
SELECT id, body, created_at, updated_at, deleted_at FROM cases
WHERE suite_id = :suite_id AND deleted_at IS NULL
ORDER BY serial;

-- name: find_{kind}s_by_id
-- for kind: agent, persona, tool, case, suite
-- The noun with just this id.
SELECT id, name FROM {kind}s WHERE id = :reference AND deleted_at IS NULL;

-- name: find_{kind}s_by_name
-- for kind: agent, persona, tool, case, suite
-- The nouns of this name, upper and lower case alike.
SELECT id, name FROM {kind}s WHERE name_key = :name_key AND deleted_at IS NULL
ORDER BY serial LIMIT :limit;

-- name: find_{kind}s_by_prefix
-- for kind: agent, persona, tool, case, suite
-- The nouns whose id begins like this.
SELECT id, name FROM {kind}s
WHERE id >= :reference AND id < :reference_end AND deleted_at IS NULL
ORDER BY id LIMIT :limit;

-- name: keep_creation
-- Remember what a request with an idempotency key made.
INSERT INTO creations (kind, idempotency_key, noun_id) VALUES (:kind, :idempotency_key, :noun_id);

-- name: get_creation
-- What a request with this key made.
SELECT noun_id FROM creations WHERE kind = :kind AND idempotency_key = :idempotency_key;
