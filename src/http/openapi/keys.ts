import { z } from 'zod';
import { createKeyBody, listKeysQuery, rotateKeyBody } from '../admin/key-wire.ts';
import { keyObject, listOf, secretKeyObject } from './objects.ts';
import type { Operations } from './operation.ts';

export const keyOperations: Operations = {
  'POST /v1/admin/keys': {
    summary: 'Create a key',
    description:
      'Its secret, `key`, is answered once and kept only as a hash. For administrators, as all of these.',
    body: createKeyBody,
    answer: secretKeyObject,
    errors: [400, 403],
  },
  'GET /v1/admin/keys': {
    summary: 'List keys',
    description: '`limit` 1 to 100, by default 20; newest first; `owner` leaves out those of others.',
    query: listKeysQuery,
    answer: listOf(keyObject),
    errors: [400, 403, 404],
  },
  'GET /v1/admin/keys/:id': { summary: 'Retrieve a key', answer: keyObject, errors: [400, 403, 404] },
  'POST /v1/admin/keys/:id/rotate': {
    summary: 'Give a key another secret',
    description: 'The old one is dead at once, or works for `keep_old_key_seconds` more.',
    body: rotateKeyBody,
    answer: secretKeyObject,
    errors: [400, 403, 404, 409],
  },
  'DELETE /v1/admin/keys/:id': {
    summary: 'Revoke a key, at once',
    answer: z.strictObject({ object: z.literal('api_key'), id: z.string(), deleted: z.literal(true) }),
    errors: [400, 403, 404],
  },
};
