-- Times are microseconds since 1970, UTC. Money is nano-dollars (10^-9 USD), so that sums are exact.
-- JSON is kept as text in every dialect: jsonb refuses a NUL and forgets the order of keys.
-- `serial` counts rows in the order in which they came, which clocks cannot always tell.

-- The nouns. `body` is what their users said of them; columns beside it are copies to search by.
-- `name_key` is the name folded to one case by us, since databases differ in that.

CREATE TABLE agents (
    serial {serial},
    id {key} NOT NULL UNIQUE,
    name TEXT NOT NULL,
    name_key {key} NOT NULL,
    body {json} NOT NULL,
    created_at {bigint} NOT NULL,
    updated_at {bigint} NOT NULL,
    deleted_at {bigint}
) {strict};
CREATE INDEX agents_listed ON agents (created_at, serial) WHERE deleted_at IS NULL;
CREATE INDEX agents_named ON agents (name_key, serial) WHERE deleted_at IS NULL;

CREATE TABLE personas (
    serial {serial},
    id {key} NOT NULL UNIQUE,
    name TEXT NOT NULL,
    name_key {key} NOT NULL,
    body {json} NOT NULL,
    created_at {bigint} NOT NULL,
    updated_at {bigint} NOT NULL,
    deleted_at {bigint}
) {strict};
CREATE INDEX personas_named ON personas (name_key, serial) WHERE deleted_at IS NULL;

CREATE TABLE suites (
    serial {serial},
    id {key} NOT NULL UNIQUE,
    name TEXT NOT NULL,
    name_key {key} NOT NULL,
    body {json} NOT NULL,
    created_at {bigint} NOT NULL,
    updated_at {bigint} NOT NULL,
    deleted_at {bigint}
) {strict};
CREATE INDEX suites_listed ON suites (created_at, serial) WHERE deleted_at IS NULL;
CREATE INDEX suites_named ON suites (name_key, serial) WHERE deleted_at IS NULL;

CREATE TABLE cases (
    serial {serial},
    id {key} NOT NULL UNIQUE,
    name TEXT NOT NULL,
    name_key {key} NOT NULL,
    agent_id {key} NOT NULL REFERENCES agents (id),
    persona_id {key} NOT NULL REFERENCES personas (id),
    suite_id {key} REFERENCES suites (id),
    body {json} NOT NULL,
    created_at {bigint} NOT NULL,
    updated_at {bigint} NOT NULL,
    deleted_at {bigint}
) {strict};
CREATE INDEX cases_listed ON cases (created_at, serial) WHERE deleted_at IS NULL;
CREATE INDEX cases_named ON cases (name_key, serial) WHERE deleted_at IS NULL;
CREATE INDEX cases_of_agent ON cases (agent_id, created_at, serial);
CREATE INDEX cases_of_persona ON cases (persona_id, created_at, serial);
CREATE INDEX cases_of_suite ON cases (suite_id, serial);

-- One execution of a whole suite. Its figures are those of its runs, added up when they are asked for.

CREATE TABLE suite_runs (
    serial {serial},
    id {key} NOT NULL UNIQUE,
    suite_id {key},
    parallelism {bigint} NOT NULL CHECK (parallelism > 0),
    agent_overrides {json},
    idempotency_key TEXT UNIQUE,
    created_at {bigint} NOT NULL
) {strict};
CREATE INDEX suite_runs_of_suite ON suite_runs (suite_id, created_at, serial);

-- A run, and its place in the queue: the row is the queue. It is rewritten at every turn, so it is kept
-- small; what is large is in `run_documents`.
--
-- `needs` is a JSON list of what a worker must be able to reach, sorted. A `lane` shares one limit of runs
-- at once; the lane '' has none. `epoch` counts claims: who holds an older one writes nothing any more.

