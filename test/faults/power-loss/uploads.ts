/** Uploads in parts of the recorded run, and what must hold of them after power loss. */
import { Refused } from '../harness/client.ts';
import type { Client } from '../harness/client.ts';
import { makeInput } from '../harness/lines.ts';
import type { Input } from '../harness/lines.ts';
import {
  addPart,
  beginUpload,
  cancelUpload,
  completeUpload,
  fileMadeBefore,
  piecesOf,
} from '../harness/uploads.ts';
import type { World } from '../harness/world.ts';

const LINES = 300;
const PARTS = 3;

/** What becomes of an upload in the end. */
type Fate = 'completed' | 'cancelled' | 'expired';

/** An upload as its client knows it. */
export interface PromisedUpload {
  readonly id: string;
  readonly input: Input;
  readonly fate: Fate;
  /** The ids of its parts, in their order; null for those that were not acknowledged. */
  readonly partIds: readonly (string | null)[];
  /** True where its end was acknowledged. */
  readonly hasEnded: boolean;
}

/** Makes one upload for each fate: the last one expires when its hour is over. */
export async function runUploads({ client, ledger }: World): Promise<PromisedUpload[]> {
  const completed = await beginWithParts(client, 'completed');
  const cancelled = await beginWithParts(client, 'cancelled');
  const expiring = await beginWithParts(client, 'expired');
  const fileId = await completeUpload(client, completed.id, completed);
  ledger.files.push({ id: fileId, input: completed.input, isDeleted: false });
  await cancelUpload(client, cancelled.id);
  return [completed, cancelled, expiring].map((upload) => ({
    ...upload,
    hasEnded: upload.fate !== 'expired',
  }));
}

async function beginWithParts(client: Client, fate: Fate) {
  const input = makeInput(LINES);
  const id = await beginUpload(client, input);
  const partIds = await Promise.all(piecesOf(input, PARTS).map((bytes) => addPart(client, id, bytes)));
  return { id, input, fate, partIds };
}

/**
 * Goes on with each upload as its client would: parts that were acknowledged need not be sent again. Enters the files
 * that come of them into the ledger. Throws where something that was acknowledged is not so.
 */
export async function goOnWithUploads(world: World, uploads: readonly PromisedUpload[]): Promise<void> {
  const { client, ledger } = world;
  for (const upload of uploads) {
    const outcome = await complete(client, upload);
    const known = ledger.files.find(({ input }) => input === upload.input);
    if (upload.hasEnded && outcome.end !== upload.fate) {
      throw new Error(`the ${upload.fate} ${upload.id} is ${outcome.end ?? 'pending'} after power loss`);
    }
    if (outcome.fileId === null) continue;
    if (known === undefined) ledger.files.push({ id: outcome.fileId, input: upload.input, isDeleted: false });
    else if (known.id !== outcome.fileId) {
      throw new Error(`${upload.id} has the file ${outcome.fileId} in place of ${known.id}`);
    }
  }
}

interface Outcome {
  /** How it had ended before; null: it was pending and is completed now. */
  readonly end: Fate | null;
  readonly fileId: string | null;
}

async function complete(client: Client, { id, input, fate, partIds }: PromisedUpload): Promise<Outcome> {
  const pieces = piecesOf(input, PARTS);
  try {
    const all = await Promise.all(
      pieces.map(async (bytes, i) => partIds[i] ?? (await addPart(client, id, bytes))),
    );
    return { end: null, fileId: await completeUpload(client, id, { partIds: all, input }) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const fileId = fileMadeBefore(error);
    // What was asked for and not answered may have happened.
    if (fate === 'completed' && fileId !== null) return { end: 'completed', fileId };
    if (fate === 'cancelled' && /with status 'cancelled'/.test(error.body))
      return { end: 'cancelled', fileId };
    if (fate === 'expired' && error.status === 410) return { end: 'expired', fileId };
    throw error;
  }
}
