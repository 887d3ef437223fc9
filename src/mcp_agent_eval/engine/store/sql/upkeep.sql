-- What is deleted for good: runs that are over, with all that belongs to them. A suite run goes as a whole, or its
-- aggregate would lie.

-- name: list_finished
-- Runs that are over, oldest first, and those of one suite run together: each with the end of the last of these.
-- A suite run counts when all of its runs do. `keep` counts from the newest; `place` is that of the first run of a
-- suite run, so that one which begins within those that are kept is kept whole.
WITH members AS (
    SELECT
        id,
        suite_run_id,
        coalesce(suite_run_id, id) AS unit,
        max(coalesce(ended_at, created_at)) OVER together AS ended_at,
        min(CASE WHEN queue_status = 'done'
            AND status IN {list statuses}       --? statuses
            THEN 1 ELSE 0 END) OVER together AS is_over
    FROM runs
    WINDOW together AS (PARTITION BY coalesce(suite_run_id, id))
),
ranked AS (
    SELECT id, suite_run_id, unit, ended_at, rank() OVER (ORDER BY ended_at DESC, unit DESC) AS place
    FROM members WHERE is_over = 1
)
SELECT id, suite_run_id, ended_at FROM ranked
WHERE 1 = 1
  AND ended_at < :before        --? before
  AND place > :keep             --? keep
ORDER BY ended_at, unit, id;

-- name: delete_{table}
-- for table: model_calls, turns, run_documents
-- What belongs to runs that are over.
DELETE FROM {table}
WHERE run IN (SELECT serial FROM runs WHERE id IN {list run_ids} AND queue_status = 'done');

-- name: delete_runs
-- Runs that are over, once nothing belongs to them any more.
DELETE FROM runs WHERE id IN {list run_ids} AND queue_status = 'done';

-- name: detach_runs
-- Take the runs that are left out of suite runs that are to go.
UPDATE runs SET suite_run_id = NULL WHERE suite_run_id IN {list suite_run_ids};

-- name: delete_suite_runs
-- Suite runs, once no run is left in them.
DELETE FROM suite_runs WHERE id IN {list suite_run_ids};

-- name: forget_{table}
-- for table: spending, reservations
-- What was spent or set aside on days before one, and in suite runs that are gone: no ceiling counts it any more.
DELETE FROM {table}
WHERE (scope >= 'day ' AND scope < :oldest_day)
   OR (scope >= 'suite run ' AND scope < 'suite run!'
       AND NOT EXISTS (SELECT 1 FROM suite_runs WHERE suite_runs.id = substr(scope, 11)));
