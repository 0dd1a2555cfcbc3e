-- Times are milliseconds since 1970. `seq` is the order of insertion: it breaks ties between equal times, and keeps the
-- names of batches out of their many small rows. JSON is kept as text, which comes back as it was written.

create table files (
  seq bigint generated always as identity primary key,
  id text not null unique,
  owner text collate "C" not null,
  purpose text not null,
  filename text not null,
  sha256 text not null,
  bytes bigint not null,
  created_at bigint not null,
  expires_at bigint
);

-- listFiles: an owner's files by creation.
create index files_by_owner on files (owner, created_at, seq);
-- blobInUse: does a file have these bytes?
create index files_by_blob on files (sha256);
-- expireFiles: the longest expired first.
create index files_expiring on files (expires_at) where expires_at is not null;

create table batches (
  seq bigint generated always as identity primary key,
  id text not null unique,
  owner text collate "C" not null,
  -- Which API it was created through.
  format text not null check (format in ('openai', 'anthropic')),
  endpoint text not null,
  input_file_id text not null,
  completion_window text not null,
  status text not null check (
    status in ('validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')
  ),
  -- How a finalizing batch will end.
  ending text check (ending in ('completed', 'expired')),
  model text,
  -- JSON
  errors text,
  output_file_id text,
  error_file_id text,
  -- Known from the start on. The other counts and the tokens lie in the chunks until the batch ends.
  total bigint not null,
  completed bigint not null default 0,
  failed bigint not null default 0,
  -- Of an ended batch: failed lines that its cancelling or its deadline came before.
  unfinished bigint not null default 0,
  input_tokens bigint not null default 0,
  cached_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  reasoning_tokens bigint not null default 0,
  total_tokens bigint not null default 0,
  -- JSON
  metadata text,
  priority integer not null,
  webhook_url text,
  output_expires_after_seconds integer,
  -- The models that the key allows which created the batch: a JSON list; null: all.
  allowed_models text,
  created_at bigint not null,
  expires_at bigint not null,
  in_progress_at bigint,
  finalizing_at bigint,
  completed_at bigint,
  failed_at bigint,
  expired_at bigint,
  cancelling_at bigint,
  cancelled_at bigint,
  -- The input's bytes; known from the start on.
  input_sha256 text,
  input_bytes bigint,
  -- Who holds the present step (prepare or finalize), and the fence of its writes.
  step_worker text,
  step_epoch bigint not null default 0,
  -- Chunks that are not done, and lines without a result. In no index, so that a commit changes none.
  chunks_left integer not null default 0,
  lines_left bigint not null default 0
) with (fillfactor = 70);

-- listBatches: an owner's batches of one format, newest first.
create index batches_by_format on batches (owner, format, created_at, seq);
-- claimChunks: an owner's running batches in the order in which they are served.
create index batches_running on batches (owner, priority desc, expires_at, seq) where status = 'in_progress';
-- claimBatchStep: an owner's batches that wait to be prepared or finalized.
create index batches_waiting on batches (owner, priority desc, expires_at, seq)
  where status in ('validating', 'finalizing', 'cancelling') and step_worker is null;
-- claimBatchStep: how many steps of an owner are under way. releaseDeadLeases: those of a dead worker.
create index batches_stepping on batches (owner, step_worker) where step_worker is not null;
-- expireBatches: running batches by deadline.
create index batches_expiring on batches (expires_at) where status = 'in_progress';
-- deleteFile, expireFiles: does a live batch read this file?
create index batches_live_by_input on batches (input_file_id)
  where status in ('validating', 'in_progress', 'finalizing', 'cancelling');
-- blobInUse: does a live batch read these bytes?
create index batches_live_by_blob on batches (input_sha256)
  where status in ('validating', 'in_progress', 'finalizing', 'cancelling');
-- readOwnerUsage, createBatch, submitBatch, startBatch: an owner's live batches.
create index batches_live_by_owner on batches (owner)
  where status in ('validating', 'in_progress', 'finalizing', 'cancelling');

-- Workers that said that they are alive. By the database's clock.
create table workers (
  id text primary key,
  alive_until timestamptz not null
) with (fillfactor = 50);

