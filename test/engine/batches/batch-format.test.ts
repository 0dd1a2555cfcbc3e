import { describe, expect, it } from 'vitest';
import {
  clientBatchId,
  endpointsOf,
  fromMessageBatchId,
  inputLimits,
  maxListLimit,
} from '../../../src/engine/batches/batch-format.ts';
import { DEFAULT_SETTINGS } from '../../../src/engine/context.ts';
import { eventBody } from '../../../src/engine/webhooks/deliver.ts';
import { createTestEngine, OWNER } from '../../helpers/test-engine.ts';

const HEX = '0123456789abcdef0123456789abcdef';

describe('the format of a batch', () => {
  it('decides the id that the client knows', () => {
    const id = `batch_${HEX}`;
    expect(clientBatchId({ id, format: 'openai' })).toBe(id);
    expect(clientBatchId({ id, format: 'anthropic' })).toBe(`msgbatch_${HEX}`);
    expect(fromMessageBatchId(`msgbatch_${HEX}`)).toBe(id);
    for (const none of [
      id,
      'msgbatch_',
      `msgbatch_${HEX}0`,
      `msgbatch_${HEX.toUpperCase()}`,
      ` msgbatch_${HEX}`,
    ]) {
      expect(fromMessageBatchId(none)).toBeNull();
    }
  });

  it('decides endpoints and limits', () => {
    expect(endpointsOf(DEFAULT_SETTINGS, 'openai')).toBe(DEFAULT_SETTINGS.endpoints);
    expect(endpointsOf(DEFAULT_SETTINGS, 'anthropic')).toEqual(['/v1/messages']);
    const { maxBatchBytes: maxBytes, maxBatchLines: maxLines } = DEFAULT_SETTINGS;
    expect(inputLimits(DEFAULT_SETTINGS, 'openai')).toEqual({ maxBytes, maxLines });
    expect(inputLimits(DEFAULT_SETTINGS, 'anthropic')).toEqual({ maxBytes: Infinity, maxLines: Infinity });
    expect([maxListLimit('openai'), maxListLimit('anthropic')]).toEqual([100, 1000]);
  });

  it('decides the id in events, also in those that tell nothing else', async () => {
    const { batches, context } = createTestEngine();
    const request = {
      owner: OWNER,
      inputFileId: 'file-x',
      endpoint: '/v1/messages',
      completionWindow: '24h',
    };
    const batch = await batches.create({ ...request, format: 'anthropic' });
    const event = {
      id: 'evt_1',
      owner: OWNER,
      batchId: batch.id,
      format: 'anthropic',
      type: 'batch.queued',
      createdAt: 0,
    } as const;
    expect(JSON.parse(await eventBody(context, event))).toMatchObject({ data: { id: clientBatchId(batch) } });
  });

  it('decides it also where the batch is gone', async () => {
    const { context } = createTestEngine();
    const batchId = `batch_${HEX}`;
    const type = 'batch.completed';
    for (const [format, id] of [
      ['openai', batchId],
      ['anthropic', `msgbatch_${HEX}`],
    ] as const) {
      const body = await eventBody(context, {
        id: 'evt_1',
        owner: OWNER,
        batchId,
        format,
        type,
        createdAt: 0,
      });
      expect(JSON.parse(body)).toMatchObject({ type, data: { id } });
      expect(Object.keys((JSON.parse(body) as { data: object }).data)).toEqual(['id']);
    }
  });
});
