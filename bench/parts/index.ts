import type { Part } from '../part.ts';
import { api } from './api.ts';
import { idle } from './idle.ts';
import { largeAnswers } from './large-answers.ts';
import { latency } from './latency.ts';
import { length } from './length.ts';
import { many } from './many.ts';
import { start } from './start.ts';
import { throughput } from './throughput.ts';
import { transfer } from './transfer.ts';
import { validation } from './validation.ts';
import { width } from './width.ts';

/** Every part, in the order of the table. */
export const parts: readonly Part[] = [
  throughput,
  latency,
  width,
  length,
  many,
  largeAnswers,
  validation,
  transfer,
  api,
  start,
  idle,
];
