/**
 * What each route takes and answers, for the description of the API. The schemas are those that the routes themselves check
 * requests with (`wire.ts`), and those that the conformance suite checks answers with (`objects.ts`).
 */
import { z } from 'zod';
import { createBatchBody, listBatchesQuery, listFilesQuery, listResultsQuery, uploadForm } from '../wire.ts';
import { batchObject, deletedFile, fileObject, listOf, resultLine } from './objects.ts';

export interface Operation {
  readonly tag: 'Files' | 'Batches' | 'Service';
  readonly summary: string;
  /** More than the summary says. */
  readonly description?: string;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  /** JSON. */
  readonly body?: z.ZodType;
  /** A form with files. */
  readonly form?: z.ZodType;
  /** What a success answers; an object: JSON, a string: that content type. */
  readonly answer: z.ZodType | { readonly type: string; readonly schema: z.ZodType };
  /** Statuses of its refusals, besides those of all routes. */
  readonly errors?: readonly number[];
}

/** The bytes of a file, which JSON Schema cannot describe further. */
const bytes = z.string().meta({ format: 'binary' });
const JSONL = 'application/jsonl';

/** By method and path, as the routes are registered. */
export const operations: Readonly<Record<string, Operation>> = {
  'POST /v1/files': {
    tag: 'Files',
    summary: 'Upload a file',
    description:
      'Parts may come in any order. A file with purpose `batch` expires after 30 days unless told otherwise.',
    form: uploadForm.extend({ file: bytes }),
    answer: fileObject,
    errors: [400, 413, 507],
  },
  'GET /v1/files': {
    tag: 'Files',
    summary: 'List files',
    description: '`limit` 1 to 10000, by default 10000; newest first unless `order` is `asc`.',
    query: listFilesQuery,
    answer: listOf(fileObject),
    errors: [400, 404],
  },
  'GET /v1/files/:id': { tag: 'Files', summary: 'Retrieve a file', answer: fileObject, errors: [404] },
  'DELETE /v1/files/:id': {
    tag: 'Files',
    summary: 'Delete a file',
    description: 'A file that a live batch reads is refused with 409.',
    answer: deletedFile,
    errors: [404, 409],
  },
  'GET /v1/files/:id/content': {
    tag: 'Files',
    summary: 'Download a file',
    description: 'Knows `Range`, `If-Range` and `If-None-Match`.',
    answer: { type: 'application/octet-stream', schema: bytes },
    errors: [404, 416],
  },
  'POST /v1/batches': {
    tag: 'Batches',
    summary: 'Create a batch',
    description:
      '`input_file_id` names a JSONL file with a request a line. `priority` is -100 to 100; `webhook_url` receives the end of the batch.',
    body: createBatchBody,
    answer: batchObject,
    errors: [400, 507],
  },
  'GET /v1/batches': {
    tag: 'Batches',
    summary: 'List batches',
    description: '`limit` 1 to 100, by default 20; newest first.',
    query: listBatchesQuery,
    answer: listOf(batchObject),
    errors: [400, 404],
  },
  'GET /v1/batches/:id': {
    tag: 'Batches',
    summary: 'Retrieve a batch',
    description: 'While it runs, counts and usage move.',
    answer: batchObject,
    errors: [400, 404],
  },
  'POST /v1/batches/:id/cancel': {
    tag: 'Batches',
    summary: 'Cancel a batch',
    description:
      'What was finished is kept. An ended batch is refused with 409, a cancelled one answered unchanged.',
    answer: batchObject,
    errors: [400, 404, 409],
  },
  'GET /v1/batches/:id/results': {
    tag: 'Batches',
    summary: 'Stream the finished lines of a batch',
    description:
      'While it runs: in the order in which they were finished, with the headers `x-incomplete: true` and `x-next-after`, to be given as `after` the next time. When it has ended: the output file, then the error file; `after` is refused with 409.',
    query: listResultsQuery,
    answer: { type: JSONL, schema: resultLine },
    errors: [400, 404, 409],
  },
  'GET /v1/batches/:id/events': {
    tag: 'Batches',
    summary: 'Follow a batch by server-sent events',
    description:
      'A `snapshot` first, then each event as a webhook carries it, and `progress` at most twice a second; ends with the batch. 204 where the batch has ended and `Last-Event-ID` is its last event.',
    headers: z.object({ 'last-event-id': z.string().optional() }),
    answer: { type: 'text/event-stream', schema: z.string() },
    errors: [400, 404],
  },
  'GET /health/live': {
    tag: 'Service',
    summary: 'Is the process alive?',
    answer: z.strictObject({ status: z.literal('ok') }),
  },
  'GET /health/ready': {
    tag: 'Service',
    summary: 'Can it do its work?',
    answer: z.strictObject({ status: z.literal('ready') }),
    errors: [503],
  },
};
