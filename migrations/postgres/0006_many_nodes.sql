-- Where the files of this database are, so that a process with other settings does not take them for missing. At most one row.
create table files_place (
  one boolean not null primary key default true check (one),
  -- By which a data folder knows the database that its files belong to.
  database_id text not null default gen_random_uuid(),
  -- `s3://bucket/prefix`, or `a data folder`; null: not said yet.
  place text
);

-- What one worker does for all, now and then: when each was last begun. By the database's clock.
create table turns (
  task text not null primary key,
  taken_at timestamptz not null
);
