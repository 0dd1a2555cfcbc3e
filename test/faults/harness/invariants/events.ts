/** Invariant 5: each event reaches each endpoint at least once, with a stable id, after any crash. */
import { isTerminal } from '../ledger.ts';
import type { BatchObject, PromisedBatch } from '../ledger.ts';
import type { WebhookReceiver } from '../receiver.ts';
import { waitFor } from '../wait.ts';
import type { Witnesses } from '../world.ts';

/** A failed delivery is tried again after 5 s. */
const DELIVERY_MS = 12_000;

export async function checkEvents({ client, ledger, receiver }: Witnesses): Promise<string[]> {
  const violations = receiver.faults.map((fault) => `a webhook that does not verify: ${fault}`);
  for (const batch of ledger.batches) {
    const seen = await client.retrieve(batch);
    if (!isTerminal(seen.status)) continue;
    for (const expected of expectedEvents(batch, seen)) {
      const arrived = waitFor(expected, () => received(receiver, batch, expected).length > 0, DELIVERY_MS);
      if (!(await arrived.catch(() => false))) violations.push(`${batch.id}: no ${expected} arrived`);
      const ids = new Set(received(receiver, batch, expected));
      if (ids.size > 1) violations.push(`${batch.id}: ${expected} arrived with the ids ${[...ids].join()}`);
    }
  }
  return violations;
}

/** Such as `batch.completed at /all`. */
function expectedEvents(batch: PromisedBatch, seen: BatchObject): string[] {
  const types = ['batch.queued', ...(seen.in_progress_at === null ? [] : ['batch.in_progress'])];
  const end = `batch.${seen.status}`;
  const own = batch.webhookPath === null ? [] : [`${end} at ${batch.webhookPath}`];
  return [...types, end].map((type) => `${type} at /all`).concat(own);
}

function received(receiver: WebhookReceiver, batch: PromisedBatch, expected: string): string[] {
  return receiver.events
    .filter((event) => event.batchId === batch.id && `${event.type} at ${event.path}` === expected)
    .map((event) => event.id);
}
