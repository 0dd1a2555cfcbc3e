import type { Part } from '../../part.ts';
import { churn } from './churn.ts';
import { engine } from './engine.ts';
import { latency } from './latency.ts';

/** Every part of `npm run bench:scale`, in the order of the table. */
export const parts: readonly Part[] = [engine, latency, churn];
