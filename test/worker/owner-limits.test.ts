import { afterEach, describe, expect, it } from 'vitest';
import { isTerminal } from '../../src/engine/index.ts';
import type { Batch, Engine, OwnerLimits } from '../../src/engine/index.ts';
import { NO_LIMITS } from '../../src/engine/owners/owner.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { createTestEngine, inputLines, OWNER, submit } from '../helpers/test-engine.ts';

const workers: Worker[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

/** An engine with limits for all owners, whose upstream answers from `goOn` on. */
function createEngine(limits: Partial<OwnerLimits>) {
  let answers = false;
  const upstream = createScriptedUpstream(() => (answers ? answer('{}') : 'hold'));
  const engine = createTestEngine({ upstream, settings: { ownerLimits: { ...NO_LIMITS, ...limits } } });
  const goOn = (): void => {
    answers = true;
    for (const attempt of upstream.held) attempt.settle(answer('{}'));
  };
  return { engine, goOn };
}

async function startWorker(engine: Engine): Promise<void> {
  const worker = createWorker({ engine });
  workers.push(worker);
  await worker.start();
}

/** The same with a worker. */
async function startEngine(limits: Partial<OwnerLimits>) {
  const created = createEngine(limits);
  await startWorker(created.engine);
  return created;
}

async function reached(engine: Engine, id: string, isThere: (batch: Batch) => boolean): Promise<Batch> {
  await expect.poll(async () => isThere(await engine.batches.get(OWNER, id))).toBe(true);
  return await engine.batches.get(OWNER, id);
}

const started = (engine: Engine, id: string) => reached(engine, id, (batch) => batch.inProgressAt !== null);
const ended = (engine: Engine, id: string) => reached(engine, id, (batch) => isTerminal(batch.status));

describe('the lines that an owner may have queued', () => {
  it('fail a batch that has more of them than there is room for', async () => {
    const { engine, goOn } = await startEngine({ maxQueuedLines: 5 });
    const first = await submit(engine, inputLines(3));
    await started(engine, first.id);
    const second = await ended(engine, (await submit(engine, inputLines(3))).id);
    expect(second).toMatchObject({ status: 'failed', counts: { total: 0, completed: 0, failed: 0 } });
    expect(second.errors).toEqual([
      {
        code: 'queued_lines_limit_exceeded',
        message: `This batch has 3 requests. The owner '${OWNER}' may have at most 5 without a result in its batches (max_queued_lines), and has 3 in others. Create it again when some of those have ended.`,
        param: null,
        line: null,
      },
    ]);
    await started(engine, (await submit(engine, inputLines(2))).id);
    await expect(submit(engine, inputLines(1))).rejects.toMatchObject({
      code: 'queued_lines_limit_exceeded',
      message: `The owner '${OWNER}' may have at most 5 requests without a result in its batches (max_queued_lines) and has 5: there is no room for 1 more. Wait until some have ended.`,
    });
    goOn();
    await ended(engine, first.id);
    expect((await ended(engine, (await submit(engine, inputLines(3))).id)).status).toBe('completed');
  });

  it('do not fail a batch whose lines were counted when it was created, though the limit is lower now', async () => {
    const { engine, goOn } = createEngine({ maxQueuedLines: 3 });
    const { id } = await submit(engine, inputLines(3), { lines: 3 });
    await engine.owners.change(OWNER, { maxQueuedLines: 1 });
    goOn();
    await startWorker(engine);
    expect(await ended(engine, id)).toMatchObject({ status: 'completed', counts: { completed: 3 } });
  });

  it('have the limit that an administrator sets at once', async () => {
    const { engine, goOn } = await startEngine({ maxQueuedLines: 5 });
    goOn();
    await engine.owners.change(OWNER, { maxQueuedLines: 2 });
    expect((await ended(engine, (await submit(engine, inputLines(3))).id)).status).toBe('failed');
    await engine.owners.change(OWNER, { maxQueuedLines: null });
    expect((await ended(engine, (await submit(engine, inputLines(3))).id)).status).toBe('completed');
  });
});

describe('the batches that an owner may have live', () => {
  it('are refused beyond the limit, and have room again when one has ended', async () => {
    const { engine, goOn } = await startEngine({ maxLiveBatches: 1 });
    const file = await engine.files.upload({
      owner: OWNER,
      filename: 'a',
      purpose: 'batch',
      source: [Buffer.from(inputLines(2).join('\n'))],
    });
    const create = () =>
      engine.batches.create({
        owner: OWNER,
        inputFileId: file.id,
        endpoint: '/v1/chat/completions',
        completionWindow: '24h',
      });
    const both = await Promise.allSettled([create(), create()]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await expect(create()).rejects.toMatchObject({
      code: 'batch_limit_exceeded',
      message: `The owner '${OWNER}' may have at most 1 batches that have not ended (max_live_batches) and has 1. Wait for the end of one, or cancel one.`,
    });
    goOn();
    await ended(engine, both[0].status === 'fulfilled' ? both[0].value.id : '');
    expect((await ended(engine, (await create()).id)).status).toBe('completed');
  });
});
