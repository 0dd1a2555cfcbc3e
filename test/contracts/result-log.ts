import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ResultLog } from '../../src/engine/ports.ts';

interface OpenedResultLog {
  readonly results: ResultLog;
  /** Closes the log too, unless it is closed already. */
  close(): Promise<void>;
}

/** Opens an empty log of one's own. */
type OpenResultLog = () => Promise<OpenedResultLog>;

const [A, B, C] = ['batch_a1', 'batch_b2', 'batch_c3'] as const;

async function listed(results: ResultLog): Promise<string[]> {
  return (await Array.fromAsync(results.list())).toSorted();
}

/** Result lines of various lengths, as one segment. */
function someParts(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => randomBytes((i * 37) % 500));
}

function logTest(open: OpenResultLog) {
  return test.extend('results', async ({ onTestFinished }): Promise<ResultLog> => {
    const opened = await open();
    onTestFinished(() => opened.close());
    return opened.results;
  });
}

type LogIt = ReturnType<typeof logTest>;

/** What every ResultLog must do. */
export function describeResultLogContract(name: string, open: OpenResultLog): void {
  const it = logTest(open);
  describe(`${name} keeps the contract of a ResultLog`, () => {
    describeAppending(it);
    describeDropping(it);
  });
}

function describeAppending(it: LogIt): void {
  it('appends parts one after another and answers where they begin', async ({ results }) => {
    expect(await results.append(A, [Buffer.from('one'), Buffer.from('two')])).toEqual({ position: 0 });
    expect(await results.append(A, [Buffer.from('three')])).toEqual({ position: 6 });
    expect(await results.append(A, [])).toEqual({ position: 11 });
    expect(await results.append(A, [Buffer.alloc(0), Buffer.from('!')])).toEqual({ position: 11 });
    expect(await results.read(A, 0, 12)).toEqual(Buffer.from('onetwothree!'));
    expect(await results.read(A, 3, 3)).toEqual(Buffer.from('two'));
    expect(await results.read(A, 12, 0)).toEqual(Buffer.alloc(0));
  });

  it('keeps every byte of 200 appends to several batches, read meanwhile', async ({ results }) => {
    const written = new Map<string, { position: number; bytes: Buffer }[]>([A, B, C].map((id) => [id, []]));
    for (let i = 0; i < 200; i++) {
      const appends = [...written].map(async ([batchId, segments]) => {
        const parts = someParts(1 + (i % 7));
        const bytes = Buffer.concat(parts);
        segments.push({ ...(await results.append(batchId, parts)), bytes });
      });
      const reads = [...written].map(async ([batchId, segments]) => {
        const earlier = segments[Math.floor(segments.length / 2)];
        if (earlier === undefined) return;
        const read = await results.read(batchId, earlier.position, earlier.bytes.length);
        expect(read.equals(earlier.bytes)).toBe(true);
      });
      await Promise.all([...appends, ...reads]);
    }
    for (const [batchId, segments] of written) {
      const all = Buffer.concat(segments.map((segment) => segment.bytes));
      let end = 0;
      for (const { position, bytes } of segments) {
        expect(position).toBe(end);
        end += bytes.length;
      }
      expect((await results.read(batchId, 0, all.length)).equals(all)).toBe(true);
    }
  });

  it('appends a segment of several thousand lines, and one of several MB', async ({ results }) => {
    const many = Array.from({ length: 5000 }, (_, i) => Buffer.from(`line ${i}\n`));
    const large = [randomBytes(5 * 1024 * 1024), randomBytes(3)];
    const { position } = await results.append(A, many);
    const next = await results.append(A, large);
    const bytes = Buffer.concat(many);
    expect([position, next.position]).toEqual([0, bytes.length]);
    expect((await results.read(A, 0, bytes.length)).equals(bytes)).toBe(true);
    const read = await results.read(A, next.position, 5 * 1024 * 1024 + 3);
    expect(read.equals(Buffer.concat(large))).toBe(true);
  });

  it('leaves buffers to their owners when it has resolved, and gives out ones that may be changed', async ({
    results,
  }) => {
    const reused = Buffer.from('mine');
    await results.append(A, [reused]);
    reused.fill(0);
    (await results.read(A, 0, 4)).fill(0);
    expect(await results.read(A, 0, 4)).toEqual(Buffer.from('mine'));
  });

  it('rejects a read beyond the end rather than answer fewer bytes', async ({ results }) => {
    await results.append(A, [Buffer.from('0123456789')]);
    await expect(results.read(A, 0, 11)).rejects.toThrow(/ends at byte 10/);
    await expect(results.read(A, 10, 1)).rejects.toThrow(/ends at byte 10/);
    await results.append(A, [Buffer.from('more')]);
    expect(await results.read(A, 0, 11)).toEqual(Buffer.from('0123456789m'));
  });

  it('rejects a read of a batch that has no log, and makes none by it', async ({ results }) => {
    await expect(results.read(A, 0, 1)).rejects.toThrow(/./);
    expect(await listed(results)).toEqual([]);
    expect(await results.append(A, [Buffer.from('x')])).toEqual({ position: 0 });
    expect(await results.read(A, 0, 1)).toEqual(Buffer.from('x'));
  });
}

function describeDropping(it: LogIt): void {
  it('lists the batches that have a log', async ({ results }) => {
    expect(await listed(results)).toEqual([]);
    for (const batchId of [C, A, B, A]) await results.append(batchId, [Buffer.from('x')]);
    expect(await listed(results)).toEqual([A, B, C]);
  });

  it('drops one log and leaves the others; a missing one is no error', async ({ results }) => {
    await results.append(A, [Buffer.from('aaa')]);
    await results.append(B, [Buffer.from('bbb')]);
    await results.read(A, 0, 3);
    await results.drop(A);
    await results.drop(A);
    await results.drop(C);
    expect(await listed(results)).toEqual([B]);
    await expect(results.read(A, 0, 1)).rejects.toThrow(/./);
    expect(await results.read(B, 0, 3)).toEqual(Buffer.from('bbb'));
  });

  it('stays readable, when it was dropped, to whoever had opened it', async ({ results }) => {
    await expect(results.open(A)).rejects.toThrow(/./);
    await results.append(A, [Buffer.from('0123456789')]);
    const reader = await results.open(A);
    await results.drop(A);
    await results.append(A, [Buffer.from('new')]);
    expect(await reader.read(3, 4)).toEqual(Buffer.from('3456'));
    await expect(reader.read(8, 3)).rejects.toThrow(/ends at byte 10/);
    await reader.close();
    expect(await results.read(A, 0, 3)).toEqual(Buffer.from('new'));
  });

  it('begins anew after a drop', async ({ results }) => {
    await results.append(A, [Buffer.from('before')]);
    await results.read(A, 0, 6);
    await results.drop(A);
    expect(await results.append(A, [Buffer.from('after')])).toEqual({ position: 0 });
    expect(await results.read(A, 0, 5)).toEqual(Buffer.from('after'));
  });

  it('can drop while it lists', async ({ results }) => {
    for (const batchId of [A, B, C]) await results.append(batchId, [Buffer.from('x')]);
    for await (const batchId of results.list()) await results.drop(batchId);
    expect(await listed(results)).toEqual([]);
  });
}
