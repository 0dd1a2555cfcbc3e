/** What a run of the tests says before it begins. */
import { S3_SKIPPED } from './s3-skipped.ts';

export function setup(): void {
  if (S3_SKIPPED !== null) process.stdout.write(`\n${S3_SKIPPED}\n`);
}
