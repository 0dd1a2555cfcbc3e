import { afterEach, describe, expect, it, vi } from 'vitest';
import { createMemoryStorage } from '../../src/adapters/memory/index.ts';
import { isTerminal } from '../../src/engine/index.ts';
import type { Batch, Engine } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import type { FakeClock } from '../helpers/fake-clock.ts';
import { answer, createScriptedUpstream, unreachable } from '../helpers/scripted-upstream.ts';
import {
  createTestEngine,
  inputLine,
  inputLines,
  OWNER,
  readResults,
  readText,
  submit,
} from '../helpers/test-engine.ts';
import type { TestEngineOptions } from '../helpers/test-engine.ts';

const HOUR = 3_600_000;
const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

async function startEngine(options: TestEngineOptions = {}, maxConcurrency = 64): Promise<Engine> {
  const engine = createTestEngine(options);
  const worker = createWorker({ engine, maxConcurrency });
  workers.push(worker);
  await worker.start();
  return engine;
}

/** Waits for the batch's end, moving a fake clock on meanwhile. */
async function ended(engine: Engine, id: string, clock?: FakeClock): Promise<Batch> {
  return await vi.waitFor(
    async () => {
      clock?.advance(100);
      const batch = await engine.batches.get(OWNER, id);
      expect(isTerminal(batch.status), batch.status).toBe(true);
      return batch;
    },
    { timeout: 10_000, interval: 5 },
  );
}

