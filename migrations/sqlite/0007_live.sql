-- readSegmentsAfter: the segments of a batch in the order of their commits.
create index segments_by_batch on segments (batch);
-- readBatchEvents: the events of a batch.
create index events_by_batch on events (batch_id);
