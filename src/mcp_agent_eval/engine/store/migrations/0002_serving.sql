-- What serving others takes: tools that agents share, what a repeated request must not make twice, and keys.

CREATE TABLE tools (
    serial {serial},
    id {key} NOT NULL UNIQUE,
    name TEXT NOT NULL,
    name_key {key} NOT NULL,
    body {json} NOT NULL,
    created_at {bigint} NOT NULL,
    updated_at {bigint} NOT NULL,
    deleted_at {bigint}
) {strict};
CREATE INDEX tools_listed ON tools (created_at, serial) WHERE deleted_at IS NULL;
CREATE INDEX tools_named ON tools (name_key, serial) WHERE deleted_at IS NULL;

-- Which noun a request with an idempotency key made.

CREATE TABLE creations (
    kind {key} NOT NULL,
    idempotency_key {key} NOT NULL,
    noun_id {key} NOT NULL,
    PRIMARY KEY (kind, idempotency_key)
) {strict};

-- Keys of the REST API. The secret itself is never kept: `secret_hash` is its SHA-256, and `hint` its first
-- characters, to tell keys apart. `scopes` is a JSON list.

CREATE TABLE api_keys (
    serial {serial},
    id {key} NOT NULL UNIQUE,
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    secret_hash {key} NOT NULL UNIQUE,
    scopes {json} NOT NULL,
    created_at {bigint} NOT NULL,
    expires_at {bigint},
    revoked_at {bigint}
) {strict};
