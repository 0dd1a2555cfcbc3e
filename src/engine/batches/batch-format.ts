/** What differs between batches of the two formats. They run alike; how each looks on the wire is for `http/` to show. */
import type { Batch, BatchFormat } from './batch.ts';
import type { EngineSettings } from '../context.ts';

/** The one endpoint of Message Batches. */
export const MESSAGES_ENDPOINT = '/v1/messages';

/** Accepted `endpoint` values of a new batch. */
export function endpointsOf(settings: EngineSettings, format: BatchFormat): readonly string[] {
  return format === 'openai' ? settings.endpoints : [MESSAGES_ENDPOINT];
}

/** Every endpoint that a batch of either format may have. */
export function allEndpoints(settings: EngineSettings): readonly string[] {
  return [...new Set([...settings.endpoints, MESSAGES_ENDPOINT])];
}

/** Most batches on a page of the list, as either API has it. */
export function maxListLimit(format: BatchFormat): number {
  return format === 'openai' ? 100 : 1000;
}

/**
 * How long the input of a batch may be. Message Batches are measured as they arrive, as the JSON that the client sent;
 * the lines that are made of it are not measured again.
 */
export function inputLimits(
  settings: EngineSettings,
  format: BatchFormat,
): { readonly maxBytes: number; readonly maxLines: number } {
  if (format === 'anthropic') return { maxBytes: Infinity, maxLines: Infinity };
  return { maxBytes: settings.maxBatchBytes, maxLines: settings.maxBatchLines };
}

/** The id under which the client knows the batch: as it is, or `msgbatch_` and the same 32 hex digits. */
export function clientBatchId({ id, format }: Pick<Batch, 'id' | 'format'>): string {
  return format === 'openai' ? id : id.replace(/^batch_/, 'msgbatch_');
}

/** The batch's own id for an id of a Message Batch; null where that is none. */
export function fromMessageBatchId(id: string): string | null {
  return /^msgbatch_[0-9a-f]{32}$/.test(id) ? id.replace('msgbatch_', 'batch_') : null;
}
