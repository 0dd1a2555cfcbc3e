/** Two nodes that take requests and three that work, over one PostgreSQL database. */
import { describe, expect, it } from 'vitest';
import { createFunctionUpstream } from '../../src/adapters/memory/index.ts';
import type { Batch, Engine, Upstream } from '../../src/engine/index.ts';
import { isTerminal } from '../../src/engine/index.ts';
import { createCluster } from '../helpers/nodes.ts';
import { usePostgres } from '../helpers/postgres.ts';
import { inputLine, OWNER, readResults, submit } from '../helpers/test-engine.ts';

const postgres = usePostgres();

interface CountedUpstream extends Upstream {
  readonly calls: ReadonlyMap<string, number>;
}

/** Answers each line after `ms`, and every tenth one with a refusal. */
function countingUpstream(ms: number): CountedUpstream {
  const calls = new Map<string, number>();
  const upstream = createFunctionUpstream(async ({ body }) => {
    const { n } = body as { n: string };
    calls.set(n, (calls.get(n) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, ms));
    return { status: n.endsWith('0') ? 400 : 200, body: { n } };
  });
  return { ...upstream, calls };
}

async function emptyDatabase(): Promise<void> {
  await (await postgres.openStore()).close();
}

function linesOf(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) =>
    inputLine(`${name}-${i + 1}`, { body: JSON.stringify({ model: `m${i % 3}`, n: `${name}-${i + 1}` }) }),
  );
}

async function endOf(engine: Engine, id: string): Promise<Batch> {
  let batch = await engine.batches.get(OWNER, id);
  await expect
    .poll(async () => isTerminal((batch = await engine.batches.get(OWNER, id)).status), { timeout: 30_000 })
    .toBe(true);
  return batch;
}

async function countFinished(engine: Engine, batches: readonly Batch[]): Promise<number> {
  const seen = await Promise.all(batches.map(({ id }) => engine.batches.get(OWNER, id)));
  return seen.reduce((sum, { counts }) => sum + counts.completed + counts.failed, 0);
}

/** Each line of the input has one result line, in order, and the answer is its own. */
async function checkResults(engine: Engine, batch: Batch, name: string, count: number): Promise<void> {
  const output = await readResults(engine, batch.outputFileId);
  const errors = await readResults(engine, batch.errorFileId);
  expect(batch.counts).toEqual({ total: count, completed: output.length, failed: errors.length });
  const numbers = (lines: typeof output) => lines.map(({ custom_id: id }) => Number(id.split('-').at(-1)));
  for (const lines of [output, errors]) {
    expect(numbers(lines)).toEqual(numbers(lines).toSorted((a, b) => a - b));
    for (const { custom_id: id, response } of lines) {
      expect(id.startsWith(`${name}-`)).toBe(true);
      if (response !== null) expect(response.body).toEqual({ n: id });
    }
  }
  expect(numbers([...output, ...errors]).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: count }, (_, i) => i + 1),
  );
}

describe('two API nodes and three workers', () => {
  it('end ten batches with each line once, while one worker stops, one dies and one batch is cancelled', async () => {
    await emptyDatabase();
    const upstream = countingUpstream(20);
    const cluster = createCluster({ url: postgres.url, upstream });
    const apis = [await cluster.startApi(), await cluster.startApi()] as const;
    const [steady, stopping, dying] = [
      await cluster.startWorker({ hints: postgres.url }),
      await cluster.startWorker({ hints: postgres.url }),
      await cluster.startWorker(),
    ];
    const LINES = 120;
    const batches = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        const engine = apis[i % 2 === 0 ? 0 : 1].engine;
        return await submit(engine, linesOf(`b${i}`, LINES));
      }),
    );
    await expect.poll(() => upstream.calls.size, { timeout: 10_000 }).toBeGreaterThan(200);
    const finished = await countFinished(apis[0].engine, batches);
    await stopping.worker.stop();
    const cutOff = upstream.calls.size - finished;
    const held = await postgres.query<{ worker: string }>(
      "select distinct worker from chunks where state = 'claimed'",
    );
    // It gave back all that it held, at once.
    expect(held.length).toBeLessThanOrEqual(2);

    await expect.poll(() => upstream.calls.size, { timeout: 10_000 }).toBeGreaterThan(400);
    dying.die();
    const unsaved = upstream.calls.size - (await countFinished(apis[0].engine, batches));
    const cancelled = batches[9] as Batch;
    await apis[0].engine.batches.cancel(OWNER, cancelled.id);
    // What is alive renews its lease all the time here; the dead one's must not be waited for: half a minute.
    const late = "alive_until < now() + interval '29 seconds'";
    await expect
      .poll(async () => (await postgres.query(`select from workers where ${late}`)).length)
      .toBeGreaterThanOrEqual(2);
    await postgres.query(`update workers set alive_until = now() - interval '1 second' where ${late}`);

    for (const [i, { id }] of batches.entries()) {
      // Both API nodes tell the same.
      const batch = await endOf(apis[1].engine, id);
      expect(await apis[0].engine.batches.get(OWNER, id)).toEqual(batch);
      expect(batch.status).toBe(i === 9 ? 'cancelled' : 'completed');
      await checkResults(apis[0].engine, batch, `b${i}`, LINES);
    }
    // At most what the one that stopped cut off, and what the dead one had in flight or had not committed; a line may be both.
    const repeated = [...upstream.calls.values()].reduce((sum, calls) => sum + calls - 1, 0);
    expect(repeated).toBeLessThanOrEqual(cutOff + unsaved);
    expect(Math.max(...upstream.calls.values())).toBeLessThanOrEqual(3);
    await steady.worker.stop();
    expect(await postgres.query("select from chunks where state = 'claimed'")).toEqual([]);
  }, 60_000);
});

