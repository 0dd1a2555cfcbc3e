import { once } from 'node:events';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { describe, expect, it, vi } from 'vitest';
import { API_KEY } from '../helpers/http-app.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import { parseEventStream } from '../helpers/event-stream.ts';
import type { StreamMessage } from '../helpers/event-stream.ts';
import { startLiveBatch } from './live.ts';
import type { LiveBatch } from './live.ts';
import { listen } from './raw-client.ts';

const names = (messages: readonly StreamMessage[]) => messages.map(({ event }) => event);

/** Listens over a real connection. */
async function connect(live: LiveBatch, port: number, headers: Record<string, string> = {}) {
  const request = get({
    host: '127.0.0.1',
    port,
    path: `/v1/batches/${live.id}/events`,
    headers: { authorization: `Bearer ${API_KEY}`, ...headers },
  });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  let ended = false;
  response.setEncoding('utf8').on('data', (data: string) => (text += data));
  response.once('end', () => (ended = true));
  return {
    response,
    text: () => text,
    messages: () => parseEventStream(text),
    ended: () => ended,
    leave: () => request.destroy(),
  };
}

describe('GET /v1/batches/{id}/events', () => {
  it('sends a snapshot, then events and progress, and ends with the batch', async () => {
    const live = await startLiveBatch(['a', 'held-1', 'held-2']);
    await expect.poll(async () => (await live.retrieve()).status).toBe('in_progress');
    const listener = await connect(live, await listen(live.app));
    await vi.waitFor(() => expect(listener.messages()).not.toEqual([]));
    expect(listener.response.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
      'x-request-id': expect.stringMatching(/^req_/),
    });
    expect(listener.messages()[0]).toMatchObject({
      event: 'snapshot',
      data: { id: live.id, object: 'batch', status: 'in_progress' },
    });
    live.release(['held-1']);
    await vi.waitFor(() =>
      expect(listener.messages().at(-1)).toMatchObject({
        event: 'progress',
        data: { object: 'batch.progress', status: 'in_progress', request_counts: { total: 3, completed: 2 } },
      }),
    );
    live.release();
    await vi.waitFor(() => expect(listener.ended()).toBe(true), 5000);
    const messages = listener.messages();
    const end = messages.find(({ event }) => event === 'batch.completed');
    expect(end).toMatchObject({
      id: expect.stringMatching(/^evt_[0-9a-f]{32}$/),
      data: {
        object: 'event',
        type: 'batch.completed',
        data: { id: live.id, request_counts: { total: 3, completed: 3, failed: 0 } },
      },
    });
    expect(messages.at(-1)).toMatchObject({ event: 'progress', data: { status: 'completed' } });
    expect(messages.filter(({ id }) => id !== undefined)).toHaveLength(1);
  });

  it('goes on after the last event that a listener knows, and tells one that knows all to stay away', async () => {
    const live = await startLiveBatch(['a']);
    await expect.poll(async () => (await live.retrieve()).status).toBe('completed');
    const events = await live.engine.context.store.readBatchEvents(live.id);
    const ask = async (lastEventId?: string) =>
      await live.call({
        url: `/v1/batches/${live.id}/events`,
        headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
      });
    const fresh = await ask();
    expect(fresh.statusCode).toBe(200);
    expect(names(parseEventStream(fresh.body))).toEqual(['snapshot']);
    expect(parseEventStream(fresh.body)[0]?.data).toEqual(await live.retrieve());
    const resumed = parseEventStream((await ask(events[0]?.id)).body);
    expect(names(resumed)).toEqual(['snapshot', 'batch.in_progress', 'batch.completed']);
    expect(resumed.map(({ id }) => id)).toEqual([undefined, events[1]?.id, events[2]?.id]);
    expect((await ask(events[2]?.id)).statusCode).toBe(204);
    expect(names(parseEventStream((await ask('evt_unknown')).body))).toEqual(['snapshot']);
  });

  it('shows that it is alive, and at most two messages of progress a second', async () => {
    const clock = createFakeClock();
    const live = await startLiveBatch(['held-1', 'held-2', 'held-3', 'held-4'], { clock });
    await vi.waitFor(async () => {
      clock.advance(10);
      expect(live.upstream.held).toHaveLength(4);
    });
    const listener = await connect(live, await listen(live.app));
    await vi.waitFor(() => expect(listener.messages()).toHaveLength(1));
    const progress = () => listener.messages().filter(({ event }) => event === 'progress').length;
    for (const name of ['held-1', 'held-2', 'held-3']) {
      live.release([name]);
      await vi.waitFor(() => {
        clock.advance(1);
        expect(live.upstream.held.some(({ request }) => request.body.includes(name))).toBe(false);
      });
    }
    await vi.waitFor(async () => {
      clock.advance(5);
      expect((await live.retrieve())['request_counts']).toMatchObject({ completed: 3 });
    });
    const before = progress();
    await vi.waitFor(() => {
      clock.advance(100);
      expect(progress()).toBeGreaterThan(before);
    });
    // Three lines, but one look: what changed between two looks is told once.
    expect(progress()).toBeLessThanOrEqual(2);
    await vi.waitFor(() => {
      clock.advance(5000);
      expect(listener.text()).toContain(': still here\n\n');
    });
    live.release();
    await vi.waitFor(() => {
      clock.advance(500);
      expect(listener.ended()).toBe(true);
    });
  });

  it('ends when the service stops, and leaves nothing behind when a listener leaves', async () => {
    const clock = createFakeClock();
    const live = await startLiveBatch(['held'], { clock });
    const port = await listen(live.app);
    await vi.waitFor(async () => {
      clock.advance(10);
      expect(live.upstream.held).toHaveLength(1);
    });
    const reads = vi.spyOn(live.engine.context.store, 'getBatch');
    const one = await connect(live, port);
    await vi.waitFor(() => expect(one.messages()).toHaveLength(1));
    one.leave();
    await vi.waitFor(() => {
      reads.mockClear();
      clock.advance(2000);
      expect(reads).not.toHaveBeenCalled();
    });
    const other = await connect(live, port);
    await vi.waitFor(() => expect(other.messages()).toHaveLength(1));
    await live.app.close();
    await vi.waitFor(() => expect(other.ended()).toBe(true));
    live.release();
  });
});
