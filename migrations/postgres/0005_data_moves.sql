-- Moves of data folders into this database (`migrate-data`). While one is not finished, the service does not start on it.
create table data_moves (
  -- As the folder's mark has it.
  id text primary key,
  -- The folder, for messages.
  source text not null,
  -- Where the files go, e.g. s3://bucket/prefix; null: they stay in the folder.
  files text,
  -- JSON: for each table that was begun, the key of the last row that is here.
  progress text not null default '{}',
  began_at timestamptz not null default now(),
  finished_at timestamptz
);

-- What became of the blobs of a move that is not finished.
create table moved_blobs (
  -- Its key in the folder.
  old_key text primary key,
  new_key text not null,
  bytes bigint not null
);
