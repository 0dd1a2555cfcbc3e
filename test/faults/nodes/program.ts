/** Clients of several nodes: each call is made again, at another node, until it has an answer. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBody, noteCreated, Refused } from '../harness/client.ts';
import { isTerminal } from '../harness/ledger.ts';
import type { BatchObject } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import { waitFor } from '../harness/wait.ts';
import { NoNodeError } from './cluster.ts';
import type { Cluster } from './cluster.ts';

const BATCHES = 10;
const LINES = 300;
const PAUSE_MS = 100;

/** Uploads and creates ten batches at once. Resolves when all are created. */
export async function submitBatches(cluster: Cluster): Promise<void> {
  await Promise.all(Array.from({ length: BATCHES }, () => submitBatch(cluster)));
}

async function submitBatch({ client, ledger }: Cluster): Promise<void> {
  const tag = randomUUID();
  const input = makeInput(LINES);
  const file = await persist(() => client.upload(input));
  // A create that has happened without an answer is answered the same when it is made again under its key.
  const { id } = await persist(() =>
    client.callJson<BatchObject>('a create', '/batches', {
      headers: { 'idempotency-key': tag },
      body: createBody(file, { tag }),
    }),
  );
  noteCreated(ledger, { id, file, tag });
}

/** Waits until all batches have ended. */
export async function awaitEnds({ client, ledger }: Cluster, timeoutMs: number): Promise<void> {
  for (const batch of ledger.batches) {
    await waitFor(
      `the end of ${batch.id}`,
      async () => isTerminal((await persist(() => client.retrieve(batch))).status),
      timeoutMs,
    );
  }
}

/** Makes the call until it has an answer that is no 503: an overloaded or unreachable database is no refusal. */
export async function persist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error instanceof NoNodeError || (error instanceof Refused && error.status !== 503)) throw error;
      await sleep(PAUSE_MS);
    }
  }
}
