/** Which lines were given up as deadly. */
import assert from 'node:assert/strict';
import type { World } from '../harness/world.ts';

interface ErrorLine {
  readonly custom_id: string;
  readonly error: { readonly code: string } | null;
}

/** Checks that none but the `deadly` lines (hashes of their bodies) has an error line; answers how many were given up. */
export async function checkVerdicts(world: World, deadly: ReadonlySet<string>): Promise<number> {
  let verdicts = 0;
  for (const batch of world.ledger.batches) {
    const { status, error_file_id: id } = await world.client.retrieve(batch);
    assert.equal(status, 'completed', batch.id);
    const text = id === null ? '' : await world.client.content(id);
    for (const line of (text ?? '').split('\n').filter((part) => part !== '')) {
      const { custom_id, error } = JSON.parse(line) as ErrorLine;
      const hash = batch.file.input.lines.find(({ customId }) => customId === custom_id)?.bodyHash ?? '';
      assert.ok(deadly.has(hash), `${custom_id} of ${batch.id}, which killed nobody: ${line}`);
      assert.equal(error?.code, 'request_crashed', custom_id);
      verdicts++;
    }
  }
  return verdicts;
}
