-- What an administrator set for an owner. An owner without a row has weight 1 and the settings' limits.
create table owners (
  owner text primary key,
  -- Its share of the worker, next to those of other owners.
  weight integer not null default 1,
  -- Null: as the settings say.
  requests_per_minute integer,
  max_stored_bytes integer,
  max_queued_lines integer,
  max_live_batches integer
) strict, without rowid;
