/** What clients were told in a recorded run, and from which of its steps on they knew it. */
import { isTerminal } from '../harness/ledger.ts';
import type { Ledger, PromisedBatch, PromisedFile } from '../harness/ledger.ts';
import type { Step } from './trace.ts';
import type { PromisedUpload } from './uploads.ts';

/** Something that holds from step `from` of the trace on. */
export interface Since<T> {
  readonly from: number;
  readonly what: T;
}

/** A file, a batch, an upload or a part of one as an answer showed it. */
interface Told {
  readonly id: string;
  readonly status?: string;
  readonly deleted?: boolean;
}

export interface AllTold {
  readonly files: readonly Since<PromisedFile>[];
  readonly batches: readonly Since<PromisedBatch>[];
  readonly cancels: readonly Since<PromisedBatch>[];
  readonly ends: readonly Since<PromisedBatch>[];
  /** Uploads in parts, by their beginning. */
  readonly begun: readonly Since<PromisedUpload>[];
  readonly parts: readonly Since<{ readonly id: string }>[];
  readonly uploadEnds: readonly Since<PromisedUpload>[];
  /** What receivers of webhooks were sent. */
  readonly webhooks: readonly Since<string>[];
}

/** Finds in the trace where each of these was told. Throws where one is not there. */
export function findTold(
  steps: readonly Step[],
  { files, batches }: Ledger,
  uploads: readonly PromisedUpload[],
): AllTold {
  const answers: Since<Told>[] = [];
  const webhooks: Since<string>[] = [];
  for (const [from, step] of steps.entries()) {
    if (step.kind !== 'sent') continue;
    if (step.text.startsWith('HTTP/1.1 200'))
      answers.push(...objectsIn(step.text).map((what) => ({ from, what })));
    else if (step.text.includes('evt_')) webhooks.push({ from, what: step.text });
  }
  /** `what` from the first answer on that told so. */
  function since<T extends { readonly id: string }>(what: T, matches: (told: Told) => boolean): Since<T> {
    const answer = answers.find(({ what: told }) => told.id === what.id && matches(told));
    if (answer === undefined) throw new Error(`the trace lacks what the client was told of ${what.id}`);
    return { from: answer.from, what };
  }

  return {
    // A file that is being removed may be there or not: nothing is known of it until its removal was answered.
    files: files.map((file) => since(file, (told) => (told.deleted ?? false) === file.isDeleted)),
    batches: batches.map((batch) => since(batch, () => true)),
    cancels: batches
      .filter((batch) => batch.isCancelled)
      .map((batch) => since(batch, (told) => told.status?.startsWith('cancel') ?? false)),
    ends: batches.map((batch) => since(batch, (told) => isTerminal(told.status ?? ''))),
    begun: uploads.map((upload) => since(upload, () => true)),
    parts: uploads
      .flatMap(({ partIds }) => partIds.flatMap((id) => (id === null ? [] : [{ id }])))
      .map((part) => since(part, () => true)),
    uploadEnds: uploads
      .filter((upload) => upload.hasEnded)
      .map((upload) => since(upload, (told) => told.status === upload.fate)),
    webhooks,
  };
}

/** What was known before step `at`. */
export function before<T>(all: readonly Since<T>[], at: number): T[] {
  return all.filter(({ from }) => from < at).map(({ what }) => what);
}

/** What an answer holds: one object, with the file of an upload, or those of a list; none where it is no JSON. */
function objectsIn(answer: string): Told[] {
  try {
    const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as Told & {
      readonly data?: readonly Told[];
      readonly file?: Told | null;
    };
    const file = body.file ?? null;
    return [...(body.data ?? [body]), ...(file === null ? [] : [file])];
  } catch {
    return [];
  }
}
