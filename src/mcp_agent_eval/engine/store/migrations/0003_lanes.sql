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

-- What was spent, by day and by suite run; and what is set aside in each for the calls that are being made. A
-- reservation whose run is not claimed under that epoch any more is one of a call that nobody will tell of.

CREATE TABLE spending (
    scope {key} PRIMARY KEY,
    nano_usd {bigint} NOT NULL
) {strict};

CREATE TABLE reservations (
    scope {key} NOT NULL,
    run_id {key} NOT NULL,
    epoch {bigint} NOT NULL,
    nano_usd {bigint} NOT NULL,
    PRIMARY KEY (scope, run_id, epoch)
) {strict};

ALTER TABLE suite_runs ADD COLUMN stopped TEXT;
ALTER TABLE runs ADD COLUMN waiting_for TEXT;

-- How often a run was claimed since something was last stored for it: one that kills its workers gets nowhere.

ALTER TABLE runs ADD COLUMN fruitless {bigint} NOT NULL DEFAULT 0;

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
