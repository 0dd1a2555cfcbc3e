/** A deadline that passes at the moment of a cancel, on the real store with a clock that the try moves. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createMemoryStorage } from '../../../src/adapters/memory/index.ts';
import { openSqliteStore } from '../../../src/adapters/sqlite/index.ts';
import { createWorker } from '../../../src/worker/index.ts';
import { createFakeClock } from '../../helpers/fake-clock.ts';
import { answer, createScriptedUpstream } from '../../helpers/scripted-upstream.ts';
import { createTestEngine, inputLines, OWNER, readResults, submit } from '../../helpers/test-engine.ts';
import type { Fault } from '../harness/fault.ts';
import type { Random } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { counting } from './shared.ts';

const DAY_MS = 86_400_000;
const LINES = 12;
const ANSWERED = 4;

export const expiryAgainstCancel: Fault = {
  family: 'races',
  name: 'cancels against the deadline: the end agrees with what they were answered',
  async run(trials) {
    const ends: Record<string, number> = { expired: 0, cancelled: 0 };
    for (const n of counting(trials.quick ? 2 : 40)) {
      await trials.attempt(`batch ${n}`, async (scope) => {
        const end = await cancelAtDeadline(scope, trials.random);
        ends[end] = (ends[end] ?? 0) + 1;
      });
    }
    for (const [end, count] of Object.entries(ends)) trials.note(`${count} ${end}`);
  },
};

async function cancelAtDeadline(scope: Scope, random: Random): Promise<string> {
  const folder = await scope.folder();
  const store = openSqliteStore({ path: join(folder, 'database.db') });
  scope.defer(() => store.close());
  const clock = createFakeClock();
  let sent = 0;
  const upstream = createScriptedUpstream(() => (++sent <= ANSWERED ? answer({}) : 'hold'));
  const engine = createTestEngine({ storage: { ...createMemoryStorage(), store }, upstream, clock });
  const worker = createWorker({ engine, maxConcurrency: LINES });
  await worker.start();
  scope.defer(() => worker.stop());

  const { id } = await submit(engine, inputLines(LINES));
  const get = () => engine.batches.get(OWNER, id);
  await waitFor('some lines are stored', async () => {
    clock.advance(20);
    return (await get()).counts.completed === ANSWERED;
  });
  const batch = await get();
  clock.advance(batch.expiresAt - clock.now() - random.between(1, 1500));
  // The worker sets its next timer, beside that of its lease, once it has looked around.
  await waitFor('the worker has looked for work', async () => {
    await sleep(0);
    return clock.timers > 1;
  });
  const cancelling = cancelAfterTurns(random.between(0, 4), () => engine.batches.cancel(OWNER, id));
  clock.advance(random.between(0, 3000));
  const wasAccepted = await cancelling;
  const end = await waitFor('it has ended', async () => {
    clock.advance(500);
    await sleep(0);
    const seen = await get();
    return ['expired', 'cancelled', 'completed'].includes(seen.status) && seen;
  });
  assert.equal(end.status, wasAccepted ? 'cancelled' : 'expired');
  assert.ok(end.expiresAt - end.createdAt === DAY_MS);
  const results = [
    ...(await readResults(engine, end.outputFileId)),
    ...(await readResults(engine, end.errorFileId)),
  ];
  assert.equal(new Set(results.map((line) => line.custom_id)).size, LINES);
  assert.equal(results.length, LINES);
  assert.equal(end.counts.completed, ANSWERED);
  return end.status;
}

/** True where the cancel was accepted. */
async function cancelAfterTurns(turns: number, cancel: () => Promise<unknown>): Promise<boolean> {
  for (let turn = 0; turn < turns; turn++) await sleep(0);
  try {
    await cancel();
    return true;
  } catch (error) {
    assert.match(String(error), /Cannot cancel a batch with status '(?:finalizing|expired)'/);
    return false;
  }
}
