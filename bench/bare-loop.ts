/**
 * The yardstick, in a process of its own: a loop of undici `dispatch`, one client a slot, that keeps nothing and
 * checks nothing. Arguments: URL of the upstream, requests, concurrency. Sends {seconds} to its parent and ends when that disconnects.
 */
import { Client } from 'undici';
import type { Dispatcher } from 'undici';
import { requestBody } from './input.ts';

const [url = '', requestsText = '', concurrencyText = ''] = process.argv.slice(2);
const requests = Number(requestsText);
const concurrency = Number(concurrencyText);
const body = requestBody(0);
const headers = ['content-type', 'application/json', 'authorization', 'Bearer bench'];

let started = 0;
let ended = 0;
const startedAt = process.hrtime.bigint();

function next(client: Client): void {
  if (started === requests) return;
  started++;
  client.dispatch({ path: '/v1/chat/completions', method: 'POST', headers, body }, handler(client));
}

function handler(client: Client): Dispatcher.DispatchHandler {
  return {
    onRequestStart() {},
    onResponseStart() {},
    onResponseData() {},
    onResponseEnd() {
      if (++ended === requests) finish();
      else next(client);
    },
    onResponseError(_controller, error) {
      throw error;
    },
  };
}

function finish(): void {
  const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9;
  process.send?.({ seconds });
  // The parent measures this process, then lets go of it.
  process.once('disconnect', () => clients.forEach((client) => void client.destroy()));
}

const clients = Array.from({ length: concurrency }, () => new Client(url, { pipelining: 1 }));
for (const client of clients) next(client);