describe('a batch that completes', () => {
  it('has each answer once, in input order, byte for byte', async () => {
    const upstream = createScriptedUpstream(({ body }) =>
      answer(`{"sent" : ${body},\n"n":9007199254740993 }`),
    );
    const engine = await startEngine({ upstream });
    const lines = inputLines(1000);
    const batch = await ended(engine, (await submit(engine, lines)).id);
    expect(batch).toMatchObject({
      status: 'completed',
      counts: { total: 1000, completed: 1000, failed: 0 },
      model: 'm',
      errorFileId: null,
      errors: null,
    });
    const output = await readText(engine, batch.outputFileId);
    const results = await readResults(engine, batch.outputFileId);
    expect(results.map((line) => line.custom_id)).toEqual(lines.map((line) => JSON.parse(line).custom_id));
    expect(results[0]?.id).toMatch(/^batch_req_[0-9a-f]{32}$/);
    expect(new Set(results.map((line) => line.id)).size).toBe(1000);
    expect(output.split('\n')[0]).toContain(
      '"body":{"sent" : {"model":"m","n":"line-1"}, "n":9007199254740993 }',
    );
  });

  it('tells its times in order, its files by their names, and its events', async () => {
    const clock = createFakeClock();
    const engine = await startEngine({ clock });
    const created = await submit(engine, inputLines(3), { outputExpiresAfterSeconds: 3600 });
    const batch = await ended(engine, created.id, clock);
    const { createdAt, inProgressAt, finalizingAt, completedAt } = batch;
    expect([createdAt, inProgressAt, finalizingAt, completedAt]).toEqual(
      [createdAt, inProgressAt, finalizingAt, completedAt].toSorted((a, b) => (a ?? 0) - (b ?? 0)),
    );
    expect(batch).toMatchObject({ failedAt: null, expiredAt: null, cancellingAt: null, cancelledAt: null });
    const file = await engine.files.get(OWNER, batch.outputFileId ?? '');
    expect(file).toMatchObject({
      purpose: 'batch_output',
      filename: `${batch.id}_output.jsonl`,
      createdAt: completedAt,
      expiresAt: (completedAt ?? 0) + HOUR,
    });
  });

  it('sums the usage of all answers', async () => {
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
    const engine = await startEngine({ upstream: createScriptedUpstream(() => answer({ usage })) });
    const batch = await ended(engine, (await submit(engine, inputLines(300))).id);
    expect(batch.usage).toEqual({
      inputTokens: 900,
      cachedTokens: 0,
      outputTokens: 600,
      reasoningTokens: 0,
      totalTokens: 1500,
    });
  });

  it('puts refused lines into the error file with status and body, and is completed all the same', async () => {
    const upstream = createScriptedUpstream(({ body }) =>
      JSON.parse(body).n.endsWith('7') ? answer({ error: { message: 'no' } }, 400) : answer({ ok: true }),
    );
    const engine = await startEngine({ upstream });
    const batch = await ended(engine, (await submit(engine, inputLines(20))).id);
    expect(batch.counts).toEqual({ total: 20, completed: 18, failed: 2 });
    const errors = await readResults(engine, batch.errorFileId);
    expect(errors.map((line) => line.custom_id)).toEqual(['line-7', 'line-17']);
    expect(errors[0]).toMatchObject({
      response: { status_code: 400, body: { error: { message: 'no' } } },
      error: null,
    });
  });

  it('has files that wait for no memory that clients hold', async () => {
    const storage = createMemoryStorage();
    const create = vi.spyOn(storage.blobs, 'create');
    const upstream = createScriptedUpstream(({ body }) => answer('{}', body.includes('bad') ? 400 : 200));
    const engine = await startEngine({ storage, upstream });
    await ended(engine, (await submit(engine, [inputLine('good'), inputLine('bad')])).id);
    expect(create.mock.calls).toEqual([[], [{ isOwn: true }], [{ isOwn: true }]]);
  });

  it('has no output file where every line failed', async () => {
    const engine = await startEngine({ upstream: createScriptedUpstream(() => answer('<html>', 404)) });
    const batch = await ended(engine, (await submit(engine, inputLines(2))).id);
    expect(batch).toMatchObject({ status: 'completed', outputFileId: null });
    const [first] = await readResults(engine, batch.errorFileId);
    expect(first?.response).toMatchObject({ status_code: 404, body: '<html>' });
  });

  it.each([
    ['<html>OK</html>', {}, /not valid JSON: .* at byte 0 of 15/],
    ['', {}, /not valid JSON: it is empty/],
    ['{"a":', {}, /not valid JSON/],
    ['\x1f\x8b', { contentEncoding: 'gzip' }, /encoded as 'gzip', which was not asked for/],
  ])('turns a 200 with %j into an error line that says so', async (body, headers, message) => {
    const engine = await startEngine({ upstream: createScriptedUpstream(() => answer(body, 200, headers)) });
    const batch = await ended(engine, (await submit(engine, inputLines(1))).id);
    const [line] = await readResults(engine, batch.errorFileId);
    expect(line).toMatchObject({ response: null, error: { code: 'invalid_response' } });
    expect(line?.error?.message).toMatch(message);
  });

  it('merges the chunks of several models in input order, and has no model of its own', async () => {
    const engine = await startEngine();
    const lines = Array.from({ length: 1500 }, (_, i) =>
      inputLine(`line-${i + 1}`, { model: i % 7 === 0 ? 'rare' : `m${i % 2}` }),
    );
    const batch = await ended(engine, (await submit(engine, lines)).id);
    expect(batch.model).toBeNull();
    const results = await readResults(engine, batch.outputFileId);
    expect(results.map((line) => line.custom_id)).toEqual(lines.map((line) => JSON.parse(line).custom_id));
  });

  it('drops its chunks, segments and result log', async () => {
    const engine = await startEngine();
    const batch = await ended(engine, (await submit(engine, inputLines(300))).id);
    const { store, results } = engine.context;
    expect(await store.readChunks(batch.id, 0, 10)).toEqual([]);
    await vi.waitFor(async () => expect(await Array.fromAsync(results.list())).toEqual([]));
  });

  it('shows counts that move while it runs, and the lines finished so far', async () => {
    const upstream = createScriptedUpstream(({ body }) =>
      JSON.parse(body).n === 'line-3' ? 'hold' : answer({}),
    );
    const engine = await startEngine({ upstream });
    const { id } = await submit(engine, inputLines(3));
    await vi.waitFor(async () =>
      expect(await engine.batches.get(OWNER, id)).toMatchObject({
        status: 'in_progress',
        counts: { total: 3, completed: 2, failed: 0 },
      }),
    );
    const lines = await Array.fromAsync(engine.batches.lines(OWNER, id));
    expect(lines.map((line) => [line.customId, line.statusCode])).toEqual([
      ['line-1', 200],
      ['line-2', 200],
    ]);
    upstream.held[0]?.settle(answer({}, 400));
    await ended(engine, id);
    const all = await Array.fromAsync(engine.batches.lines(OWNER, id));
    expect(all.map((line) => [line.customId, line.succeeded])).toEqual([
      ['line-1', true],
      ['line-2', true],
      ['line-3', false],
    ]);
  });
});

