/** SIGKILL before and after each fsync, rename, removal and commit on the way of an upload in parts. */
import type { Fault } from '../harness/fault.ts';
import { makeInput } from '../harness/lines.ts';
import { addPart, beginUpload, completeUpload, fileMadeBefore, piecesOf } from '../harness/uploads.ts';
import type { World } from '../harness/world.ts';
import { killAtEach } from './each-point.ts';
import { persist } from './program.ts';

const LINES = 500;
const PARTS = 4;

export const killAtEachPointOfAnUpload: Fault = {
  family: 'kill',
  name: 'SIGKILL before and after each fsync, rename, removal and commit of an upload in parts',
  run: (trials) => killAtEach(trials, { quickStep: 9, run: uploadInParts, check: isOneFile }),
};

async function isOneFile({ client }: World): Promise<void> {
  const { data } = await client.callJson<{ readonly data: readonly unknown[] }>('a list', '/files');
  if (data.length !== 1) throw new Error(`one upload made ${data.length} files`);
}

/** Uploads a file as a careful client would: a call without an answer is made again. Its parts come at the same time. */
async function uploadInParts(world: World): Promise<void> {
  const { client, ledger } = world;
  const input = makeInput(LINES);
  const again = <T>(step: () => Promise<T>): Promise<T> => persist(world, () => world.start(), step);
  const id = await again(() => beginUpload(client, input));
  const partIds = await again(() =>
    Promise.all(piecesOf(input, PARTS).map((bytes) => addPart(client, id, bytes))),
  );
  const fileId = await again(() =>
    completeUpload(client, id, { partIds, input }).catch((error: unknown) => {
      // An earlier call without an answer has completed it.
      const made = fileMadeBefore(error);
      if (made === null) throw error;
      return made;
    }),
  );
  ledger.files.push({ id: fileId, input, isDeleted: false });
}
