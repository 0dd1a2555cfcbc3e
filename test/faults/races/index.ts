import type { Fault } from '../harness/fault.ts';
import { cancelAgainstFinalize } from './cancels.ts';
import { createsInParallel } from './creates.ts';
import { expiryAgainstCancel } from './expiry.ts';
import { deletedFiles } from './files.ts';

export const raceFaults: readonly Fault[] = [
  cancelAgainstFinalize,
  expiryAgainstCancel,
  deletedFiles,
  createsInParallel,
];