describe('a batch that fails validation', () => {
  it('sends nothing and names each line at fault', async () => {
    const upstream = createScriptedUpstream();
    const engine = await startEngine({ upstream });
    const lines = [inputLine('a'), '{"custom_id":"b"', '', inputLine('a')];
    const batch = await ended(engine, (await submit(engine, lines)).id);
    expect(batch).toMatchObject({ status: 'failed', inProgressAt: null, counts: { total: 0 } });
    expect(batch.errors?.map(({ code, line }) => [code, line])).toEqual([
      ['invalid_json_line', 2],
      ['duplicate_custom_id', 4],
    ]);
    expect(upstream.requests).toEqual([]);
  });

  it('is the end of one whose input is unknown, another owner’s, deleted or of another purpose', async () => {
    const engine = await startEngine();
    const request = { owner: OWNER, endpoint: '/v1/chat/completions', completionWindow: '24h' };
    const foreign = await submit(engine, [inputLine('a')]);
    await ended(engine, foreign.id);
    const mine = { ...request, inputFileId: 'file-unknown' };
    const theirs = { ...request, owner: 'other', inputFileId: foreign.inputFileId };
    for (const unknown of [mine, theirs]) {
      const { id, owner } = await engine.batches.create(unknown);
      await vi.waitFor(async () => {
        const batch = await engine.batches.get(owner, id);
        expect(batch.errors).toEqual([
          {
            code: 'invalid_request',
            message: `Cannot find file ${unknown.inputFileId}, or organization ${owner} does not have access to it.`,
            param: 'file_id',
            line: null,
          },
        ]);
      });
    }
    const output = await ended(engine, foreign.id);
    const again = await engine.batches.create({ ...request, inputFileId: output.outputFileId ?? '' });
    expect((await ended(engine, again.id)).errors?.[0]?.message).toContain("purpose 'batch_output'");
  });

  it('names UPSTREAM_BASE_URL-like advice of the upstream for a model that it refuses', async () => {
    const upstream = createScriptedUpstream(undefined, (model) => (model === 'm' ? 'Only x works.' : null));
    const engine = await startEngine({ upstream });
    const batch = await ended(engine, (await submit(engine, inputLines(1))).id);
    expect(batch.errors?.[0]).toMatchObject({
      code: 'model_not_found',
      message: "The provided model 'm' is not supported by the Batch API. Only x works.",
      line: 1,
    });
  });
});

