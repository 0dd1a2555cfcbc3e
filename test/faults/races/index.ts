import type { Fault } from '../harness/fault.ts';
import { cancelAgainstFinalize } from './cancels.ts';
import { createsInParallel } from './creates.ts';
import { expiryAgainstCancel } from './expiry.ts';
import { deletedFiles } from './files.ts';
import { keysInUse } from './keys.ts';
import { removedBatches, sameIdempotencyKey } from './second-chances.ts';
import { uploadsAgainstThemselves } from './uploads.ts';

export const raceFaults: readonly Fault[] = [
  cancelAgainstFinalize,
  expiryAgainstCancel,
  deletedFiles,
  createsInParallel,
  uploadsAgainstThemselves,
  removedBatches,
  sameIdempotencyKey,
  keysInUse,
];
