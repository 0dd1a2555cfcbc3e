import type { Store } from '../../engine/ports.ts';
import { createApiKeyVerbs } from './store/api-keys.ts';
import { createBatchVerbs, createStepVerbs } from './store/batches.ts';
import { createChunkVerbs } from './store/chunks.ts';
import { createDeliveryVerbs } from './store/deliveries.ts';
import { createEndpointDeliveryVerbs } from './store/endpoint-deliveries.ts';
import { createFileVerbs } from './store/files.ts';
import { createLeaseVerbs } from './store/leases.ts';
import { createLiveVerbs } from './store/live.ts';
import { createSecondChanceVerbs } from './store/second-chances.ts';
import { createMessageBatchVerbs } from './store/message-batches.ts';
import { createOwnerVerbs } from './store/owners.ts';
import type { StoreState } from './store/state.ts';
import { createEndpointVerbs } from './store/webhook-endpoints.ts';
import { createUploadVerbs } from './store/uploads.ts';

/**
 * A Store that lives as long as the process: for tests and for programs that need no memory of their batches. Each
 * verb is atomic because it never waits in the middle. Its searches are linear: meant for few batches at a time.
 */
export function createMemoryStore(): Store {
  const state: StoreState = {
    files: new Map(),
    uploads: new Map(),
    batches: new Map(),
    events: new Map(),
    deliveries: new Map(),
    segmentSeq: 0,
    apiKeys: new Map(),
    endpoints: new Map(),
    owners: new Map(),
    liveWorker: null,
  };
  return {
    ...createFileVerbs(state),
    ...createUploadVerbs(state),
    ...createBatchVerbs(state),
    ...createStepVerbs(state),
    ...createChunkVerbs(state),
    ...createDeliveryVerbs(state),
    ...createLiveVerbs(state),
    ...createApiKeyVerbs(state),
    ...createSecondChanceVerbs(state),
    ...createEndpointVerbs(state),
    ...createEndpointDeliveryVerbs(state),
    ...createMessageBatchVerbs(state),
    ...createOwnerVerbs(state),
    ...createLeaseVerbs(state),
    ping: async () => {},
    close: async () => {},
  };
}
