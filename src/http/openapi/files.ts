import { listFilesQuery, uploadForm } from '../wire.ts';
import { bytes, deletedFile, fileObject, listOf } from './objects.ts';
import type { Operations } from './operation.ts';

export const fileOperations: Operations = {
  'POST /v1/files': {
    summary: 'Upload a file',
    description:
      'Parts may come in any order. A file with purpose `batch` expires after 30 days unless told otherwise.',
    form: uploadForm.extend({ file: bytes }),
    answer: fileObject,
    errors: [400, 403, 413, 507],
  },
  'GET /v1/files': {
    summary: 'List files',
    description: '`limit` 1 to 10000, by default 10000; newest first unless `order` is `asc`.',
    query: listFilesQuery,
    answer: listOf(fileObject),
    errors: [400, 404],
  },
  'GET /v1/files/:id': { summary: 'Retrieve a file', answer: fileObject, errors: [404] },
  'DELETE /v1/files/:id': {
    summary: 'Delete a file',
    description: 'A file that a live batch reads is refused with 409.',
    answer: deletedFile,
    errors: [404, 409],
  },
  'GET /v1/files/:id/content': {
    summary: 'Download a file',
    description: 'Knows `Range`, `If-Range` and `If-None-Match`.',
    answer: { type: 'application/octet-stream', schema: bytes },
    errors: [404, 416],
  },
};