-- Thin, because every commit rewrites some of these rows, and whoever reads a live batch sums them all. No foreign key: each
-- check would lock the batch's row, which all workers need; rows go with their batch, by `finishBatch`.
create table chunks (
  batch bigint not null,
  number integer not null,
  model text not null,
  line_count integer not null,
  first_line integer not null,
  bytes bigint not null,
  state text not null default 'ready' check (state in ('ready', 'claimed', 'done')),
  worker text,
  epoch bigint not null default 0,
  crashes integer not null default 0,
  -- The place of the line that is tried, and how many processes will have died of it if this one does.
  trying integer,
  trying_deaths integer not null default 0,
  -- One bit a line.
  done bytea not null,
  completed integer not null default 0,
  failed integer not null default 0,
  input_tokens bigint not null default 0,
  cached_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  reasoning_tokens bigint not null default 0,
  total_tokens bigint not null default 0,
  primary key (batch, number)
) with (
  -- Room on each page for the next version of a row, so that commits change no index.
  fillfactor = 50,
  -- A share of the table says nothing where rows live for minutes: clean up after so many dead rows.
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000, autovacuum_vacuum_cost_delay = 0
);

-- claimChunks: the ready chunks of a batch in order, and of which model each is.
create index chunks_ready on chunks (batch, number) include (model) where state = 'ready';
-- claimChunks: how many chunks of a batch are claimed. findStoppedBatches, releaseDeadLeases: those of a worker.
create index chunks_claimed on chunks (batch, worker) where state = 'claimed';
create index chunks_of_worker on chunks (worker) where state = 'claimed';

-- Where the lines of a chunk lie: written once, read by each claim, and kept out of the rows that change.
create table line_indexes (
  batch bigint not null,
  chunk integer not null,
  line_index bytea not null,
  primary key (batch, chunk)
);

-- Committed segments. Whoever commits holds the lock on the batch's row, so that `seq` rises with the commits of a batch: a reader
-- who has seen one has seen all before it.
create table segments (
  seq bigint generated always as identity,
  batch bigint not null,
  chunk integer not null,
  log_position bigint not null,
  lines bytea not null
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_threshold = -1,
  autovacuum_vacuum_cost_delay = 0
);

-- readSegments: the segments of one chunk. finishBatch: those of the batch.
create index segments_by_chunk on segments (batch, chunk, seq);
-- readSegmentsAfter: the segments of a batch in the order of their commits.
create index segments_by_batch on segments (batch, seq);

create table events (
  seq bigint generated always as identity primary key,
  id text not null unique,
  owner text collate "C" not null,
  batch_id text not null,
  format text not null check (format in ('openai', 'anthropic')),
  type text not null,
  created_at bigint not null
);

-- purgeEvents: the oldest first.
create index events_by_time on events (created_at);
-- replayEvents: an owner's events by time.
create index events_by_owner on events (owner, created_at, seq);
-- deleteBatch, readBatchEvents: the events of a batch.
create index events_of_batch on events (batch_id, seq);

create table webhook_endpoints (
  seq bigint generated always as identity primary key,
  id text not null unique,
  owner text collate "C" not null,
  name text not null,
  url text not null,
  -- JSON
  event_types text not null,
  status text not null check (status in ('enabled', 'disabled')),
  disabled_reason text check (disabled_reason in ('gone', 'failing')),
  -- Since when no attempt has succeeded; null: the last one did.
  failing_since bigint,
  -- As they are: a signature can be made of nothing else.
  secret text not null,
  secret_hint text not null,
  -- The replaced secret, and until when it signs as well.
  old_secret text,
  old_secret_until bigint,
  created_at bigint not null,
  updated_at bigint not null
);

-- listWebhookEndpoints: an owner's endpoints, newest first. Each event: the endpoints that may want it.
create index webhook_endpoints_by_owner on webhook_endpoints (owner, created_at, seq);

create table deliveries (
  seq bigint generated always as identity primary key,
  id text not null unique,
  event bigint not null references events (seq) on delete cascade,
  url text not null,
  origin text not null check (origin in ('configured', 'batch', 'endpoint')),
  -- No foreign key: what has ended outlives its endpoint until its event is purged.
  endpoint bigint check ((endpoint is not null) = (origin = 'endpoint')),
  state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  created_at bigint not null,
  -- When the next attempt is due, as long as it is pending.
  next_at bigint not null,
  attempts integer not null default 0,
  last_attempt_at bigint,
  last_status_code integer,
  last_duration_ms double precision,
  -- How the last answer's body began.
  last_response text,
  last_error text,
  worker text,
  epoch bigint not null default 0
);

-- claimDeliveries: the longest due first.
create index deliveries_pending on deliveries (next_at, seq) where state = 'pending';
-- purgeEvents, replayEvents: the deliveries of an event.
create index deliveries_by_event on deliveries (event);
-- listDeliveries: those of an endpoint, newest first. Disabling, a new URL: those that wait for it.
create index deliveries_by_endpoint on deliveries (endpoint, seq) where endpoint is not null;
-- releaseDeadLeases: those of a worker.
create index deliveries_held on deliveries (worker) where worker is not null;

