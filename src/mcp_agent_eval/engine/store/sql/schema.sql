-- Which steps of the schema a database has.

-- name: create_steps
-- The table that remembers them.
CREATE TABLE IF NOT EXISTS schema_steps (
    name {key} PRIMARY KEY,
    sha256 TEXT NOT NULL
) {strict};

-- name: list_steps
-- Those that were taken.
SELECT name, sha256 FROM schema_steps;

-- name: add_step
-- Remember one.
INSERT INTO schema_steps (name, sha256) VALUES (:name, :sha256);
