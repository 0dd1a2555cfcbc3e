-- Keys that an administrator hands out. Rows stay when a key is revoked, for the record.
create table api_keys (
  seq integer primary key autoincrement,
  id text not null unique,
  owner text not null,
  name text not null,
  -- A few characters of the secret, by which its holder recognises it.
  hint text not null,
  -- SHA-256 of the secret, in hex. findApiKey: whose is it?
  hash text not null unique,
  -- The secret before the last rotation, which works until then.
  old_hash text,
  old_hash_until integer,
  -- JSON lists; null: all.
  models text,
  endpoints text,
  created_at integer not null,
  expires_at integer,
  revoked_at integer,
  last_used_at integer
) strict;

-- findApiKey: whose was it before the last rotation?
create unique index api_keys_by_old_hash on api_keys (old_hash) where old_hash is not null;
-- listApiKeys: an owner's keys, by insertion.
create index api_keys_by_owner on api_keys (owner);

-- The models that the key allows which created the batch: a JSON list; null: all.
alter table batches add column allowed_models text;