create table uploads (
  seq bigint generated always as identity primary key,
  id text not null unique,
  owner text collate "C" not null,
  filename text not null,
  purpose text not null,
  bytes bigint not null,
  expires_after_seconds integer,
  created_at bigint not null,
  expires_at bigint not null,
  status text not null check (status in ('pending', 'completed', 'cancelled', 'expired')),
  file_id text,
  ended_at bigint,
  -- Rows of upload_parts, and the bytes of these, equal parts counted once.
  parts integer not null default 0,
  part_bytes bigint not null default 0
);

-- expireUploads: the longest expired first.
create index uploads_pending on uploads (expires_at) where status = 'pending';
-- removeUploadParts: ended uploads that have parts left. purgeUploads: the longest ended first.
create index uploads_ended on uploads (ended_at) where ended_at is not null;

create table upload_parts (
  seq bigint generated always as identity primary key,
  id text not null unique,
  upload bigint not null references uploads (seq),
  sha256 text not null,
  bytes bigint not null,
  created_at bigint not null
);

-- The parts of an upload, and whether it has one with these bytes.
create index upload_parts_by_upload on upload_parts (upload, sha256);
-- blobInUse: does a part have these bytes?
create index upload_parts_by_blob on upload_parts (sha256);

-- Keys that an administrator hands out. Rows stay when a key is revoked, for the record.
create table api_keys (
  seq bigint generated always as identity primary key,
  id text not null unique,
  owner text collate "C" not null,
  name text not null,
  -- A few characters of the secret, by which its holder recognises it.
  hint text not null,
  -- SHA-256 of the secret, in hex. findApiKey: whose is it?
  hash text not null unique,
  -- The secret before the last rotation, which works until then. findApiKey: whose was it?
  old_hash text unique,
  old_hash_until bigint,
  -- JSON lists; null: all.
  models text,
  endpoints text,
  created_at bigint not null,
  expires_at bigint,
  revoked_at bigint,
  last_used_at bigint,
  -- Null: no limit but its owner's.
  requests_per_minute integer
);

-- listApiKeys: an owner's keys, by insertion. listOwnerNames: who has any.
create index api_keys_by_owner on api_keys (owner, seq);

-- Creates that a client may repeat: what was asked for (a hash) and what was answered (the batch, as JSON).
create table idempotency_keys (
  owner text collate "C" not null,
  key text not null,
  fingerprint text not null,
  batch text not null,
  created_at bigint not null,
  primary key (owner, key)
);

-- forgetSubmissions: the oldest first.
create index idempotency_keys_by_time on idempotency_keys (created_at);

-- What an administrator set for an owner. An owner without a row has weight 1 and the settings' limits. Names are ordered by
-- code points, as everywhere in this program.
create table owners (
  owner text collate "C" primary key,
  -- Its share of the workers, next to those of other owners.
  weight integer not null default 1,
  -- Null: as the settings say.
  requests_per_minute integer,
  max_stored_bytes bigint,
  max_queued_lines bigint,
  max_live_batches bigint
);

-- What each owner has stored: the bytes of its files, and of the parts of its pending uploads. By triggers, so that no
-- statement that adds or removes either can forget to count; summing up its files would cost each create milliseconds.
create table owner_usage (
  owner text collate "C" primary key,
  stored_bytes bigint not null
) with (fillfactor = 50);

create function count_stored_bytes(whose text, added bigint) returns void language sql as $$
  insert into owner_usage as usage (owner, stored_bytes) values (whose, added)
  on conflict (owner) do update set stored_bytes = usage.stored_bytes + excluded.stored_bytes
$$;

create function count_file() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    perform count_stored_bytes(new.owner, new.bytes);
  else
    perform count_stored_bytes(old.owner, -old.bytes);
  end if;
  return null;
end
$$;

create trigger count_file after insert or delete on files
for each row execute function count_file();

create function count_upload() returns trigger language plpgsql as $$
begin
  if new.status <> 'pending' then
    perform count_stored_bytes(new.owner, -old.part_bytes);
  else
    perform count_stored_bytes(new.owner, new.part_bytes - old.part_bytes);
  end if;
  return null;
end
$$;

create trigger count_upload after update of part_bytes, status on uploads
for each row when (old.status = 'pending' and (new.status <> 'pending' or new.part_bytes <> old.part_bytes))
execute function count_upload();
