import type { Fault } from '../harness/fault.ts';
import { killAtEachPoint } from './numbered.ts';
import { killAtRandomMoments } from './random-moments.ts';

export const killFaults: readonly Fault[] = [killAtEachPoint, killAtRandomMoments];
