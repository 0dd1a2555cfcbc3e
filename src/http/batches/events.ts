/** `/v1/batches/{id}/events`: how a batch goes on, as server-sent events (HTML standard, 9.2). */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Batch, BatchNews, Clock, Engine } from '../../engine/index.ts';
import { toBatchObject, toProgressObject } from '../wire.ts';

/** A comment is sent this often, so that neither end nor anything between takes the connection for dead. Milliseconds. */
const HEARTBEAT_MS = 15_000;
/** What a browser waits before it connects again, milliseconds. */
const RECONNECT_MS = 2000;
/** With this much unread, progress is left out; what comes next tells more. */
const SLOW_READER_BYTES = 64 * 1024;
/** With this much unread, the reader is gone or does not read. */
const MAX_UNREAD_BYTES = 1024 * 1024;

interface ById {
  readonly Params: { readonly id: string };
}

/** A snapshot of the batch first, then each event and at most two messages of progress a second; ends with the batch. */
export async function eventRoutes(
  app: FastifyInstance,
  { engine }: { readonly engine: Engine },
): Promise<void> {
  const open = new Set<EventStream>();
  // A stop must not wait for listeners: they come back to the next start.
  app.addHook('preClose', async () => {
    for (const stream of open) stream.end();
  });
  app.route<ById>({
    method: 'GET',
    exposeHeadRoute: false,
    url: '/v1/batches/:id/events',
    handler: (request, reply) => sendEvents(engine, open, request, reply),
  });
}

async function sendEvents(
  engine: Engine,
  open: Set<EventStream>,
  request: FastifyRequest<ById>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const afterEvent = request.headers['last-event-id']?.toString();
  const stream = new EventStream(engine.context.clock);
  const watch = await engine.batches.watch({
    owner: request.owner,
    id: request.params.id,
    afterEvent,
    listener: (news) => stream.tell(news),
  });
  // To a browser any other answer means to connect again.
  if (watch.isOver) return reply.code(204).send();
  open.add(stream);
  stream.readable.once('close', () => {
    open.delete(stream);
    watch.stop();
    stream.end();
  });
  stream.begin(watch.batch, watch.missed);
  reply.headers({ 'cache-control': 'no-cache', 'x-accel-buffering': 'no' }).type('text/event-stream');
  return reply.send(stream.readable);
}

/** One listener's messages. */
class EventStream {
  readonly readable = new Readable({ read() {} });
  readonly #clock: Clock;
  /** What came before the snapshot was sent. */
  #waiting: BatchNews[] | null = [];
  #cancelHeartbeat = (): void => {};
  #hasEnded = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(batch: Batch, missed: readonly BatchNews[]): void {
    this.#push(`retry: ${RECONNECT_MS}\n${message('snapshot', toBatchObject(batch))}`);
    const waiting = [...missed, ...(this.#waiting ?? [])];
    this.#waiting = null;
    for (const news of waiting) this.tell(news);
    this.#beat();
  }

  tell(news: BatchNews): void {
    if (this.#waiting !== null) this.#waiting.push(news);
    else if (news.kind === 'end') this.end();
    else if (news.kind === 'event') {
      this.#push(`id: ${news.id}\nevent: ${news.type}\ndata: ${news.body}\n\n`);
    } else if (this.readable.readableLength < SLOW_READER_BYTES) {
      this.#push(progressOf(news.batch));
    }
  }

  end(): void {
    this.#cancelHeartbeat();
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.readable.push(null);
  }

  #push(text: string): void {
    if (this.#hasEnded) return;
    if (this.readable.readableLength > MAX_UNREAD_BYTES) this.readable.destroy();
    else this.readable.push(text);
  }

  #beat(): void {
    if (this.#hasEnded) return;
    this.#cancelHeartbeat = this.#clock.after(HEARTBEAT_MS, () => {
      this.#push(': still here\n\n');
      this.#beat();
    });
  }
}

/** All listeners of a batch are told the same. */
const progressTexts = new WeakMap<Batch, string>();

function progressOf(batch: Batch): string {
  let text = progressTexts.get(batch);
  if (text === undefined) progressTexts.set(batch, (text = message('progress', toProgressObject(batch))));
  return text;
}

function message(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
