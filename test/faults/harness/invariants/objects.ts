/**
 * Invariant 3: `completed + failed = total`, timestamps are in order, nobody has seen a batch leave a terminal state, and
 * every file id resolves.
 */
import { isTerminal } from '../ledger.ts';
import type { BatchObject } from '../ledger.ts';
import type { Witnesses } from '../world.ts';

/** `isClockSteady`: false where the fault has moved the wall clock, so that timestamps say nothing. */
export async function checkObjects(world: Witnesses, isClockSteady: boolean): Promise<string[]> {
  const violations: string[] = [];
  for (const batch of await world.client.list()) {
    const of = (violation: string): string => `${batch.id} (${batch.status}): ${violation}`;
    const { total, completed, failed } = batch.request_counts;
    if (isTerminal(batch.status) && batch.status !== 'failed' && completed + failed !== total) {
      violations.push(of(`completed ${completed} + failed ${failed} is not total ${total}`));
    }
    if (isClockSteady) violations.push(...checkTimes(batch).map(of));
    if (batch.status === 'failed') continue;
    for (const id of [batch.input_file_id, batch.output_file_id, batch.error_file_id]) {
      if (id !== null && !isRemoved(world, id) && (await world.client.content(id)) === null) {
        violations.push(of(`its file ${id} does not resolve`));
      }
    }
  }
  for (const { contradictions, id } of world.ledger.batches) {
    violations.push(...contradictions.map((contradiction) => `${id} ${contradiction}`));
  }
  return violations;
}

function isRemoved(world: Witnesses, fileId: string): boolean {
  return world.ledger.files.some((file) => file.id === fileId && file.isDeleted);
}

const ENDS = ['completed', 'failed', 'expired', 'cancelled'] as const;

function checkTimes(batch: BatchObject): string[] {
  const violations: string[] = [];
  const ends = ENDS.filter((end) => batch[`${end}_at`] !== null);
  const expected = isTerminal(batch.status) ? batch.status : '';
  if (ends.join() !== expected) violations.push(`the times of its end are: ${ends.join() || 'none'}`);
  const steps = [
    batch.created_at,
    batch.in_progress_at,
    batch.finalizing_at ?? batch.cancelling_at,
    ...ends.map((end) => batch[`${end}_at`]),
  ].filter((time) => time !== null);
  if (steps.some((time, i) => time < (steps[i - 1] ?? 0)))
    violations.push(`times out of order: ${steps.join()}`);
  return violations;
}
