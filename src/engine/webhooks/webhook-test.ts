import type { EngineContext } from '../context.ts';
import { postSigned } from './deliver.ts';
import { EngineError } from '../errors.ts';
import { newEventId } from './event.ts';
import type { EventType } from './event.ts';
import { checkEventType, getWebhookEndpoint } from './webhook-endpoints.ts';

export interface TestWebhookEndpointRequest {
  readonly owner: string;
  readonly id: string;
  /** One of EVENT_TYPES, whether or not the endpoint wants it. */
  readonly eventType: string;
}

export interface TestedWebhookEndpoint {
  readonly eventType: EventType;
  /** Null where no answer came. */
  readonly statusCode: number | null;
}

/** A batch that does not exist, recognisable as such. */
const SAMPLE_BATCH_ID = `batch_${'0'.repeat(32)}`;

/**
 * Builds the verb that posts one signed sample event at once, to a disabled endpoint too: not stored, not tried again, and
 * no judgement on the endpoint. One at a time for each endpoint (else `conflict`), for each may wait as long as an attempt.
 */
export function createEndpointTest(
  ctx: EngineContext,
): (request: TestWebhookEndpointRequest) => Promise<TestedWebhookEndpoint> {
  const underWay = new Set<string>();

  async function post(url: string, endpointId: string, type: EventType): Promise<number | null> {
    const now = ctx.clock.now();
    const id = newEventId();
    const createdAt = Math.floor(now / 1000);
    const event = { id, object: 'event', created_at: createdAt, type, data: { id: SAMPLE_BATCH_ID } };
    const outcome = await postSigned(
      ctx,
      { url, trusted: false },
      {
        secrets: await ctx.store.getWebhookSecrets(endpointId, now),
        id,
        at: now,
        body: JSON.stringify(event),
      },
      new AbortController().signal,
    );
    if (outcome.kind === 'aborted') throw new EngineError('unavailable', 'The service is stopping.');
    return outcome.kind === 'answered' ? outcome.status : null;
  }

  return async ({ owner, id, eventType }) => {
    const type = checkEventType('event_type', eventType);
    const { url } = await getWebhookEndpoint(ctx, owner, id);
    if (underWay.has(id)) {
      throw new EngineError('conflict', `A test of the webhook endpoint '${id}' is under way already.`);
    }
    underWay.add(id);
    try {
      const statusCode = await post(url, id, type);
      ctx.log.info({ endpointId: id, owner, type, status: statusCode }, 'webhook endpoint tested');
      return { eventType: type, statusCode };
    } finally {
      underWay.delete(id);
    }
  };
}
