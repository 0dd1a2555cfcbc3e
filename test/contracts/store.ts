import { describe } from 'vitest';
import { describeApiKeys } from './store-api-keys.ts';
import { describeBatches } from './store-batches.ts';
import { describeClaims } from './store-claims.ts';
import { describeDeliveries } from './store-deliveries.ts';
import { describeFiles } from './store-files.ts';
import { describeLeases } from './store-leases.ts';
import { describeLimits } from './store-limits.ts';
import { describeLive } from './store-live.ts';
import { describeSecondChances } from './store-second-chances.ts';
import { describeMessageBatches } from './store-message-batches.ts';
import { describeOwnerUsage } from './store-owner-usage.ts';
import { describeOwners } from './store-owners.ts';
import { describeSegments } from './store-segments.ts';
import { describeStates } from './store-states.ts';
import { describeSteps } from './store-steps.ts';
import { describeEndpointDeliveries } from './store-endpoint-deliveries.ts';
import { describeWebhookEndpoints } from './store-webhook-endpoints.ts';
import { describeUploads } from './store-uploads.ts';
import { storeTest } from './store-test.ts';
import type { OpenStore } from './store-test.ts';

/** What every Store must do. `openStore` answers an empty one; each test opens and closes its own. */
export function describeStoreContract(name: string, openStore: OpenStore): void {
  const it = storeTest(openStore);
  describe(`${name} keeps the contract of a Store`, () => {
    describeFiles(it);
    describeUploads(it);
    describeBatches(it);
    describeStates(it);
    describeSteps(it);
    describeClaims(it);
    describeSegments(it);
    describeLeases(it);
    describeDeliveries(it);
    describeLive(it);
    describeApiKeys(it);
    describeSecondChances(it);
    describeWebhookEndpoints(it);
    describeEndpointDeliveries(it);
    describeMessageBatches(it);
    describeOwners(it);
    describeOwnerUsage(it);
    describeLimits(it);
  });
}