CREATE TABLE runs (
    serial {serial},
    id {key} NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    queue_status TEXT NOT NULL CHECK (queue_status IN ('pending', 'claimed', 'done')),
    case_id {key},
    suite_id {key},
    suite_run_id {key} REFERENCES suite_runs (id),
    position {bigint} NOT NULL DEFAULT 0,
    lane {key} NOT NULL GENERATED ALWAYS AS (coalesce(suite_run_id, '')) STORED,
    agent_id {key},
    persona_id {key},
    agent_model TEXT,
    persona_model TEXT,
    judge_model TEXT,
    needs {key} NOT NULL,
    idempotency_key TEXT UNIQUE,

    lease_owner {key},
    lease_until {bigint},
    epoch {bigint} NOT NULL DEFAULT 0,
    attempts {bigint} NOT NULL DEFAULT 0,
    cancel_requested {bigint} NOT NULL DEFAULT 0,

    created_at {bigint} NOT NULL,
    started_at {bigint},
    ended_at {bigint},
    duration_ms {bigint},

    score {float},
    pass_fail {bigint},
    termination_reason TEXT,
    end_detail TEXT,
    error TEXT,

    max_turns {bigint} NOT NULL,
    spoken_turns {bigint} NOT NULL DEFAULT 0,
    agent_input_tokens {bigint} NOT NULL DEFAULT 0,
    agent_output_tokens {bigint} NOT NULL DEFAULT 0,
    agent_cost_nano_usd {bigint} NOT NULL DEFAULT 0,
    agent_unpriced {bigint} NOT NULL DEFAULT 0,
    persona_input_tokens {bigint} NOT NULL DEFAULT 0,
    persona_output_tokens {bigint} NOT NULL DEFAULT 0,
    persona_cost_nano_usd {bigint} NOT NULL DEFAULT 0,
    persona_unpriced {bigint} NOT NULL DEFAULT 0,
    judge_input_tokens {bigint} NOT NULL DEFAULT 0,
    judge_output_tokens {bigint} NOT NULL DEFAULT 0,
    judge_cost_nano_usd {bigint} NOT NULL DEFAULT 0,
    judge_unpriced {bigint} NOT NULL DEFAULT 0,
    unpriced_models {json} NOT NULL DEFAULT '[]',

    agent_cost_cents {bigint} GENERATED ALWAYS AS
        (CASE WHEN agent_unpriced = 0 THEN (agent_cost_nano_usd + 9999999) / 10000000 END) STORED,
    persona_cost_cents {bigint} GENERATED ALWAYS AS
        (CASE WHEN persona_unpriced = 0 THEN (persona_cost_nano_usd + 9999999) / 10000000 END) STORED,
    judge_cost_cents {bigint} GENERATED ALWAYS AS
        (CASE WHEN judge_unpriced = 0 THEN (judge_cost_nano_usd + 9999999) / 10000000 END) STORED
) {strict};
CREATE INDEX runs_listed ON runs (created_at, serial);
CREATE INDEX runs_by_status ON runs (status, created_at, serial);
CREATE INDEX runs_of_case ON runs (case_id, created_at, serial);
CREATE INDEX runs_of_suite ON runs (suite_id, created_at, serial);
CREATE INDEX runs_of_suite_run ON runs (suite_run_id, position, serial);
CREATE INDEX runs_pending ON runs (needs, lane, serial) WHERE queue_status = 'pending';
CREATE INDEX runs_claimed ON runs (lane) WHERE queue_status = 'claimed';

-- What belongs to a run is kept by its serial: the indexes are small, and runs that are executed at the same
-- time write to the same pages.
--
-- `snapshot` is the case, the persona and the effective agent as the run met them. It comes last: reading
-- the columns before it does not load it.

CREATE TABLE run_documents (
    run {bigint} PRIMARY KEY REFERENCES runs (serial),
    agent_overrides {json},
    evaluation {json},
    snapshot {json} NOT NULL
) {strict};

CREATE VIEW whole_runs AS
SELECT
    runs.*,
    agent_cost_nano_usd + persona_cost_nano_usd + judge_cost_nano_usd AS cost_nano_usd,
    agent_cost_cents + persona_cost_cents + judge_cost_cents AS total_cost_cents,
    run_documents.agent_overrides,
    run_documents.evaluation
FROM runs JOIN run_documents ON run_documents.run = runs.serial;

CREATE TABLE turns (
    run {bigint} NOT NULL REFERENCES runs (serial),
    turn_number {bigint} NOT NULL,
    id {key} NOT NULL,
    role TEXT NOT NULL,
    text TEXT,
    tool_calls {json},
    flow_event {json},
    model TEXT,
    input_tokens {bigint} NOT NULL,
    output_tokens {bigint} NOT NULL,
    cost_cents {bigint} NOT NULL,
    latency_ms {bigint},
    created_at {bigint} NOT NULL,
    PRIMARY KEY (run, turn_number)
) {strict};

-- `request` is what it adds to the request before it of the same role: see deltas.py. `reply` is what the
-- engine made of the response, for whoever takes the run over; the store does not look into it.

CREATE TABLE model_calls (
    run {bigint} NOT NULL REFERENCES runs (serial),
    seq {bigint} NOT NULL,
    role TEXT NOT NULL,
    model TEXT NOT NULL,
    input_tokens {bigint} NOT NULL,
    output_tokens {bigint} NOT NULL,
    cost_nano_usd {bigint},
    latency_ms {bigint} NOT NULL,
    attempts {bigint} NOT NULL,
    dropped {json} NOT NULL,
    error TEXT,
    created_at {bigint} NOT NULL,
    request {json} NOT NULL,
    response {json} NOT NULL,
    reply {json},
    PRIMARY KEY (run, seq)
) {strict};