/** The custom ids of all lines that a reader saw who asked for what was finished since, until the batch had ended. */
async function follow(engine: Engine, id: string): Promise<string[]> {
  const seen: string[] = [];
  let after: string | undefined;
  for (;;) {
    const lines = await engine.batches.openLines({ owner: OWNER, id, after }).catch((error: unknown) => {
      if ((error as { code?: string }).code === 'conflict') return null;
      throw error;
    });
    // Lines of an ended batch begin anew, in another order.
    if (lines === null || lines.isComplete) return seen;
    const parts = await Array.fromAsync(lines.bytes);
    await lines.close();
    const text = Buffer.concat(parts).toString().trimEnd();
    for (const line of text === '' ? [] : text.split('\n'))
      seen.push((JSON.parse(line) as { custom_id: string }).custom_id);
    after = lines.next ?? undefined;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a batch that workers of other nodes run and end', () => {
  it('is read while it runs, each line once, up to its end and over it', async () => {
    await emptyDatabase();
    const cluster = createCluster({ url: postgres.url, upstream: countingUpstream(5) });
    const [first, second] = [await cluster.startApi(), await cluster.startApi()];
    await cluster.startWorker();
    await cluster.startWorker();
    const LINES = 300;
    const names = Array.from({ length: 3 }, (_, i) => `r${i}`);
    const batches = await Promise.all(names.map((name) => submit(first.engine, linesOf(name, LINES))));
    const seen = await Promise.all(
      batches.flatMap(({ id }) => [follow(first.engine, id), follow(second.engine, id)]),
    );
    for (const ids of seen) {
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.length).toBeGreaterThan(0);
      expect(ids.length).toBeLessThanOrEqual(LINES);
    }
    for (const [i, { id }] of batches.entries()) {
      await checkResults(second.engine, await endOf(second.engine, id), `r${i}`, LINES);
    }
  }, 60_000);
});

describe('a batch that is made on another node', () => {
  it('is taken at the next tick where the worker hears no hint', async () => {
    await emptyDatabase();
    const upstream = countingUpstream(1);
    const cluster = createCluster({ url: postgres.url, upstream });
    const api = await cluster.startApi();
    await cluster.startWorker({ hints: 'postgres://u:p@127.0.0.1:1/x' });
    const batch = await endOf(api.engine, (await submit(api.engine, linesOf('a', 3))).id);
    await checkResults(api.engine, batch, 'a', 3);
  });

  it('wakes a worker that hears hints', async () => {
    await emptyDatabase();
    const upstream = countingUpstream(1);
    const cluster = createCluster({ url: postgres.url, upstream });
    const api = await cluster.startApi();
    const worker = await cluster.startWorker({ hints: postgres.url });
    // Once when it listens; from then on only hints do that.
    let woken = 0;
    worker.engine.onWake(() => woken++);
    await expect.poll(() => woken).toBe(1);
    await submit(api.engine, linesOf('a', 3));
    await expect.poll(() => woken).toBeGreaterThan(1);
    await expect.poll(() => upstream.calls.size).toBe(3);
  });
});
