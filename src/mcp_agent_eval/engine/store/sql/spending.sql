-- What was spent, and what is set aside for calls that are being made.

-- name: take_lost_reservations
-- Those of a scope that nobody will settle: their run is another worker's, or nobody's, or asks for a further call.
DELETE FROM reservations
WHERE scope = :scope AND (
    run_id = :run_id OR NOT EXISTS (
        SELECT 1 FROM runs
        WHERE runs.id = reservations.run_id AND runs.epoch = reservations.epoch AND runs.queue_status = 'claimed'
    )
)
RETURNING nano_usd;

-- name: add_reservation
-- Set money aside for a call of a run.
INSERT INTO reservations (scope, run_id, epoch, nano_usd) VALUES (:scope, :run_id, :epoch, :nano_usd);

-- name: take_reservation
-- What is set aside for the call of a run; no row when it counts as lost.
DELETE FROM reservations WHERE scope = :scope AND run_id = :run_id AND epoch = :epoch RETURNING nano_usd;

-- name: add_spending
-- Count money as spent.
INSERT INTO spending (scope, nano_usd) VALUES (:scope, :nano_usd)
ON CONFLICT (scope) DO UPDATE SET nano_usd = spending.nano_usd + :nano_usd;

-- name: get_spending
-- What a scope has spent, and what is set aside in it.
SELECT
    coalesce((SELECT nano_usd FROM spending WHERE scope = :scope), 0) AS spent,
    coalesce((SELECT sum(nano_usd) FROM reservations WHERE scope = :scope), 0) AS reserved;
