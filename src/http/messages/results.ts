/** The results of an ended Message Batch, translated line by line as they are read. */
import type { Batch, Engine, FileRecord } from '../../engine/index.ts';
import { LineBlocks } from '../../engine/run/line-blocks.ts';
import { splitLines } from '../../engine/input/lines.ts';
import type { LineBatch } from '../../engine/input/lines.ts';
import type { ResultLine } from '../../engine/run/result.ts';
import type { Span } from './piece.ts';
import { createResultTranslator } from './result-line.ts';
import type { NoAnswer, ResultTranslator } from './result-line.ts';

/** A file and what becomes of its lines. */
interface Part {
  readonly file: FileRecord;
  readonly translate: (line: Span, number: number) => ResultLine;
}

/**
 * Opens the results of a batch that has ended: those that succeeded, then the others, each in the order of the requests.
 * Rejects with `file_not_found` where a file of it is gone.
 */
export async function openResults(engine: Engine, batch: Batch): Promise<AsyncIterable<Uint8Array>> {
  return translateParts(engine, await openParts(engine, batch, createResultTranslator()));
}

async function openParts(engine: Engine, batch: Batch, translator: ResultTranslator): Promise<Part[]> {
  const { owner, outputFileId, errorFileId, inputFileId } = batch;
  const part = async (id: string | null, translate: Part['translate']): Promise<Part[]> =>
    id === null ? [] : [{ file: await engine.files.get(owner, id), translate }];
  if (outputFileId === null && errorFileId === null) {
    return await part(inputFileId, (line, number) =>
      translator.unanswered(line, whyUnanswered(batch, number)),
    );
  }
  return [
    ...(await part(outputFileId, (line) => translator.succeeded(line))),
    ...(await part(errorFileId, (line) => translator.failed(line))),
  ];
}

/** The batch ended before any of its lines was sent: it was cancelled, or it failed as a whole. */
function whyUnanswered({ status, errors }: Batch, number: number): NoAnswer {
  if (status === 'cancelled') return { kind: 'canceled' };
  const own = errors?.find(({ line }) => line === number) ?? errors?.[0];
  return { kind: 'errored', message: own?.message ?? 'The batch could not be run.' };
}

async function* translateParts(engine: Engine, parts: readonly Part[]): AsyncGenerator<Uint8Array> {
  for (const { file, translate } of parts) {
    for await (const lines of splitLines(engine.files.read(file), {
      maxLineBytes: Number.MAX_SAFE_INTEGER,
    })) {
      yield* translateLines(lines, translate);
    }
  }
}

function* translateLines(lines: LineBatch, translate: Part['translate']): Generator<Uint8Array> {
  const blocks = new LineBlocks();
  for (let i = 0; i < lines.starts.length; i++) {
    const span = { bytes: lines.bytes, start: lines.starts[i] as number, end: lines.ends[i] as number };
    blocks.add(translate(span, lines.numbers[i] as number));
  }
  yield* blocks.parts;
}
