import type { Fault } from '../harness/fault.ts';
import { innocentLines } from './innocent.ts';
import { poisonLines } from './lines.ts';

export const poisonFaults: readonly Fault[] = [poisonLines, innocentLines];
