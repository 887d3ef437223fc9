-- How the models' lanes are doing.

-- name: list_lanes
-- Every lane that ever answered or was paused.
SELECT name, answered_at, paused_until, pauses, reason FROM lanes;

-- name: pause_lane
-- Let a lane rest. Calls that failed in one and the same pause count once, and the longest rest holds.
INSERT INTO lanes (name, paused_until, pauses, reason) VALUES (:name, :until, 1, :reason)
ON CONFLICT (name) DO UPDATE SET
    pauses = lanes.pauses + CASE WHEN lanes.paused_until <= :now THEN 1 ELSE 0 END,
    paused_until = CASE WHEN lanes.paused_until > :until THEN lanes.paused_until ELSE :until END,
    reason = :reason;

-- name: keep_lane_answered
-- A lane answered: it is open.
INSERT INTO lanes (name, answered_at) VALUES (:name, :now)
ON CONFLICT (name) DO UPDATE SET answered_at = :now, paused_until = 0, pauses = 0, reason = NULL;
