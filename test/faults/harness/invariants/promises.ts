/** Invariant 1: every upload, create and cancel that was answered 2xx is still there and still true. */
import { Refused } from '../client.ts';
import type { Witnesses } from '../world.ts';

export async function checkPromises({ client, ledger }: Witnesses): Promise<string[]> {
  const violations: string[] = [];
  for (const file of ledger.files) {
    const text = await client.content(file.id);
    if (file.isDeleted) {
      if (text !== null) violations.push(`${file.id} is there, although its removal was answered`);
    } else if (text !== file.input.text) {
      violations.push(
        text === null ? `the acknowledged ${file.id} is gone` : `the bytes of ${file.id} are not those sent`,
      );
    }
  }
  for (const batch of ledger.batches) {
    try {
      const seen = await client.retrieve(batch);
      if (seen.metadata?.['tag'] !== batch.tag || seen.input_file_id !== batch.file.id) {
        violations.push(`${batch.id} is not the batch that was created`);
      }
      if (batch.isCancelled && !seen.status.startsWith('cancel')) {
        violations.push(`${batch.id} is ${seen.status}, although its cancel was answered`);
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      violations.push(`the acknowledged ${error.message}`);
    }
  }
  const there = new Set((await client.list()).map(({ id }) => id));
  for (const id of ledger.deletedBatches) {
    if (there.has(id)) violations.push(`${id} is there, although its removal was answered`);
  }
  return violations;
}
