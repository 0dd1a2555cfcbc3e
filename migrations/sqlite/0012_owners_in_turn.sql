-- claimChunks: an owner's batches with ready chunks, in the order in which its chunks are handed out.
drop index batches_claimable;
create index batches_claimable on batches (owner, priority desc, chunks_claimed, expires_at)
  where status = 'in_progress' and chunks_claimed < chunks_left;
-- claimChunks: how much each owner holds. findStoppedBatches, releaseDeadLeases: batches whose chunks are held.
drop index batches_held;
create index batches_held on batches (owner, chunks_claimed) where chunks_claimed > 0;
-- claimBatchStep: an owner's batches that wait to be prepared or finalized, in the order in which that is done.
drop index batches_waiting;
create index batches_waiting on batches (owner, priority desc, expires_at)
  where status in ('validating', 'finalizing', 'cancelling') and step_worker is null and chunks_claimed = 0;
-- claimBatchStep: how many steps of an owner are under way.
create index batches_stepping on batches (owner) where step_worker is not null;
