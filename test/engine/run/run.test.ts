import { describe, expect, it } from 'vitest';
import { judgeAttempt } from '../../../src/engine/index.ts';
import type { Line } from '../../../src/engine/index.ts';
import { answer } from '../../helpers/scripted-upstream.ts';
import { createTestEngine } from '../../helpers/test-engine.ts';

const line = {
  id: 'batch_req_1',
  customId: Buffer.from('"a"'),
  retries: 0,
  run: { batch: { expiresAt: Infinity } },
} as unknown as Line;

/** The result line of an answer that is final, parsed. */
function judge(status: number, body: Buffer): unknown {
  const outcome = answer('', status, { body });
  const verdict = judgeAttempt(createTestEngine().context, line, outcome, 0);
  if (verdict.kind !== 'finished') return expect.unreachable();
  const bytes = Buffer.alloc(verdict.result.line.size);
  verdict.result.line.writeTo(bytes, 0);
  return JSON.parse(bytes.toString());
}

describe('an error whose body is not JSON', () => {
  it('is told with its body as a string', () => {
    expect(judge(400, Buffer.from('<p>no</p>'))).toMatchObject({
      response: { status_code: 400, body: '<p>no</p>' },
      error: null,
    });
  });

  it('is told without its body where that is too long for a string', () => {
    // Each of these bytes takes six characters as JSON, and no string is that long.
    expect(judge(400, Buffer.alloc(100 * 1024 * 1024, 1))).toMatchObject({
      response: null,
      error: { code: 'invalid_response' },
    });
  });
});
