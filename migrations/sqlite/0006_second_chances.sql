-- Creates that a client may repeat: what was asked for (a hash) and what was answered (the batch, as JSON).
create table idempotency_keys (
  owner text not null,
  key text not null,
  fingerprint text not null,
  batch text not null,
  created_at integer not null,
  primary key (owner, key)
) strict;

-- forgetSubmissions: the oldest first.
create index idempotency_keys_by_time on idempotency_keys (created_at);
-- deleteBatch, readBatchEvents: the events of a batch.
create index events_of_batch on events (batch_id);
