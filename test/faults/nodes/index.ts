import type { Fault } from '../harness/fault.ts';
import { cutNetworks, restartDatabase } from './database.ts';
import { freezeWorkers } from './freezes.ts';
import { killNodes } from './kills.ts';

export const nodeFaults: readonly Fault[] = [killNodes, freezeWorkers, restartDatabase, cutNetworks];
