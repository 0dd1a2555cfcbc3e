/**
 * The yardsticks, in a process of its own: what a loop can do that stores and checks nothing. Arguments: `dispatch` (sends the
 * same body over and over) or `pipeline` (reads lines from a file, finds each body, sends it, wraps the answer into a result
 * line and drops that), URL of the upstream, number of requests, requests in flight, input file. Ends when all are answered.
 */
import { createReadStream } from 'node:fs';
import { Client } from 'undici';
import type { Dispatcher } from 'undici';
import { requestBody } from '../input.ts';

const [kind = '', url = '', requestsText = '', concurrencyText = '', file = ''] = process.argv.slice(2);
const requests = Number(requestsText);
const concurrency = Number(concurrencyText);
const headers = ['content-type', 'application/json', 'authorization', 'Bearer bench'];

/** What is to be sent next; null: nothing more, or nothing yet. */
interface Source {
  next(): string | Buffer | null;
}

function sameBody(): Source {
  const body = requestBody(0);
  return { next: () => body };
}

const BODY = Buffer.from('"body":');
const READ_BYTES = 1024 * 1024;

/** The bodies in a file's lines, read in pieces, one piece ahead. */
function bodiesOf(path: string): Source {
  const stream = createReadStream(path, { highWaterMark: READ_BYTES });
  let rest: Buffer = Buffer.alloc(0);
  stream.on('readable', () => {
    if (rest.length < READ_BYTES) more();
    fill();
  });
  function more(): void {
    const read = stream.read() as Buffer | null;
    if (read !== null) rest = Buffer.concat([rest, read]);
  }
  return {
    next() {
      let end = rest.indexOf(10);
      if (end === -1) {
        more();
        end = rest.indexOf(10);
        if (end === -1) return null;
      }
      const body = rest.subarray(rest.indexOf(BODY) + BODY.length, end - 1);
      rest = rest.subarray(end + 1);
      return body;
    },
  };
}

let started = 0;
let ended = 0;

class Handler implements Dispatcher.DispatchHandler {
  readonly #client: Client;
  #parts: Buffer[] = [];

  constructor(client: Client) {
    this.#client = client;
  }

  onRequestStart(): void {}

  onResponseStart(): void {}

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (kind === 'pipeline') this.#parts.push(chunk);
  }

  onResponseEnd(): void {
    if (kind === 'pipeline') wrap(this.#parts);
    if (++ended === requests) return finish();
    idle.push(this.#client);
    fill();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    throw error;
  }
}

let kept = 0;

/** Makes a result line of an answer. */
function wrap(parts: readonly Buffer[]): void {
  const start = Buffer.from(
    `{"id":"batch_req_${ended}","custom_id":"request-${ended}","response":{"status_code":200,"body":`,
  );
  kept += Buffer.concat([start, ...parts, Buffer.from('},"error":null}\n')]).length;
}

const clients = Array.from({ length: concurrency }, () => new Client(url, { pipelining: 1 }));
const idle = [...clients];
const source = kind === 'pipeline' ? bodiesOf(file) : sameBody();

function fill(): void {
  while (idle.length > 0 && started < requests) {
    const body = source.next();
    if (body === null) return;
    started++;
    const client = idle.pop() as Client;
    client.dispatch({ path: '/v1/chat/completions', method: 'POST', headers, body }, new Handler(client));
  }
}

function finish(): void {
  process.send?.({ answered: ended, kept });
  // The parent measures this process, then lets go of it.
  process.once('disconnect', () => clients.forEach((client) => void client.destroy()));
}

fill();
