/** A batch as the Message Batches API shows it. */
import { clientBatchId, isTerminal } from '../../engine/index.ts';
import type { Batch } from '../../engine/index.ts';

/** A MessageBatch object. `baseUrl`: what the URL of its results begins with, e.g. `https://batch.example.com`; '' makes it relative. */
export function toMessageBatchObject(batch: Batch, baseUrl: string) {
  const id = clientBatchId(batch);
  const hasEnded = isTerminal(batch.status);
  return {
    id,
    type: 'message_batch',
    processing_status: processingStatus(batch),
    request_counts: toRequestCounts(batch),
    created_at: toRfc3339(batch.createdAt),
    ended_at: toRfc3339(batch.completedAt ?? batch.failedAt ?? batch.expiredAt ?? batch.cancelledAt),
    expires_at: toRfc3339(batch.expiresAt),
    cancel_initiated_at: toRfc3339(batch.cancellingAt),
    archived_at: null,
    results_url: hasEnded ? `${baseUrl}/v1/messages/batches/${id}/results` : null,
  };
}

/** The state of the whole batch, of which this API has three. */
export function processingStatus({ status }: Batch): 'in_progress' | 'canceling' | 'ended' {
  if (isTerminal(status)) return 'ended';
  return status === 'cancelling' ? 'canceling' : 'in_progress';
}

/** Requests count as processing until all of them have ended; the sum is always their number. */
function toRequestCounts(batch: Batch) {
  const { status, counts, unfinished } = batch;
  const none = { processing: 0, succeeded: 0, errored: 0, canceled: 0, expired: 0 };
  if (!isTerminal(status)) return { ...none, processing: counts.total };
  // A batch that failed as a whole has no results: each of its requests is told of that as its error.
  if (status === 'failed') return { ...none, errored: counts.total };
  const succeeded = counts.completed;
  const errored = counts.failed - unfinished;
  // One that was cancelled before it started has no results either, and all of its requests are canceled.
  const rest = counts.total - succeeded - errored;
  return { ...none, succeeded, errored, [status === 'cancelled' ? 'canceled' : 'expired']: rest };
}

function toRfc3339(timeMs: number): string;
function toRfc3339(timeMs: number | null): string | null;
function toRfc3339(timeMs: number | null): string | null {
  return timeMs === null ? null : new Date(timeMs).toISOString();
}
