import { z } from 'zod';
import {
  createBatchBody,
  listBatchesQuery,
  listResultsQuery,
  retryBatchBody,
  validateBatchBody,
} from '../wire.ts';
import { batchObject, listOf, resultLine, validationObject } from './objects.ts';
import type { Operations } from './operation.ts';

/** Makes a create repeatable: the same key and the same body within 24 hours are answered the same. */
const idempotent = z.object({ 'idempotency-key': z.string().min(1).max(255).optional() });

export const batchOperations: Operations = {
  'POST /v1/batches': {
    summary: 'Create a batch',
    description:
      '`input_file_id` names a JSONL file with a request a line. `priority` is -100 to 100; `webhook_url` receives the end of the batch.',
    headers: idempotent,
    body: createBatchBody,
    answer: batchObject,
    errors: [400, 403, 409, 507],
  },
  'GET /v1/batches': {
    summary: 'List batches',
    description: '`limit` 1 to 100, by default 20; newest first.',
    query: listBatchesQuery,
    answer: listOf(batchObject),
    errors: [400, 404],
  },
  'GET /v1/batches/:id': {
    summary: 'Retrieve a batch',
    description: 'While it runs, counts and usage move.',
    answer: batchObject,
    errors: [400, 404],
  },
  'POST /v1/batches/:id/cancel': {
    summary: 'Cancel a batch',
    description:
      'What was finished is kept. An ended batch is refused with 409, a cancelled one answered unchanged.',
    answer: batchObject,
    errors: [400, 404, 409],
  },
  'GET /v1/batches/:id/results': {
    summary: 'Stream the finished lines of a batch',
    description:
      'While it runs: in the order in which they were finished, with the headers `x-incomplete: true` and `x-next-after`, to be given as `after` the next time. When it has ended: the output file, then the error file; `after` is refused with 409.',
    query: listResultsQuery,
    answer: { type: 'application/jsonl', schema: resultLine },
    errors: [400, 404, 409],
  },
  'GET /v1/batches/:id/events': {
    summary: 'Follow a batch by server-sent events',
    description:
      'A `snapshot` first, then each event as a webhook carries it, and `progress` at most twice a second; ends with the batch. 204 where the batch has ended and `Last-Event-ID` is its last event.',
    headers: z.object({ 'last-event-id': z.string().optional() }),
    answer: { type: 'text/event-stream', schema: z.string() },
    errors: [400, 404],
  },
  'DELETE /v1/batches/:id': {
    summary: 'Remove an ended batch',
    description: 'Its files stay. A live batch is refused with 409.',
    answer: z.strictObject({ object: z.literal('batch'), id: z.string(), deleted: z.literal(true) }),
    errors: [400, 404, 409],
  },
  'POST /v1/batches/:id/retry': {
    summary: 'Run the failed lines of an ended batch again',
    description:
      'A new batch of only these lines, with `retry_of` in its metadata. What the body leaves out is as in the old batch.',
    headers: idempotent,
    body: retryBatchBody,
    answer: batchObject,
    errors: [400, 403, 404, 409, 507],
  },
  'POST /v1/batches/validate': {
    summary: 'Check an input file without running it',
    description: 'All faults, the models, and an estimate of the tokens from a sample of the lines.',
    body: validateBatchBody,
    answer: validationObject,
    errors: [400, 404],
  },
};
