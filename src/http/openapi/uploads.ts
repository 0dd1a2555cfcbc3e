import { z } from 'zod';
import { completeUploadBody, createUploadBody } from '../files/uploads-wire.ts';
import { bytes, uploadObject, uploadPartObject } from './objects.ts';
import type { Operations } from './operation.ts';

export const uploadOperations: Operations = {
  'POST /v1/uploads': {
    summary: 'Begin an upload in parts',
    description: 'Expires after an hour.',
    body: createUploadBody,
    answer: uploadObject,
    errors: [400, 403],
  },
  'POST /v1/uploads/:id/parts': {
    summary: 'Add a part',
    description: '64 MiB at the most; in parallel where you like.',
    form: z.object({ data: bytes }),
    answer: uploadPartObject,
    errors: [400, 403, 404, 410, 507],
  },
  'POST /v1/uploads/:id/complete': {
    summary: 'Make the parts a file',
    description:
      'In the order of `part_ids`. Their bytes must be as many as were declared, and have this `md5` where it is given.',
    body: completeUploadBody,
    answer: uploadObject,
    errors: [400, 403, 404, 410, 507],
  },
  'POST /v1/uploads/:id/cancel': {
    summary: 'Give an upload up',
    answer: uploadObject,
    errors: [400, 404, 410],
  },
};
