import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_USAGE } from '../../../src/engine/batches/batch.ts';
import type { Usage } from '../../../src/engine/batches/batch.ts';
import { addUsage, readUsage } from '../../../src/engine/run/usage.ts';

/** Reads it from its place within an answer. */
function read(json: string): Usage | null {
  const bytes = Buffer.from(`{"usage":${json}}`);
  return readUsage(bytes, 9, bytes.length - 1);
}

describe('readUsage', () => {
  it('reads the usage of a chat completion', () => {
    const json = `{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
      "prompt_tokens_details":{"cached_tokens":5,"audio_tokens":0},
      "completion_tokens_details":{"reasoning_tokens":4,"accepted_prediction_tokens":1}}`;
    expect(read(json)).toEqual({
      inputTokens: 19,
      cachedTokens: 5,
      outputTokens: 10,
      reasoningTokens: 4,
      totalTokens: 29,
    });
  });

  it('takes what is absurdly long for none', () => {
    expect(read(`{"prompt_tokens":8,"note":"${'x'.repeat(65_536)}"}`)).toBeNull();
  });

  it('reads the usage of a response', () => {
    const json = `{"input_tokens":36,"input_tokens_details":{"cached_tokens":6},
      "output_tokens":87,"output_tokens_details":{"reasoning_tokens":7},"total_tokens":123}`;
    expect(read(json)).toEqual({
      inputTokens: 36,
      cachedTokens: 6,
      outputTokens: 87,
      reasoningTokens: 7,
      totalTokens: 123,
    });
  });

  it('reads the usage of a message, whose input beside the cache is told of apart', () => {
    const json = `{"input_tokens":11,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,
      "cache_creation":{"ephemeral_5m_input_tokens":200},"output_tokens":40,"output_tokens_details":{"thinking_tokens":25},"service_tier":"batch"}`;
    expect(read(json)).toEqual({
      inputTokens: 3211,
      cachedTokens: 3000,
      outputTokens: 40,
      reasoningTokens: 25,
      totalTokens: 3251,
    });
    const without =
      '{"input_tokens":11,"cache_creation_input_tokens":null,"output_tokens":4,"prompt_tokens":null}';
    expect(read(without)).toEqual({ ...NO_USAGE, inputTokens: 11, outputTokens: 4, totalTokens: 15 });
  });

  it.each([
    '{"prompt_tokens":50,"prompt_tokens_details":{"cached_tokens":30}',
    '{"input_tokens":50,"input_tokens_details":{"cached_tokens":30}',
  ])('counts the cache once where a server of another API tells of it as well: %s', (start) => {
    const json = `${start},"cache_read_input_tokens":30,"cache_creation_input_tokens":5}`;
    expect(read(json)).toEqual({ ...NO_USAGE, inputTokens: 50, cachedTokens: 30, totalTokens: 50 });
  });

  it('reads the usage of embeddings', () => {
    expect(read('{"prompt_tokens":8,"total_tokens":8}')).toEqual({
      ...NO_USAGE,
      inputTokens: 8,
      totalTokens: 8,
    });
  });

  it('is null where there is none, or none that is an object', () => {
    expect(readUsage(Buffer.from('{}'), -1, -1)).toBeNull();
    for (const json of ['null', '[]', '[1]', '12', '"a"', 'true']) expect(read(json)).toBeNull();
  });

  it('is zero where it says nothing', () => {
    expect(read('{}')).toEqual(NO_USAGE);
    expect(read('{"prompt_tokens_details":null,"completion_tokens_details":null}')).toEqual(NO_USAGE);
  });

  it.each(['"12"', 'null', 'true', '{}', '[3]', '-1', '-0.5', '1e400', '-1e400'])(
    'takes the count %s for none',
    (count) => {
      const json = `{"prompt_tokens":${count},"completion_tokens":${count},"total_tokens":${count},
        "prompt_tokens_details":{"cached_tokens":${count}},"completion_tokens_details":{"reasoning_tokens":${count}}}`;
      expect(read(json)).toEqual(NO_USAGE);
    },
  );

  it.each(['7', '"x"', '[]'])('takes details that are %s for none', (details) => {
    const json = `{"prompt_tokens":1,"prompt_tokens_details":${details},"output_tokens_details":${details}}`;
    expect(read(json)).toEqual({ ...NO_USAGE, inputTokens: 1, totalTokens: 1 });
  });

  it('sums input and output where the total is missing or no count', () => {
    expect(read('{"prompt_tokens":3,"completion_tokens":4}')?.totalTokens).toBe(7);
    expect(read('{"input_tokens":3,"output_tokens":4,"total_tokens":null}')?.totalTokens).toBe(7);
    expect(read('{"input_tokens":3,"output_tokens":4,"total_tokens":0}')?.totalTokens).toBe(0);
  });

  it('cuts fractions and ends at 2^53 - 1', () => {
    const json = '{"prompt_tokens":3.9,"completion_tokens":1e300}';
    expect(read(json)).toEqual({
      ...NO_USAGE,
      inputTokens: 3,
      outputTokens: Number.MAX_SAFE_INTEGER,
      totalTokens: Number.MAX_SAFE_INTEGER,
    });
  });

  it('answers counts for any JSON object', () => {
    const count = fc.oneof(fc.double(), fc.integer(), fc.string(), fc.constant(null));
    const usage = fc.dictionary(
      fc.constantFrom(
        'prompt_tokens',
        'completion_tokens',
        'input_tokens',
        'output_tokens',
        'total_tokens',
        'cache_read_input_tokens',
        'cache_creation_input_tokens',
      ),
      count,
    );
    fc.assert(
      fc.property(usage, (usage) => {
        for (const value of Object.values(read(JSON.stringify(usage)) ?? {})) {
          expect(Number.isSafeInteger(value)).toBe(true);
          expect(value).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});

describe('addUsage', () => {
  const usage: Usage = {
    inputTokens: 1,
    cachedTokens: 2,
    outputTokens: 3,
    reasoningTokens: 4,
    totalTokens: 5,
  };

  it('adds count by count', () => {
    const other = {
      inputTokens: 10,
      cachedTokens: 20,
      outputTokens: 30,
      reasoningTokens: 40,
      totalTokens: 50,
    };
    expect(addUsage(usage, other)).toEqual({
      inputTokens: 11,
      cachedTokens: 22,
      outputTokens: 33,
      reasoningTokens: 44,
      totalTokens: 55,
    });
    expect(addUsage(NO_USAGE, usage)).toEqual(usage);
  });

  it('ends at 2^53 - 1', () => {
    const much = { ...usage, totalTokens: Number.MAX_SAFE_INTEGER };
    expect(addUsage(usage, much).totalTokens).toBe(Number.MAX_SAFE_INTEGER);
  });
});
