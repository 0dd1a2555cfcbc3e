import type { Batch } from '../batches/batch.ts';
import type { EngineSettings } from '../context.ts';
import { isTerminalEvent, newEventId } from './event.ts';
import type { EventType, NewEvent, PlainTarget } from './event.ts';

/**
 * The event and where it goes: the operator's URLs receive all, the batch's own URL the terminal one (endpoints are
 * the store's to find). To be handed to the Store verb that makes it true. `now` in milliseconds.
 */
export function newBatchEvent(
  settings: EngineSettings,
  type: EventType,
  batch: Pick<Batch, 'id' | 'owner' | 'format' | 'webhookUrl'>,
  now: number,
): NewEvent {
  const targets: PlainTarget[] = settings.webhookUrls.map((url) => ({ url, origin: 'configured' }));
  if (batch.webhookUrl !== null && isTerminalEvent(type)) {
    targets.push({ url: batch.webhookUrl, origin: 'batch' });
  }
  const { id: batchId, owner, format } = batch;
  return { event: { id: newEventId(), owner, batchId, format, type, createdAt: now }, targets };
}
