import type { Fault } from '../harness/fault.ts';
import { killAtEachPointOfAMessageBatch } from './messages.ts';
import { killAtEachPoint } from './numbered.ts';
import { killAtRandomMoments } from './random-moments.ts';
import { killAtEachPointOfAnUpload } from './uploads.ts';

export const killFaults: readonly Fault[] = [
  killAtEachPoint,
  killAtEachPointOfAnUpload,
  killAtEachPointOfAMessageBatch,
  killAtRandomMoments,
];
