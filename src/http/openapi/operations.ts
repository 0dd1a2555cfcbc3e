/**
 * What each route takes and answers, by topic. The schemas are those that the routes check requests with (`wire.ts` and its like), and
 * those that the conformance suite checks answers with (`objects.ts`).
 */
import { batchOperations } from './batches.ts';
import { fileOperations } from './files.ts';
import { keyOperations } from './keys.ts';
import { messageOperations } from './messages.ts';
import { ownerOperations } from './owners.ts';
import type { Operation, Operations } from './operation.ts';
import { serviceOperations } from './service.ts';
import { uploadOperations } from './uploads.ts';
import { webhookOperations } from './webhooks.ts';

const topics: Readonly<Record<string, Operations>> = {
  Files: fileOperations,
  Uploads: uploadOperations,
  Batches: batchOperations,
  'Message Batches': messageOperations,
  Webhooks: webhookOperations,
  Keys: keyOperations,
  Owners: ownerOperations,
  Service: serviceOperations,
};

/** In the order in which the page shows them. */
export const tags: readonly string[] = Object.keys(topics);

/** The operation of a route, by method and path as it is registered, and its topic. */
export function findOperation(route: string): (Operation & { readonly tag: string }) | undefined {
  for (const [tag, operations] of Object.entries(topics)) {
    const operation = operations[route];
    if (operation !== undefined) return { ...operation, tag };
  }
  return undefined;
}
