import type { Fault } from '../harness/fault.ts';
import { fullDisk } from './full.ts';
import { failingCalls } from './ill.ts';
import { removalsOnFullDisk } from './removals.ts';

export const diskFaults: readonly Fault[] = [fullDisk, removalsOnFullDisk, failingCalls];
