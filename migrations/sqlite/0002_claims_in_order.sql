-- claimChunks: the ready chunks of a batch in order, and of which model each is. The index by model, which this one
-- replaces, made each claim walk all models of the batch.
create index chunks_ready on chunks (batch, number, model) where state = 'ready';
-- findStoppedBatches, releaseDeadLeases: the chunks that are held.
create index chunks_held on chunks (batch, worker) where state = 'claimed';
drop index chunks_by_state;
