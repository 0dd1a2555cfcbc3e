-- Result logs: the bytes of finished lines, written once and removed with their batch.

-- A row a log. Who drops one only marks it; another append begins a new one. Marked ones go after an hour (removal of result logs),
-- when nothing can come in any more that was on its way.
create table result_logs (
  seq bigint generated always as identity primary key,
  batch_id text not null,
  -- How many have been taken: each process appends in a slot of its own, so that none waits for another to know where.
  slots integer not null default 1,
  -- By the database's clock.
  dropped_at timestamptz
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- append, read, open: the log of a batch.
create unique index result_logs_by_batch on result_logs (batch_id) where dropped_at is null;
-- Removal: the dropped ones.
create index result_logs_dropped on result_logs (seq) where dropped_at is not null;

-- What was appended at a time. No foreign key: each check would lock the log's row, which all workers need.
create table result_pieces (
  log bigint not null,
  position bigint not null,
  length integer not null,
  -- Null: they lie in an object, whose name follows from the log and the position.
  bytes bytea,
  primary key (log, position)
) with (
  -- A share of the table says nothing where rows live for minutes: clean up after so many dead rows (of bytes: 2 KB each).
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1,
  autovacuum_vacuum_cost_delay = 0,
  -- So that the plans of an empty table are forgotten soon.
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000,
  toast.autovacuum_vacuum_insert_threshold = -1, toast.autovacuum_vacuum_cost_delay = 0
);

-- Not compressed: parts of a piece are read by themselves.
alter table result_pieces alter column bytes set storage external;

-- Who reads a log, which keeps its bytes until then although it is dropped. By the database's clock.
create table result_readers (
  id bigint generated always as identity primary key,
  log bigint not null,
  alive_until timestamptz not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Removal: is a log being read?
create index result_readers_by_log on result_readers (log);
