-- What was spent or is reserved.

-- name: reserve
-- Add to what a scope has spent, unless that would pass its ceiling; no row then.
INSERT INTO spending (scope, nano_usd)
SELECT CAST(:scope AS TEXT), CAST(:nano_usd AS {bigint}) WHERE :nano_usd <= :ceiling
ON CONFLICT (scope) DO UPDATE SET nano_usd = spending.nano_usd + :nano_usd
WHERE spending.nano_usd + :nano_usd <= :ceiling
RETURNING nano_usd;

-- name: give_back
-- Take back what a reservation was too large by.
UPDATE spending SET nano_usd = nano_usd - :nano_usd WHERE scope = :scope;

-- name: get_spending
-- What a scope has spent or reserved.
SELECT nano_usd FROM spending WHERE scope = :scope;
