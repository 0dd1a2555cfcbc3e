import type { Fault } from '../harness/fault.ts';
import { staleWorkers } from './stale-workers.ts';

export const leaseFaults: readonly Fault[] = [staleWorkers];
