/** A webhook receiver as a user would write it: verifies each delivery with the official SDK and keeps the event. */
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';

export interface WebhookReceiver {
  /** What to set WEBHOOK_URLS to. */
  readonly url: string;
  /** The types of the events received so far, in the order in which they came. All were verified. */
  readonly received: readonly string[];
  /** Resolves when an event of this type has come. Rejects where `signal` aborts, or a signature was not valid. */
  waitFor(type: string, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Listens on a free port of this machine. `secret` is the service's WEBHOOK_SIGNING_SECRET. */
export async function openWebhookReceiver({ secret }: { readonly secret: string }): Promise<WebhookReceiver> {
  // No request is sent with it: it only verifies.
  const { webhooks } = new OpenAI({ apiKey: 'unused', webhookSecret: secret });
  const received: string[] = [];
  const arrivals = new EventEmitter();

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const event = await webhooks.unwrap(await text(request), request.headers as Record<string, string>);
      received.push(event.type);
      response.writeHead(204).end();
      arrivals.emit('arrival');
    } catch (error) {
      response.writeHead(400).end();
      arrivals.emit('arrival', error);
    }
  }

  const server = createServer((request, response) => void receive(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks`,
    received,
    async waitFor(type, signal) {
      while (!received.includes(type)) {
        const [error] = (await once(arrivals, 'arrival', { signal })) as unknown[];
        if (error !== undefined) throw new Error('a webhook could not be verified', { cause: error });
      }
    },
    async close() {
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
}
