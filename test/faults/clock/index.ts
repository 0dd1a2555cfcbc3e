import type { Fault } from '../harness/fault.ts';
import { jumps } from './jumps.ts';
import { webhookWaits } from './webhooks.ts';

export const clockFaults: readonly Fault[] = [jumps, webhookWaits];
