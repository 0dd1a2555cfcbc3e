import { describe, expect, it } from 'vitest';
import {
  BATCH_STATUSES,
  canTransition,
  checkEnd,
  isTerminal,
  newBatchId,
  parseCompletionWindow,
  requestId,
} from '../../../src/engine/batches/batch.ts';

describe('the states of a batch', () => {
  it('allow exactly the transitions of the contract', () => {
    const legal = BATCH_STATUSES.flatMap((from) =>
      BATCH_STATUSES.filter((to) => canTransition(from, to)).map((to) => `${from} → ${to}`),
    );
    expect(legal.toSorted()).toEqual(
      [
        'validating → in_progress',
        'validating → failed',
        'validating → cancelling',
        'in_progress → finalizing',
        'in_progress → cancelling',
        'finalizing → completed',
        'finalizing → expired',
        'cancelling → cancelled',
      ].toSorted(),
    );
  });

  it('are terminal where nothing follows', () => {
    expect(BATCH_STATUSES.filter(isTerminal).toSorted()).toEqual([
      'cancelled',
      'completed',
      'expired',
      'failed',
    ]);
  });
});

describe('ids', () => {
  it('of batches are batch_ and 32 hex digits, the first 8 the unix time', () => {
    const id = newBatchId(Date.UTC(2026, 10, 23));
    expect(id).toMatch(/^batch_[0-9a-f]{32}$/);
    expect(parseInt(id.slice(6, 14), 16)).toBe(Date.UTC(2026, 10, 23) / 1000);
    expect(newBatchId(0)).not.toBe(newBatchId(0));
  });

  it('of requests are batch_req_ and 32 hex digits, the same for the same line and different for others', () => {
    const batchId = newBatchId(0);
    expect(requestId(batchId, 17)).toMatch(/^batch_req_[0-9a-f]{24}00000011$/);
    expect(requestId(batchId, 17)).toBe(requestId(batchId, 17));
    expect(requestId(newBatchId(0), 17)).not.toBe(requestId(batchId, 17));
  });
});

describe('completion windows', () => {
  it.each([
    ['24h', 86_400_000],
    ['90m', 5_400_000],
    ['7d', 604_800_000],
  ])('%s is %d ms', (text, ms) => expect(parseCompletionWindow(text)).toBe(ms));

  it.each(['', '24', 'h', '0h', '-1h', '1.5h', '24 h', '24H', '123456h'])('%j is none', (text) =>
    expect(parseCompletionWindow(text)).toBeNull(),
  );
});

describe('the end of a batch', () => {
  it.each([
    ['finalizing', 'completed', 'completed'],
    ['finalizing', 'expired', 'expired'],
    ['cancelling', null, 'cancelled'],
  ] as const)('of one that is %s (ending %s) may be %s', (status, ending, end) => {
    expect(() => checkEnd({ id: 'batch_1', status, ending }, end)).not.toThrow();
  });

  it.each([
    [
      'finalizing',
      'completed',
      'expired',
      'batch_1 is finalizing (ending completed) and cannot become expired',
    ],
    [
      'finalizing',
      'expired',
      'cancelled',
      'batch_1 is finalizing (ending expired) and cannot become cancelled',
    ],
    ['cancelling', null, 'completed', 'batch_1 is cancelling and cannot become completed'],
    ['in_progress', null, 'completed', 'batch_1 is in_progress and cannot become completed'],
    [
      'completed',
      'completed',
      'completed',
      'batch_1 is completed (ending completed) and cannot become completed',
    ],
  ] as const)('of one that is %s (ending %s) cannot be %s', (status, ending, end, message) => {
    expect(() => checkEnd({ id: 'batch_1', status, ending }, end)).toThrow(message);
  });
});
