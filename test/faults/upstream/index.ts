import type { Fault } from '../harness/fault.ts';
import { deadModel } from './dead-model.ts';
import { closedConnections } from './closed-connections.ts';
import { kindsOfAnswers } from './kinds.ts';
import { boundedMemory } from './memory.ts';
import { refusals } from './refusals.ts';
import { passingErrors } from './passing-errors.ts';
import { secondAnswers } from './second-answers.ts';

export const upstreamFaults: readonly Fault[] = [
  refusals,
  kindsOfAnswers,
  closedConnections,
  secondAnswers,
  boundedMemory,
  passingErrors,
  deadModel,
];
