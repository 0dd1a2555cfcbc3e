import { rebinding, resolvedAddresses, spelledAddresses } from './addresses.ts';
import type { Fault } from '../harness/fault.ts';
import { deadForHours, redirects, retryAfter } from './answers.ts';
import { privateWebhooks } from './refusals.ts';
import { endlessAnswers, endlessInMemory } from './endless.ts';
import { flappingReceiver } from './flapping.ts';
import { hangingReceiver } from './hang.ts';
import { downForHours, goneForGood, wakesByItself } from './schedule.ts';

export const webhookFaults: readonly Fault[] = [
  downForHours,
  wakesByItself,
  deadForHours,
  goneForGood,
  retryAfter,
  redirects,
  spelledAddresses,
  resolvedAddresses,
  rebinding,
  privateWebhooks,
  hangingReceiver,
  endlessAnswers,
  endlessInMemory,
  flappingReceiver,
];
