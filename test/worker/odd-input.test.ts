import { afterEach, describe, expect, it, vi } from 'vitest';
import { isTerminal } from '../../src/engine/index.ts';
import type { Batch, Engine } from '../../src/engine/index.ts';
import { createWorker } from '../../src/worker/index.ts';
import type { Worker } from '../../src/worker/index.ts';
import { createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { bytesOf, CHAT, createTestEngine, inputLine, OWNER, readResults } from '../helpers/test-engine.ts';

const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});

/** Runs `input` as a batch to its end. */
async function run(input: string | Uint8Array, settings = {}) {
  const upstream = createScriptedUpstream();
  const engine = createTestEngine({ upstream, settings });
  const worker = createWorker({ engine });
  workers.push(worker);
  await worker.start();
  const file = await engine.files.upload({
    owner: OWNER,
    filename: 'odd.jsonl',
    purpose: 'batch',
    source: bytesOf(input),
  });
  const { id } = await engine.batches.create({
    owner: OWNER,
    inputFileId: file.id,
    endpoint: CHAT,
    completionWindow: '24h',
  });
  return { engine, upstream, batch: await ended(engine, id) };
}

async function ended(engine: Engine, id: string): Promise<Batch> {
  return await vi.waitFor(
    async () => {
      const batch = await engine.batches.get(OWNER, id);
      expect(isTerminal(batch.status)).toBe(true);
      return batch;
    },
    { timeout: 10_000, interval: 5 },
  );
}

function faults(batch: Batch) {
  return batch.errors?.map(({ code, line }) => [code, line]);
}

describe('input that is odd but right', () => {
  it('runs: a byte order mark, CRLF, blank lines, spaces around a line, no final line break', async () => {
    const input = `\ufeff${inputLine('a')}\r\n\r\n \t\n  ${inputLine('b')}  \n\n${inputLine('c')}`;
    const { engine, batch } = await run(input);
    expect(batch).toMatchObject({ status: 'completed', counts: { total: 3, completed: 3 } });
    const results = await readResults(engine, batch.outputFileId);
    expect(results.map((line) => line.custom_id)).toEqual(['a', 'b', 'c']);
    // Lines are numbered as an editor shows them.
    expect(results.map((line) => parseInt(line.id.slice(-8), 16))).toEqual([1, 4, 6]);
  });

  it('runs: a body that is 100,000 levels deep, byte for byte', async () => {
    const body = `{"model":"m","deep":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    const { upstream, batch } = await run(inputLine('deep', { body }));
    expect(batch.status).toBe('completed');
    expect(upstream.requests[0]?.body).toBe(body);
  });

  it('runs: keys that are written with escapes, and the last of equal keys', async () => {
    const body = '{"mo\\u0064el":"first","model":"last"}';
    const line = `{"custom_id":"x","custom\\u005fid":"y","method":"POST","url":"${CHAT}","body":${body}}`;
    const { engine, batch } = await run(line);
    expect(batch).toMatchObject({ status: 'completed', model: 'last' });
    expect((await readResults(engine, batch.outputFileId))[0]?.custom_id).toBe('y');
  });
});

describe('input that is wrong', () => {
  it.each([
    ['a NUL', Buffer.from(`${inputLine('a')}\n${inputLine('b')}\0\n`)],
    [
      'invalid UTF-8',
      Buffer.from(`${inputLine('a')}\n${inputLine('b').replace('"n"', '"\xff"')}\n`, 'latin1'),
    ],
    ['a lone brace', Buffer.from(`${inputLine('a')}\n{\n`)],
    ['two values', Buffer.from(`${inputLine('a')}\n${inputLine('b')}${inputLine('c')}\n`)],
    ['an array', Buffer.from(`${inputLine('a')}\n[]\n`)],
  ])('fails with its line number: %s', async (_what, input) => {
    const { upstream, batch } = await run(input);
    expect(batch.status).toBe('failed');
    expect(faults(batch)).toEqual([['invalid_json_line', 2]]);
    expect(upstream.requests).toEqual([]);
  });

  it('fails with its line number: a line over the limit, and what follows is still checked', async () => {
    const long = inputLine('long', { body: JSON.stringify({ model: 'm', text: 'x'.repeat(2000) }) });
    const { batch } = await run(`${inputLine('a')}\n${long}\n{\n`, { maxLineBytes: 1000 });
    expect(faults(batch)).toEqual([
      ['line_too_long', 2],
      ['invalid_json_line', 3],
    ]);
    expect(batch.errors?.[0]?.message).toMatch(/1000/);
  });

  it('fails with the limit and the count: too many lines, too many bytes', async () => {
    const lines = ['a', 'b', 'c'].map((id) => inputLine(id)).join('\n');
    const many = (await run(lines, { maxBatchLines: 2 })).batch.errors?.[0];
    expect(many?.message).toMatch(/2/);
    const engine = createTestEngine();
    const worker = createWorker({
      engine: createTestEngine({ storage: engine.context, settings: { maxBatchBytes: 50 } }),
    });
    workers.push(worker);
    const file = await engine.files.upload({
      owner: OWNER,
      filename: 'f',
      purpose: 'batch',
      source: bytesOf(lines),
    });
    const request = { owner: OWNER, inputFileId: file.id, endpoint: CHAT, completionWindow: '24h' };
    const { id } = await engine.batches.create(request);
    await worker.start();
    const large = (await ended(engine, id)).errors?.[0];
    expect(large?.message).toMatch(/50 bytes/);
    expect(large?.message).toContain(String(lines.length));
  });

  it('reports the first 100 faults and how many more there are', async () => {
    const { batch } = await run(`${inputLine('a')}\n${'{\n'.repeat(250)}`);
    expect(batch.errors).toHaveLength(101);
    expect(batch.errors?.[99]?.line).toBe(101);
    expect(batch.errors?.[100]).toMatchObject({ line: null, message: expect.stringContaining('150') });
  });
});
