/**
 * Invariant 2: in every ended batch that is not `failed`, output lines + error lines = total, each `custom_id` is there
 * exactly once, each line is valid JSON, and each answer is one that the upstream gave to that very line.
 */
import type { BatchObject, PromisedBatch } from '../ledger.ts';
import type { InputLine } from '../lines.ts';
import type { Witnesses } from '../world.ts';

interface ResultLine {
  readonly custom_id: string;
  readonly response: {
    readonly status_code: number;
    readonly body: Readonly<Record<string, unknown>>;
  } | null;
  readonly error: { readonly code: string } | null;
}

export async function checkResults(world: Witnesses): Promise<string[]> {
  const violations: string[] = [];
  for (const batch of world.ledger.batches) {
    const seen = await world.client.retrieve(batch);
    if (seen.status === 'failed') continue;
    const found = await checkBatch(world, batch, seen);
    violations.push(...found.slice(0, 5).map((violation) => `${batch.id}: ${violation}`));
  }
  return violations;
}

async function checkBatch(world: Witnesses, batch: PromisedBatch, seen: BatchObject): Promise<string[]> {
  const violations: string[] = [];
  const lines = new Map(batch.file.input.lines.map((line) => [line.customId, line]));
  // A batch that was cancelled before it was prepared has no lines at all.
  if (seen.status === 'cancelled' && seen.in_progress_at === null) lines.clear();
  const output = await readLines(world, seen.output_file_id, violations);
  const errors = await readLines(world, seen.error_file_id, violations);
  const { total, completed, failed } = seen.request_counts;
  if (output.length !== completed || errors.length !== failed || completed + failed !== total) {
    violations.push(
      `${output.length} output and ${errors.length} error lines, but its counts are ${JSON.stringify(seen.request_counts)}`,
    );
  }
  const unseen = new Map(lines);
  for (const result of [...output, ...errors]) {
    const line = lines.get(result.custom_id);
    if (line === undefined) violations.push(`a result for ${result.custom_id}, which it has not`);
    else if (!unseen.delete(result.custom_id)) violations.push(`${result.custom_id} has two results`);
    else violations.push(...checkAnswer(world, line, result));
  }
  for (const customId of unseen.keys()) violations.push(`${customId} has no result`);
  for (const { response, custom_id } of output) {
    if (response?.status_code !== 200) violations.push(`${custom_id} is an output line without a 200`);
  }
  return violations;
}

function checkAnswer(world: Witnesses, line: InputLine, { custom_id, response }: ResultLine): string[] {
  const answer = response?.body['answer'];
  if (answer === undefined) return [];
  const given = world.upstream.callsOf(line.bodyHash).some((call) => call.answer === answer);
  return given ? [] : [`${custom_id} has an answer that was never given to it`];
}

async function readLines(
  world: Witnesses,
  fileId: string | null,
  violations: string[],
): Promise<ResultLine[]> {
  if (fileId === null) return [];
  const text = await world.client.content(fileId);
  if (text === null) {
    violations.push(`its file ${fileId} is gone`);
    return [];
  }
  if (!text.endsWith('\n')) violations.push(`its file ${fileId} does not end with a line end`);
  return text
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as ResultLine];
      } catch {
        violations.push(`a line that is no JSON: ${line.slice(0, 80)}`);
        return [];
      }
    });
}
