-- Times are integer milliseconds since 1970. `seq` is the order of insertion: it never repeats, breaks ties between
-- equal times, and keeps the names of batches out of their many small rows.

create table files (
  seq integer primary key autoincrement,
  id text not null unique,
  owner text not null,
  purpose text not null,
  filename text not null,
  sha256 text not null,
  bytes integer not null,
  created_at integer not null,
  expires_at integer
) strict;

-- listFiles: an owner's files by creation.
create index files_by_owner on files (owner, created_at);
-- blobInUse: does a file have these bytes?
create index files_by_blob on files (sha256);
-- expireFiles: the longest expired first.
create index files_expiring on files (expires_at) where expires_at is not null;

create table batches (
  seq integer primary key autoincrement,
  id text not null unique,
  owner text not null,
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
  total integer not null default 0,
  completed integer not null default 0,
  failed integer not null default 0,
  input_tokens integer not null default 0,
  cached_tokens integer not null default 0,
  output_tokens integer not null default 0,
  reasoning_tokens integer not null default 0,
  total_tokens integer not null default 0,
  -- JSON
  metadata text,
  priority integer not null,
  webhook_url text,
  output_expires_after_seconds integer,
  created_at integer not null,
  expires_at integer not null,
  in_progress_at integer,
  finalizing_at integer,
  completed_at integer,
  failed_at integer,
  expired_at integer,
  cancelling_at integer,
  cancelled_at integer,
  -- The input's bytes; known from the start on.
  input_sha256 text,
  input_bytes integer,
  -- Who holds the present step (prepare or finalize), and the fence of its writes.
  step_worker text,
  step_epoch integer not null default 0,
  -- Chunks that are not done, and how many of these are claimed.
  chunks_left integer not null default 0,
  chunks_claimed integer not null default 0
) strict;

-- listBatches: an owner's batches, newest first.
create index batches_by_owner on batches (owner, created_at);
-- claimBatchStep: batches that wait to be prepared or finalized, in the order in which that is done.
create index batches_waiting on batches (priority desc, expires_at)
  where status in ('validating', 'finalizing', 'cancelling');
-- claimChunks: batches with ready chunks, in the order in which chunks are handed out.
create index batches_claimable on batches (priority desc, chunks_claimed, expires_at)
  where status = 'in_progress' and chunks_claimed < chunks_left;
-- expireBatches: running batches by deadline.
create index batches_running on batches (expires_at) where status = 'in_progress';
-- findStoppedBatches, releaseDeadLeases: batches whose chunks are held.
create index batches_held on batches (seq) where chunks_claimed > 0;
-- deleteFile, expireFiles: does a live batch read this file? (releaseDeadLeases walks it, too: all live batches.)
create index batches_live_by_input on batches (input_file_id)
  where status in ('validating', 'in_progress', 'finalizing', 'cancelling');
-- blobInUse: does a live batch read these bytes?
create index batches_live_by_blob on batches (input_sha256)
  where status in ('validating', 'in_progress', 'finalizing', 'cancelling');

-- Thin, because every commit rewrites some of these rows, and whoever reads a live batch sums them all.
create table chunks (
  batch integer not null references batches (seq),
  number integer not null,
  model text not null,
  line_count integer not null,
  first_line integer not null,
  bytes integer not null,
  state text not null default 'ready' check (state in ('ready', 'claimed', 'done')),
  worker text,
  epoch integer not null default 0,
  crashes integer not null default 0,
  -- The place of the line that is tried, and how many processes will have died of it if this one does.
  trying integer,
  trying_deaths integer not null default 0,
  -- One bit a line.
  done blob not null,
  completed integer not null default 0,
  failed integer not null default 0,
  input_tokens integer not null default 0,
  cached_tokens integer not null default 0,
  output_tokens integer not null default 0,
  reasoning_tokens integer not null default 0,
  total_tokens integer not null default 0,
  primary key (batch, number)
) strict, without rowid;

-- claimChunks: the next ready chunk of a model, and how many of a model are claimed.
create index chunks_by_state on chunks (batch, state, model, number);

-- Where the lines of a chunk lie: written once, read by each claim, and kept out of the rows that change.
create table line_indexes (
  batch integer not null,
  chunk integer not null,
  line_index blob not null,
  primary key (batch, chunk),
  foreign key (batch, chunk) references chunks (batch, number)
) strict;

create table segments (
  seq integer primary key,
  batch integer not null,
  chunk integer not null,
  log_position integer not null,
  lines blob not null,
  foreign key (batch, chunk) references chunks (batch, number)
) strict;

-- readSegments: the segments of one chunk. (The table itself stays in the order of commits: its inserts touch one page.)
create index segments_by_chunk on segments (batch, chunk);

create table events (
  seq integer primary key autoincrement,
  id text not null unique,
  owner text not null,
  batch_id text not null,
  type text not null,
  created_at integer not null
) strict;

-- purgeEvents: the oldest first.
create index events_by_time on events (created_at);

create table deliveries (
  seq integer primary key,
  id text not null unique,
  event integer not null references events (seq) on delete cascade,
  url text not null,
  origin text not null check (origin in ('configured', 'batch')),
  state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  -- When the next attempt is due, as long as it is pending.
  next_at integer not null,
  attempts integer not null default 0,
  last_attempt_at integer,
  last_status_code integer,
  last_error text,
  worker text,
  epoch integer not null default 0
) strict;

-- claimDeliveries: the longest due first. (releaseDeadLeases walks it, too: all that are pending.)
create index deliveries_pending on deliveries (next_at) where state = 'pending';
-- purgeEvents: the deliveries of an event.
create index deliveries_by_event on deliveries (event);
