/**
 * Loaded into the service before its entry file: the schedule of webhooks, with all its waits half a second, so that
 * a try need not last for days. The shipped code knows nothing of it.
 */
import { DELIVERY_SCHEDULE_MS } from '../../../src/engine/webhooks/deliver.ts';

const waits = DELIVERY_SCHEDULE_MS as number[];
for (const at of waits.keys()) waits[at] = 500;
