import type { Fault } from '../harness/fault.ts';
import { issuedSecrets } from './issued.ts';
import { runningService } from './running.ts';
import { failingStart } from './starting.ts';

export const secretFaults: readonly Fault[] = [runningService, issuedSecrets, failingStart];
