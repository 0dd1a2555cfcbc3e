import type { Fault } from '../harness/fault.ts';
import { fullDisk } from './full.ts';
import { failingCalls } from './ill.ts';

export const diskFaults: readonly Fault[] = [fullDisk, failingCalls];
