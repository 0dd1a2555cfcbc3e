/** Every fault, in the order of the table. */
import { clockFaults } from './clock/index.ts';
import { diskFaults } from './disk/index.ts';
import type { Fault } from './harness/fault.ts';
import { inputFaults } from './input/index.ts';
import { killFaults } from './kill/index.ts';
import { leaseFaults } from './leases/index.ts';
import { nodeFaults } from './nodes/index.ts';
import { poisonFaults } from './poison/index.ts';
import { powerLossFaults } from './power-loss/index.ts';
import { upstreamFaults } from './upstream/index.ts';
import { raceFaults } from './races/index.ts';
import { stopFaults } from './stop/index.ts';
import { secretFaults } from './secrets/index.ts';
import { webhookFaults } from './webhooks/index.ts';

export const catalogue: readonly Fault[] = [
  ...killFaults,
  ...leaseFaults,
  ...nodeFaults,
  ...clockFaults,
  ...diskFaults,
  ...poisonFaults,
  ...raceFaults,
  ...stopFaults,
  ...powerLossFaults,
  ...upstreamFaults,
  ...inputFaults,
  ...webhookFaults,
  ...secretFaults,
];
