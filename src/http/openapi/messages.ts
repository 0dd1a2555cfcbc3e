import { z } from 'zod';
import { messageBatchObject } from './objects.ts';
import type { Operations } from './operation.ts';

const listQuery = z.object({
  limit: z.string().optional(),
  before_id: z.string().optional(),
  after_id: z.string().optional(),
});

export const messageOperations: Operations = {
  'POST /v1/messages/batches': {
    summary: 'Create a Message Batch',
    description:
      'Anthropic’s batch API on the same engine: up to 100,000 requests or 256 MB inline, read as a stream.',
    body: z.object({ requests: z.array(z.object({ custom_id: z.string(), params: z.looseObject({}) })) }),
    answer: messageBatchObject,
    errors: [400, 403, 413, 507],
  },
  'GET /v1/messages/batches': {
    summary: 'List Message Batches',
    description: '`limit` 1 to 1000, by default 20; newest first; `before_id` or `after_id`.',
    query: listQuery,
    answer: z.strictObject({
      data: z.array(messageBatchObject),
      has_more: z.boolean(),
      first_id: z.string().nullable(),
      last_id: z.string().nullable(),
    }),
    errors: [400, 404],
  },
  'GET /v1/messages/batches/:id': {
    summary: 'Retrieve a Message Batch',
    answer: messageBatchObject,
    errors: [404],
  },
  'POST /v1/messages/batches/:id/cancel': {
    summary: 'Cancel a Message Batch',
    answer: messageBatchObject,
    errors: [400, 404],
  },
  'DELETE /v1/messages/batches/:id': {
    summary: 'Delete an ended Message Batch, and its files',
    answer: z.strictObject({ id: z.string(), type: z.literal('message_batch_deleted') }),
    errors: [400, 404],
  },
  'GET /v1/messages/batches/:id/results': {
    summary: 'Stream the results of an ended Message Batch',
    answer: { type: 'application/x-jsonl', schema: z.string() },
    errors: [404],
  },
};
