import type { Socket } from 'node:net';
import { openPinnedSocket } from '../../src/adapters/webhook/connect.ts';
import { createWebhookSender } from '../../src/adapters/webhook/index.ts';
import { createSender } from '../../src/adapters/webhook/sender.ts';
import type { WebhookRequest, WebhookSender } from '../../src/engine/ports.ts';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import type { Script } from '../helpers/upstream-server.ts';

/** A receiver that answers as the script says. */
export async function serve(script: Script) {
  return closeAfterTest(await startUpstreamServer(script));
}

/** A sender for which every name leads to 127.0.0.1. */
export function openSender(options: Partial<Parameters<typeof createWebhookSender>[0]> = {}): WebhookSender {
  const lookup = async () => [{ address: '127.0.0.1', family: 4 }];
  return closeAfterTest(createWebhookSender({ allowPrivate: true, lookup, ...options }));
}

/** A sender whose sockets the test sees; `closed` has those whose handles are gone. */
export function watchedSender() {
  const sockets: Socket[] = [];
  const closed: Socket[] = [];
  const sender = createSender({
    allowPrivate: true,
    timeoutMs: 10_000,
    lookup: async () => [],
    openSocket(target) {
      const socket = openPinnedSocket(target);
      sockets.push(socket);
      socket.once('close', () => closed.push(socket));
      return socket;
    },
  });
  return { sender: closeAfterTest(sender), sockets, closed };
}

export function send(
  sender: WebhookSender,
  url: string,
  request: Partial<WebhookRequest> = {},
  signal = new AbortController().signal,
) {
  const whole = {
    url,
    trusted: false,
    headers: { 'content-type': 'application/json' },
    body: '{}',
    ...request,
  };
  return sender.send(whole, signal);
}
