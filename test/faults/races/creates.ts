/** Creates in parallel on one file. */
import assert from 'node:assert/strict';
import type { Fault } from '../harness/fault.ts';
import { makeInput } from '../harness/lines.ts';
import { counting, endOf, onOneService } from './shared.ts';

/** Batches on one file at a time. */
const CREATES = 8;

export const createsInParallel: Fault = {
  family: 'races',
  name: `${CREATES} creates at once on one file: as many batches, each with its own results`,
  async run(trials) {
    const repeated = { retriesALine: CREATES - 1 };
    await onOneService(
      trials,
      async (world) => {
        const { client, upstream } = world;
        for (const n of counting(trials.quick ? 1 : 15)) {
          await trials.attempt(`file ${n}`, async () => {
            const file = await client.upload(makeInput(5));
            const batches = await Promise.all(counting(CREATES).map(() => client.create(file)));
            assert.equal(new Set(batches.map(({ id }) => id)).size, CREATES);
            const ends = await Promise.all(batches.map((batch) => endOf(world, batch)));
            assert.equal(new Set(ends.map((end) => end.output_file_id)).size, CREATES);
            for (const { bodyHash } of file.input.lines) {
              const keys = upstream.callsOf(bodyHash).map((call) => call.idempotencyKey);
              assert.equal(new Set(keys).size, CREATES, 'keys of a line that all batches have');
            }
          });
        }
      },
      repeated,
    );
  },
};
