import type { Fault } from '../harness/fault.ts';
import { powerLoss } from './images.ts';

export const powerLossFaults: readonly Fault[] = [powerLoss];
