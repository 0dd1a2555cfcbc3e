/** A receiver of webhooks that remembers every event and checks every signature. */
import { Webhook } from 'standardwebhooks';
import { startUpstreamServer } from '../../helpers/upstream-server.ts';
import type { ReceivedRequest } from '../../helpers/upstream-server.ts';
import type { Scope } from './scope.ts';

export const SIGNING_SECRET = `whsec_${Buffer.from('a secret of the fault harness 01').toString('base64')}`;

export interface ReceivedEvent {
  readonly id: string;
  readonly type: string;
  readonly batchId: string;
  /** The path that it came to. */
  readonly path: string;
}

export interface WebhookReceiver {
  /** The URL of an endpoint with this name. */
  url(name: string): string;
  readonly events: readonly ReceivedEvent[];
  /** Requests whose signature or id was wrong. */
  readonly faults: readonly string[];
  /** What it answers. */
  status: number;
  /** True: a signature whose time is wrong is refused with 401, as ever, but no fault: the service's clock is wrong. */
  allowsWrongTimes?: boolean;
}

/** Starts it; closed with the scope. */
export async function startReceiver(scope: Scope): Promise<WebhookReceiver> {
  const events: ReceivedEvent[] = [];
  const faults: string[] = [];
  const server = await startUpstreamServer((request) => {
    try {
      events.push(readEvent(request));
    } catch (error) {
      if (receiver.allowsWrongTimes === true && /timestamp too/.test(String(error))) return { status: 401 };
      faults.push(String(error));
    }
    return { status: receiver.status };
  });
  scope.defer(() => server.close());
  const receiver: WebhookReceiver = {
    url: (name) => `${server.origin}/${name}`,
    events,
    faults,
    status: 200,
  };
  return receiver;
}

function readEvent(request: ReceivedRequest): ReceivedEvent {
  new Webhook(SIGNING_SECRET).verify(request.body, request.headers);
  const event = request.json() as { id: string; type: string; data: { id: string } };
  if (event.id !== request.headers['webhook-id'])
    throw new Error(`the event ${event.id} has another webhook-id`);
  return { id: event.id, type: event.type, batchId: event.data.id, path: request.path };
}
