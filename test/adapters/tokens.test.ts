import { Worker } from 'node:worker_threads';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createTokenCounter } from '../../src/adapters/tokens/index.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';

function createCounter() {
  const clock = createFakeClock();
  const counter = createTokenCounter({ clock });
  onTestFinished(() => counter.close());
  const count = (body: object, max = 1_000_000) => counter.count(Buffer.from(JSON.stringify(body)), max);
  return { clock, counter, count };
}

/** Counts the threads that are started from here on. */
function spyOnThreads() {
  const ended = vi.spyOn(Worker.prototype, 'terminate');
  const asked = vi.spyOn(Worker.prototype, 'postMessage');
  onTestFinished(() => {
    ended.mockRestore();
    asked.mockRestore();
  });
  const threads = () => new Set(asked.mock.contexts as unknown as Worker[]);
  return { ended, threads };
}

describe('the token counter', () => {
  it('counts what the tokenizer counts', async () => {
    const { counter, count } = createCounter();
    expect(counter.method).toBe('o200k_base');
    const text = 'The quick brown fox, 漢字 and 12345.\n\tIndented\u{1f600}';
    expect(await count({ messages: [{ role: 'user', content: text }] })).toBe(countTokens(text));
    expect(await count({ input: ['Hello', 'world'] })).toBe(countTokens('Hello') + countTokens('world'));
    expect(await count({ input: [1, 2, 3] })).toBe(3);
    expect(await count({})).toBe(0);
  });

  it('takes special tokens and broken characters for text', async () => {
    const { count } = createCounter();
    expect(await count({ input: '<|endoftext|><|im_start|>' })).toBeGreaterThan(5);
    expect(await count({ input: '\ud800\0' })).toBeGreaterThan(0);
  });

  it('answers those that ask at once each its own', async () => {
    const { count } = createCounter();
    const counts = await Promise.all([1, 5, 20].map((n) => count({ input: ' word'.repeat(n) })));
    expect(counts).toEqual([1, 5, 20]);
  });

  it('takes a long text to be like its beginning', async () => {
    const { count } = createCounter();
    const tokens = await count({ input: ' word'.repeat(100_000) }, 5000);
    expect(tokens).toBeGreaterThan(99_000);
    expect(tokens).toBeLessThan(101_000);
  });

  it('is not held up by a text without blanks, nor does it hold up this thread', async () => {
    const { count } = createCounter();
    await count({ input: 'a' });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    onTestFinished(() => clearInterval(timer));
    // Whole, this would take the tokenizer minutes.
    let random = 1;
    const nextCharacter = (): string => {
      random = (random * 48_271) % 0x7fff_ffff;
      return String.fromCharCode(0x4e00 + (random % 20_000));
    };
    const text = Array.from({ length: 200_000 }, nextCharacter).join('');
    expect(await count({ input: text })).toBeGreaterThan(10_000);
    expect(turns).toBeGreaterThan(10);
  });

  it('gives the thread back when there is nothing to count for a while', async () => {
    const { clock, count } = createCounter();
    const { ended, threads } = spyOnThreads();
    await count({ input: 'a' });
    clock.advance(29_999);
    await count({ input: 'a' });
    clock.advance(29_999);
    expect(ended).not.toHaveBeenCalled();
    clock.advance(1);
    expect(ended).toHaveBeenCalledOnce();
    expect(await count({ input: 'Hello' })).toBe(1);
    expect(threads().size).toBe(2);
  });

  it('rejects where its thread dies, and begins anew', async () => {
    const { count } = createCounter();
    const { threads } = spyOnThreads();
    const dying = count({ input: ' word'.repeat(1000) });
    const [thread] = threads();
    await Promise.all([
      expect(dying).rejects.toThrow('the thread that counts tokens has ended'),
      thread?.terminate(),
    ]);
    expect(await count({ input: 'Hello' })).toBe(1);
  });

  it('starts no thread before it is asked, and rejects what is under way when it is closed', async () => {
    const { threads } = spyOnThreads();
    const { counter, count } = createCounter();
    await counter.close();
    expect(threads().size).toBe(0);
    await expect(count({ input: 'a' })).rejects.toThrow('the token counter is closed');
    const other = createCounter();
    const counting = other.count({ input: 'a' });
    await Promise.all([expect(counting).rejects.toThrow('has ended'), other.counter.close()]);
    expect(other.clock.timers).toBe(0);
  });
});
