-- Keys of the REST API, found by the hashes of their secrets.

-- name: insert_key
-- Store a new key.
INSERT INTO api_keys (id, name, hint, secret_hash, scopes, created_at, expires_at, revoked_at)
VALUES (:id, :name, :hint, :secret_hash, :scopes, :created_at, :expires_at, :revoked_at);

-- name: get_key
-- The key whose secret has this hash.
SELECT id, name, hint, scopes, created_at, expires_at, revoked_at FROM api_keys
WHERE secret_hash = :secret_hash;

-- name: list_keys
-- Every key, newest first.
SELECT id, name, hint, scopes, created_at, expires_at, revoked_at FROM api_keys
ORDER BY created_at DESC, serial DESC;

-- name: revoke_key
-- Mark a key as revoked, once.
UPDATE api_keys SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL;
