import { changeOwnerBody, listOwnersQuery } from '../admin/owner-wire.ts';
import { listOf, ownerObject } from './objects.ts';
import type { Operations } from './operation.ts';

export const ownerOperations: Operations = {
  'GET /v1/admin/owners': {
    summary: 'List owners',
    description:
      'By name: those for whom something was set, who have keys, or who have something stored. `limit` 1 to 100, by default 20. For administrators, as all of these.',
    query: listOwnersQuery,
    answer: listOf(ownerObject),
    errors: [400, 403],
  },
  'GET /v1/admin/owners/:name': {
    summary: 'Retrieve an owner',
    description: 'What was set for it, the `limits` in force, and its `usage` now. Any name has an owner.',
    answer: ownerObject,
    errors: [400, 403],
  },
  'POST /v1/admin/owners/:name': {
    summary: 'Set limits of an owner',
    description: 'What is left out stays as it is; null: as the settings say. In force at once.',
    body: changeOwnerBody,
    answer: ownerObject,
    errors: [400, 403],
  },
};
