import { describe, expect, it } from 'vitest';
import { createMemoryStorage } from '../../../src/adapters/memory/index.ts';
import type { TokenCounter } from '../../../src/engine/index.ts';
import { BodySample, estimateTokens } from '../../../src/engine/tokens/token-estimate.ts';
import { createRecordingLog } from '../../helpers/recording-log.ts';
import { aFile } from '../../helpers/store-fixtures.ts';
import { createTestEngine } from '../../helpers/test-engine.ts';

/** A line whose body begins 10 bytes after it and has `length` bytes. */
function aLine(offset: number, length: number): Parameters<BodySample['add']>[0] {
  return {
    number: 1,
    offset,
    length,
    model: 'm',
    customId: '',
    customIdStart: 0,
    customIdEnd: 0,
    bodyStart: 10,
    bodyEnd: 10 + length,
  };
}

/** A sample of `count` lines, each 100 bytes behind the one before. */
function sampleOf(count: number, lengthOf: (i: number) => number = () => 50): BodySample {
  const sample = new BodySample();
  for (let i = 0; i < count; i++) sample.add(aLine(i * 100, lengthOf(i)));
  return sample;
}

describe('a sample of bodies', () => {
  it.each([0, 1, 7, 200])('is all of %i', (count) => {
    const { spans } = sampleOf(count);
    expect(spans).toEqual(Array.from({ length: count }, (_, i) => ({ start: i * 100 + 10, length: 50 })));
  });

  it.each([201, 399, 400, 401, 1000, 50_000, 1_000_003])('is spread evenly over %i', (count) => {
    const { spans, bytes } = sampleOf(count);
    expect(bytes).toBe(count * 50);
    expect(spans.length).toBeGreaterThanOrEqual(100);
    expect(spans.length).toBeLessThanOrEqual(200);
    const places = spans.map(({ start }) => (start - 10) / 100);
    expect(places).toEqual([...new Set(places)].toSorted((a, b) => a - b));
    const stride = 2 ** Math.ceil(Math.log2(count / 200));
    places.forEach((place, i) => expect(Math.floor(place / stride)).toBe(i));
  });

  it('is the same for the same file', () => {
    expect(sampleOf(5000).spans).toEqual(sampleOf(5000).spans);
  });

  it.each([2, 4])('is not taken in by lines that alternate, %i kinds of them', (kinds) => {
    for (const count of [1000, 10_000, 49_000, 50_000]) {
      const { spans } = sampleOf(count, (i) => (i % kinds === 0 ? 10 : 1000));
      const share = spans.filter(({ length }) => length === 10).length / spans.length;
      expect(Math.abs(share - 1 / kinds), `${count}`).toBeLessThan(0.1);
    }
  });

  it('is smaller where the bodies are large', () => {
    const { spans } = sampleOf(200, () => 1024 * 1024);
    const bytes = spans.reduce((sum, { length }) => sum + length, 0);
    expect(bytes).toBeLessThanOrEqual(32 * 1024 * 1024);
    expect(spans.length).toBeGreaterThan(20);
    expect(sampleOf(1, () => 100 * 1024 * 1024).spans).toHaveLength(1);
  });
});

describe('an estimate', () => {
  /** A counter of bytes, and what it was asked. */
  function createByteCounter() {
    const asked: { text: string; maxCharacters: number }[] = [];
    const counter: TokenCounter = {
      method: 'bytes',
      async count(body, maxCharacters) {
        asked.push({ text: Buffer.from(body).toString(), maxCharacters });
        return body.length;
      },
      close: async () => {},
    };
    return { asked, counter };
  }

  async function openContext(text: string, tokens?: TokenCounter) {
    const storage = createMemoryStorage();
    const writer = await storage.blobs.create();
    await writer.write(Buffer.from(text));
    const file = aFile({ blob: await writer.seal() });
    await writer.publish();
    const log = createRecordingLog();
    const engine = createTestEngine({ storage, log, ...(tokens === undefined ? {} : { tokens }) });
    return { ctx: engine.context, file, log };
  }

  it('counts what lies in the file, and infers the rest by bytes', async () => {
    const { asked, counter } = createByteCounter();
    const text = Array.from({ length: 1000 }, (_, i) => `          ${String(i).padEnd(50)}`.padEnd(100)).join(
      '',
    );
    const { ctx, file } = await openContext(text, counter);
    const estimate = await estimateTokens(ctx, file, sampleOf(1000), undefined);
    expect(estimate).toEqual({ method: 'bytes', sampledRequests: asked.length, inputTokens: 50_000 });
    expect(new Set(asked.map((one) => one.text)).size).toBe(asked.length);
    // A million characters in all.
    expect(asked[0]?.maxCharacters).toBe(Math.ceil(1024 ** 2 / asked.length));
  });

  it('is nothing for no lines', async () => {
    const { ctx, file } = await openContext('x', createByteCounter().counter);
    expect(await estimateTokens(ctx, file, sampleOf(0), undefined)).toEqual({
      method: 'bytes',
      sampledRequests: 0,
      inputTokens: 0,
    });
  });

  it('is null without a counter, and where it fails, which the log tells', async () => {
    const without = await openContext('x'.repeat(100));
    expect(await estimateTokens(without.ctx, without.file, sampleOf(1), undefined)).toBeNull();
    const failing = { ...createByteCounter().counter, count: () => Promise.reject(new Error('dead')) };
    const { ctx, file, log } = await openContext('x'.repeat(100), failing);
    expect(await estimateTokens(ctx, file, sampleOf(1), undefined)).toBeNull();
    expect(log.entries).toMatchObject([{ level: 'error', message: 'tokens cannot be counted' }]);
  });

  it('ends where it is aborted', async () => {
    const controller = new AbortController();
    const { asked, counter } = createByteCounter();
    const aborting: TokenCounter = {
      ...counter,
      async count(body, maxCharacters) {
        controller.abort(new Error('left'));
        return await counter.count(body, maxCharacters);
      },
    };
    const { ctx, file } = await openContext('x'.repeat(1000), aborting);
    await expect(estimateTokens(ctx, file, sampleOf(10), controller.signal)).rejects.toThrow('left');
    expect(asked).toHaveLength(1);
  });
});
