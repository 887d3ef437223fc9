-- What many workers on one database need to know of each other: how every model's lane is doing, what was spent,
-- and why a run waits or a suite run was stopped.

-- A lane is a model at an address, as the `needs` of runs name it. It is paused while its provider asks for
-- patience or is down, a little longer each time: `pauses` counts those since it last answered.

CREATE TABLE lanes (
    name {key} PRIMARY KEY,
    answered_at {bigint},
    paused_until {bigint} NOT NULL DEFAULT 0,
    pauses {bigint} NOT NULL DEFAULT 0,
    reason TEXT
) {strict};

-- What was spent or is reserved, by day and by suite run.

CREATE TABLE spending (
    scope {key} PRIMARY KEY,
    nano_usd {bigint} NOT NULL
) {strict};

ALTER TABLE suite_runs ADD COLUMN stopped TEXT;
ALTER TABLE runs ADD COLUMN waiting_for TEXT;

-- A view keeps the columns that there were when it was made.

DROP VIEW whole_runs;
CREATE VIEW whole_runs AS
SELECT
    runs.*,
    agent_cost_nano_usd + persona_cost_nano_usd + judge_cost_nano_usd AS cost_nano_usd,
    agent_cost_cents + persona_cost_cents + judge_cost_cents AS total_cost_cents,
    run_documents.agent_overrides,
    run_documents.evaluation
FROM runs JOIN run_documents ON run_documents.run = runs.serial;
