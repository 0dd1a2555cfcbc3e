import type { Usage } from '../batches/batch.ts';
import { NO_USAGE } from '../batches/batch.ts';
import type { ChunkRun } from './chunk-run.ts';
import type { NewSegment } from './chunk.ts';
import type { EngineContext } from '../context.ts';
import type { Fenced } from '../ports.ts';
import { LineBlocks } from './line-blocks.ts';
import type { LineResult } from './run.ts';
import { addUsage } from './usage.ts';

/** Finished lines gather this long before they are committed together, milliseconds. */
const GATHER_MS = 20;
/** … or until they have this many bytes. */
const GATHER_BYTES = 1024 * 1024;
/** With more than this waiting to be written, nothing more should be sent. Bytes. */
const BACKLOG_BYTES = 64 * 1024 * 1024;
/** How long to wait after storage failed before the same commit is tried again. */
const RETRY_MS = 1000;

/** Gathers finished lines and commits them in groups. */
export interface Committer {
  add(run: ChunkRun, place: number, result: LineResult): void;
  /** Resolves when all that was added before is committed or known to be lost. Waits while storage fails. */
  flush(): Promise<void>;
  /** True while storage fails or cannot keep up: hold back new requests. */
  readonly backlogged: boolean;
  /** Tries once to commit what there is, then stops. Rejects where storage fails; those lines stay undone. */
  close(): Promise<void>;
}

export interface CommitterOptions {
  readonly ctx: EngineContext;
  /** Told of each segment; `lost`: another worker has the chunk now. */
  readonly onCommitted: (run: ChunkRun, lines: number, fenced: Fenced) => void;
  /** Told after each group: it may have been the backlog that held requests back. */
  readonly onWritten: () => void;
}

/** Lines of one chunk that are to become one segment. */
interface Gathering {
  readonly places: number[];
  readonly lengths: number[];
  readonly succeeded: boolean[];
  readonly blocks: LineBlocks;
  usage: Usage;
}

type Gathered = Map<ChunkRun, Gathering>;
/** The segments whose bytes are in the result log already, by batch. */
type Appended = Map<string, [ChunkRun, NewSegment][]>;

export function createCommitter({ ctx, onCommitted, onWritten }: CommitterOptions): Committer {
  let gathered: Gathered = new Map();
  let gatheredBytes = 0;
  let writing: Promise<void> | null = null;
  let failing = false;
  let closing = false;
  let cancelTimer: (() => void) | null = null;
  let endRetryWait: (() => void) | null = null;

  function schedule(): void {
    if (writing !== null || gathered.size === 0) return;
    if (gatheredBytes >= GATHER_BYTES) startWriting();
    else cancelTimer ??= ctx.clock.after(GATHER_MS, startWriting);
  }

  function startWriting(): void {
    cancelTimer?.();
    cancelTimer = null;
    if (writing !== null || gathered.size === 0) return;
    const group = gathered;
    gathered = new Map();
    const bytes = gatheredBytes;
    writing = writeUntilDone(group)
      .then(() => {
        gatheredBytes -= bytes;
        onWritten();
      })
      .finally(() => {
        writing = null;
        if (!closing) schedule();
      });
    // A rejection reaches whoever waits in `close`; before that, writeUntilDone never gives up.
    writing.catch(() => {});
  }

  async function writeUntilDone(group: Gathered): Promise<void> {
    // What one attempt appended is not appended again by the next: a full disk must not fill up further.
    const appended: Appended = new Map();
    for (;;) {
      try {
        await write(group, appended);
        failing = false;
        return;
      } catch (error) {
        if (!failing)
          ctx.log.error({ err: error }, 'results cannot be stored; no new requests until they can');
        failing = true;
        if (closing) throw error;
        await new Promise<void>((resolve) => {
          const cancel = ctx.clock.after(RETRY_MS, resolve);
          endRetryWait = () => {
            cancel();
            resolve();
          };
        });
        endRetryWait = null;
      }
    }
  }

  async function write(group: Gathered, appended: Appended): Promise<void> {
    await appendToLogs(ctx, group, appended);
    const segments = [...appended.values()].flat();
    const fenced = await ctx.store.commitSegments(
      segments.map(([, segment]) => segment),
      ctx.clock.now(),
    );
    segments.forEach(([run, segment], i) =>
      onCommitted(run, segment.lines.places.length, fenced[i] as Fenced),
    );
  }

  /** What is added meanwhile is left to the next group: under load there is always more. */
  async function flush(): Promise<void> {
    if (writing !== null) await writing;
    startWriting();
    await writing;
  }

  return {
    add(run, place, result) {
      let gathering = gathered.get(run);
      if (gathering === undefined) gathered.set(run, (gathering = newGathering()));
      gathering.places.push(place);
      gathering.lengths.push(result.line.size);
      gathering.succeeded.push(result.succeeded);
      gathering.blocks.add(result.line);
      if (result.usage !== NO_USAGE) gathering.usage = addUsage(gathering.usage, result.usage);
      gatheredBytes += result.line.size;
      schedule();
    },
    flush,
    get backlogged() {
      return failing || gatheredBytes > BACKLOG_BYTES;
    },
    async close() {
      closing = true;
      endRetryWait?.();
      while (writing !== null || gathered.size > 0) await flush();
    },
  };
}

function newGathering(): Gathering {
  return { places: [], lengths: [], succeeded: [], blocks: new LineBlocks(), usage: NO_USAGE };
}

/** Appends each batch's part of the group to its result log, side by side, unless `appended` has it already. */
async function appendToLogs(ctx: EngineContext, group: Gathered, appended: Appended): Promise<void> {
  const batches = Map.groupBy(group, ([run]) => run.batch.id);
  const appends = [...batches].map(async ([batchId, entries]) => {
    if (appended.has(batchId)) return;
    const parts = entries.flatMap(([, gathering]) => gathering.blocks.parts);
    let { position } = await ctx.results.append(batchId, parts);
    const segments = entries.map(([run, gathering]): [ChunkRun, NewSegment] => {
      const { places, lengths, succeeded, usage } = gathering;
      const logPosition = position;
      position += gathering.blocks.bytes;
      return [run, { ...run.ref, logPosition, lines: { places, lengths, succeeded }, usage }];
    });
    appended.set(batchId, segments);
  });
  // All of them come to an end before a failure is told, so that none still writes when they are tried again.
  const failed = (await Promise.allSettled(appends)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