describe('a batch that is cancelled', () => {
  it('keeps what was finished, waits shortly for what is in flight, and gives the rest error lines', async () => {
    const clock = createFakeClock();
    const upstream = createScriptedUpstream(({ body }) =>
      JSON.parse(body).n === 'line-1' ? answer({}) : 'hold',
    );
    const engine = await startEngine({ upstream, clock }, 3);
    const { id } = await submit(engine, inputLines(10));
    await vi.waitFor(() => {
      clock.advance(100);
      expect(upstream.held).toHaveLength(3);
    });
    const cancelling = await engine.batches.cancel(OWNER, id);
    expect(cancelling).toMatchObject({ status: 'cancelling', cancellingAt: clock.now() });
    await vi.waitFor(() => expect(clock.timers).toBeGreaterThan(1));
    upstream.held[0]?.settle(answer({}));
    const batch = await ended(engine, id, clock);
    expect(batch).toMatchObject({
      status: 'cancelled',
      counts: { total: 10, completed: 2, failed: 8 },
      finalizingAt: null,
    });
    expect((await readResults(engine, batch.outputFileId)).map((line) => line.custom_id)).toEqual([
      'line-1',
      'line-2',
    ]);
    const errors = await readResults(engine, batch.errorFileId);
    expect(errors.map((line) => line.custom_id)).toEqual([3, 4, 5, 6, 7, 8, 9, 10].map((n) => `line-${n}`));
    expect(errors[0]).toMatchObject({ response: null, error: { code: 'batch_cancelled' } });
    expect(upstream.requests).toHaveLength(4);
    expect(upstream.held).toEqual([]);
  });

  it('before it was validated has no lines and no files', async () => {
    const engine = createTestEngine();
    const { id } = await submit(engine, inputLines(3));
    await engine.batches.cancel(OWNER, id);
    const worker = createWorker({ engine });
    workers.push(worker);
    await worker.start();
    expect(await ended(engine, id)).toMatchObject({
      status: 'cancelled',
      counts: { total: 0, completed: 0, failed: 0 },
      outputFileId: null,
      errorFileId: null,
      inProgressAt: null,
    });
  });

  it.each([
    ['lines that wait for a retry', answer({}, 429, { retryAfter: '3600' })],
    ['the gate of its model', unreachable],
  ])('leaves no timer behind, and nothing in memory: %s', async (_what, outcome) => {
    const clock = createFakeClock();
    const upstream = createScriptedUpstream(() => outcome);
    const engine = await startEngine({ upstream, clock, settings: { retryBaseMs: HOUR } });
    await vi.waitFor(() => expect(clock.timers).toBe(2));
    const { id } = await submit(engine, inputLines(3));
    await vi.waitFor(() => {
      expect(upstream.requests).toHaveLength(3);
      // The ticker's, the lease's and that of the wait.
      expect(clock.timers).toBe(3);
    });
    await engine.batches.cancel(OWNER, id);
    await ended(engine, id, clock);
    await vi.waitFor(() => expect(clock.timers).toBe(2));
  });

  it('stays as it is when cancelled again; another ended one refuses', async () => {
    const engine = await startEngine();
    const { id } = await submit(engine, inputLines(1));
    await ended(engine, id);
    await expect(engine.batches.cancel(OWNER, id)).rejects.toMatchObject({
      code: 'conflict',
      message: "Cannot cancel a batch with status 'completed'.",
    });
    const held = createScriptedUpstream(() => 'hold');
    const other = await startEngine({ upstream: held });
    const second = await submit(other, inputLines(1));
    await vi.waitFor(() => expect(held.held).toHaveLength(1));
    const first = await other.batches.cancel(OWNER, second.id);
    expect(await other.batches.cancel(OWNER, second.id)).toEqual(first);
    held.held[0]?.settle(answer({}));
    const cancelled = await ended(other, second.id);
    expect(await other.batches.cancel(OWNER, second.id)).toEqual(cancelled);
  });
});

describe('a batch whose deadline passes', () => {
  it('keeps what was finished and gives the rest error lines', async () => {
    const clock = createFakeClock();
    const upstream = createScriptedUpstream(({ body }) =>
      JSON.parse(body).n === 'line-1' ? answer({}) : 'hold',
    );
    const engine = await startEngine({ upstream, clock }, 2);
    const { id, expiresAt, createdAt } = await submit(engine, inputLines(4));
    expect(expiresAt - createdAt).toBe(24 * HOUR);
    await vi.waitFor(() => {
      clock.advance(100);
      expect(upstream.held).toHaveLength(2);
    });
    clock.advance(24 * HOUR);
    const batch = await ended(engine, id, clock);
    expect(batch).toMatchObject({ status: 'expired', counts: { total: 4, completed: 1, failed: 3 } });
    expect(batch.finalizingAt).not.toBeNull();
    expect(batch.expiredAt).toBeGreaterThanOrEqual(batch.expiresAt);
    const errors = await readResults(engine, batch.errorFileId);
    expect(errors.map((line) => line.error?.code)).toEqual([
      'batch_expired',
      'batch_expired',
      'batch_expired',
    ]);
  });

  it('before it was begun is still validated, and all its lines expire', async () => {
    const clock = createFakeClock();
    const upstream = createScriptedUpstream();
    const engine = createTestEngine({ clock, upstream });
    const { id } = await submit(engine, inputLines(3));
    clock.advance(25 * HOUR);
    const worker = createWorker({ engine });
    workers.push(worker);
    await worker.start();
    const batch = await ended(engine, id, clock);
    expect(batch.status).toBe('expired');
    expect(batch.counts.total).toBe(3);
  });
});
