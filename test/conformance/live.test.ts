/** What a client sees of a batch while it runs: `/v1/batches/{id}/events` and `/v1/batches/{id}/results`. */
import { Agent, EventSource } from 'undici';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { parseEventStream } from '../helpers/event-stream.ts';
import type { StreamMessage } from '../helpers/event-stream.ts';
import { createGate, errorOf, KEY, line, refusal, useService } from './service.ts';
import { BATCH_KEYS, batchObject, resultLine } from './shapes.ts';

const gate = createGate();
/** Batches are looked at twice a second. */
const PATIENTLY = { timeout: 10_000 };
const service = useService({ WEBHOOK_ALLOW_PRIVATE: 'true' }, async (request) => {
  const { do: what } = request.json() as { do: string };
  if (what === 'hold') await gate.wait();
  return what === 'refuse' ? { status: 422, body: { error: { message: 'no' } } } : { body: { what } };
});

// Also where a case fails before it does.
afterEach(() => gate.release());

const act = (customId: string, what = 'answer') => line(customId, { body: { model: 'm', do: what } });
const unknown = refusal(404, "No batch found with id 'batch_unknown'.");
const malformed = refusal(
  400,
  "Invalid 'batch_id': 'x-1'. Expected an ID that begins with 'batch'.",
  'batch_id',
  'invalid_value',
);

/** Submits lines, of which those with `hold` must all have been sent before this answers. */
async function submitHeld(lines: readonly (readonly [string, string?])[]) {
  const held = lines.filter(([, what]) => what === 'hold').length;
  const { id } = await service.submit(lines.map(([customId, what]) => act(customId, what)));
  await expect.poll(() => gate.waiting, PATIENTLY).toBe(held);
  return id;
}

const counts = async (id: string) => (await service.client.batches.retrieve(id)).request_counts;

/** Lets everything go that is held, and waits for the end of a batch. */
async function finish(id: string) {
  gate.release();
  return await service.end(id);
}

interface Listener {
  readonly headers: Headers;
  messages(): StreamMessage[];
  readonly ended: Promise<void>;
}

async function listen(id: string): Promise<Listener> {
  const controller = new AbortController();
  onTestFinished(() => controller.abort());
  const { headers, body } = await fetch(`${service.url}/v1/batches/${id}/events`, {
    headers: { authorization: `Bearer ${KEY}` },
    signal: controller.signal,
  });
  let text = '';
  async function read(): Promise<void> {
    if (body === null) return;
    for await (const part of body.pipeThrough(new TextDecoderStream())) text += part;
  }
  const ended = read();
  ended.catch(() => {});
  return { headers, messages: () => parseEventStream(text), ended };
}

/** The stream of a batch that has ended. */
async function replay(id: string, lastEventId?: string) {
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
  const { status, text } = await service.call(`/v1/batches/${id}/events`, { headers });
  return { status, messages: parseEventStream(text) };
}

describe('the events of a batch', () => {
  it('begin with a snapshot, tell each event and the progress, and end with the batch', async () => {
    const id = await submitHeld([['a'], ['b', 'refuse'], ['c', 'hold'], ['d', 'hold']]);
    const listener = await listen(id);
    expect(listener.headers.get('content-type')).toBe('text/event-stream');
    expect(listener.headers.get('cache-control')).toBe('no-cache');
    expect(listener.headers.get('x-request-id')).toMatch(/^req_/);
    await expect.poll(() => listener.messages().length, PATIENTLY).toBeGreaterThan(0);
    const [snapshot] = listener.messages();
    expect(snapshot).toMatchObject({ id: undefined, event: 'snapshot', data: { id, status: 'in_progress' } });
    batchObject.parse(snapshot?.data);
    expect(Object.keys(snapshot?.data ?? {})).toEqual(BATCH_KEYS);

    gate.release(1);
    await expect
      .poll(() => listener.messages().at(-1), PATIENTLY)
      .toMatchObject({
        event: 'progress',
        data: { object: 'batch.progress', id, request_counts: { total: 4, completed: 2, failed: 1 } },
      });
    const batch = await finish(id);
    await listener.ended;
    const events = listener.messages().filter((message) => message.id !== undefined);
    expect(events).toEqual([
      {
        id: expect.stringMatching(/^evt_[0-9a-f]{32}$/),
        event: 'batch.completed',
        data: {
          id: events[0]?.id,
          object: 'event',
          created_at: batch.completed_at,
          type: 'batch.completed',
          data: {
            id,
            request_counts: batch.request_counts,
            output_file_id: batch.output_file_id,
            error_file_id: batch.error_file_id,
          },
        },
      },
    ]);
    expect(listener.messages().at(-1)).toMatchObject({ event: 'progress', data: { status: 'completed' } });
  });

  it('are told of from the one on that a client names, and all of an ended batch at once', async () => {
    const endpoint = await service.call('/v1/webhook_endpoints', {
      method: 'POST',
      json: {
        name: 'x',
        url: 'http://127.0.0.1:9/',
        event_types: ['batch.queued', 'batch.in_progress', 'batch.completed'],
      },
    });
    const { id } = await service.submit([act('a')]);
    const batch = await service.end(id);
    const { id: endpointId } = endpoint.json as { id: string };
    const { json } = await service.call(`/v1/webhook_endpoints/${endpointId}/deliveries`);
    const { data } = json as { data: { event_id: string; event_type: string }[] };
    const all = data.map(({ event_id: eventId, event_type: type }) => [eventId, type]).toReversed();
    expect(all.map(([, type]) => type)).toEqual(['batch.queued', 'batch.in_progress', 'batch.completed']);

    const named = (messages: readonly StreamMessage[]) =>
      messages.map((message) => [message.id, message.event]);
    const fresh = await replay(id);
    expect(fresh.messages).toEqual([{ id: undefined, event: 'snapshot', data: batch }]);
    const [queued, running, completed] = all.map(([eventId]) => eventId ?? '');
    const snapshot = [undefined, 'snapshot'];
    expect(named((await replay(id, queued)).messages)).toEqual([snapshot, ...all.slice(1)]);
    expect(named((await replay(id, running)).messages)).toEqual([snapshot, ...all.slice(2)]);
    // Whoever knows all of it need not come again: to a browser no other answer says so.
    expect(await replay(id, completed)).toEqual({ status: 204, messages: [] });
    expect(await replay(id, 'evt_unknown')).toEqual(fresh);
  });

  it('tell of progress at most twice a second', async () => {
    const lines = Array.from({ length: 40 }, (_, n) => [`l${n}`, 'hold'] as const);
    const id = await submitHeld(lines);
    const from = performance.now();
    const listener = await listen(id);
    const progress = () => listener.messages().filter(({ event }) => event === 'progress').length;
    await expect
      .poll(() => (gate.release(1), progress()), { ...PATIENTLY, interval: 20 })
      .toBeGreaterThanOrEqual(2);
    expect(progress()).toBeLessThanOrEqual(Math.floor((performance.now() - from) / 500) + 1);
    await finish(id);
    await listener.ended;
    expect(progress()).toBeLessThanOrEqual(Math.floor((performance.now() - from) / 500) + 1);
  });

  it('are read by an EventSource, which comes back once and then stays away', async () => {
    const id = await submitHeld([['a', 'hold']]);
    const agent = new Agent();
    const authorized = agent.compose((dispatch) => (options, handler) => {
      const headers = { ...(options.headers as Record<string, string>), authorization: `Bearer ${KEY}` };
      return dispatch({ ...options, headers }, handler);
    });
    const source = new EventSource(`${service.url}/v1/batches/${id}/events`, {
      node: { dispatcher: authorized },
    });
    onTestFinished(async () => {
      source.close();
      await agent.close();
    });
    const heard: string[] = [];
    for (const type of ['snapshot', 'progress', 'batch.completed']) {
      source.addEventListener(type, (event) => {
        heard.push(type);
        expect(JSON.parse((event as Event & { readonly data: string }).data)).toBeTypeOf('object');
      });
    }
    await expect.poll(() => heard[0], PATIENTLY).toBe('snapshot');
    await finish(id);
    await expect.poll(() => source.readyState, PATIENTLY).toBe(EventSource.CLOSED);
    expect(heard.filter((type) => type !== 'progress')).toEqual(['snapshot', 'batch.completed']);
  });

  it('of a batch that is cancelled or fails end as well', async () => {
    const held = await submitHeld([['a', 'hold']]);
    const listener = await listen(held);
    await service.client.batches.cancel(held);
    await finish(held);
    await listener.ended;
    expect(listener.messages().map(({ event }) => event)).toContain('batch.cancelled');

    const { id } = await service.submit(['{"custom_id":"a"}']);
    expect((await service.end(id)).status).toBe('failed');
    expect((await replay(id)).messages).toMatchObject([{ event: 'snapshot', data: { status: 'failed' } }]);
  });
});

/** The results as a client reads them: the custom_ids and the headers that matter. */
async function results(id: string, query = '') {
  const { status, headers, text } = await service.call(`/v1/batches/${id}/results${query}`);
  expect(status, text).toBe(200);
  expect(headers.get('content-type')).toBe('application/jsonl');
  const lines = text.split('\n');
  expect(lines.pop()).toBe('');
  return {
    ids: lines.map((each) => resultLine.parse(JSON.parse(each)).custom_id),
    incomplete: headers.get('x-incomplete'),
    next: headers.get('x-next-after'),
  };
}

describe('the results of a batch', () => {
  it('are those that are finished while it runs, and those that were finished since', async () => {
    const id = await submitHeld([['a'], ['b', 'refuse'], ['c', 'hold'], ['d', 'hold']]);
    await expect.poll(() => counts(id), PATIENTLY).toEqual({ total: 4, completed: 1, failed: 1 });
    const first = await results(id);
    expect(first.ids.toSorted()).toEqual(['a', 'b']);
    expect(first).toMatchObject({ incomplete: 'true', next: expect.stringMatching(/^\d+$/) });
    expect((await results(id, '?status=succeeded')).ids).toEqual(['a']);
    expect((await results(id, '?status=failed')).ids).toEqual(['b']);
    expect((await results(id, '?status=&after=')).ids).toHaveLength(2);
    expect(await results(id, `?after=${first.next}`)).toEqual({ ...first, ids: [] });

    gate.release(1);
    await expect.poll(() => counts(id), PATIENTLY).toEqual({ total: 4, completed: 2, failed: 1 });
    const second = await results(id, `?after=${first.next}`);
    expect(second.ids).toHaveLength(1);
    expect(second.incomplete).toBe('true');
    expect((await results(id, `?after=${first.next}&status=failed`)).ids).toEqual([]);
    await finish(id);
    expect(await results(id)).toEqual({ ids: ['a', 'c', 'd', 'b'], incomplete: null, next: null });
    expect((await results(id, '?status=succeeded')).ids).toEqual(['a', 'c', 'd']);
    expect((await results(id, '?status=failed')).ids).toEqual(['b']);

    const refused = await service.call(`/v1/batches/${id}/results?after=${first.next}`);
    expect(errorOf(refused)).toEqual(
      refusal(409, "The batch has ended, and its results are in input order now. Read them without 'after'."),
    );
    expect(refused.headers.get('x-should-retry')).toBe('false');
  });

  it('are the lines of its files, byte for byte', async () => {
    const { id } = await service.submit([act('a'), act('b', 'refuse')]);
    const { output_file_id: output, error_file_id: errors } = await service.end(id);
    const textOf = async (fileId: string | null | undefined) =>
      await (await service.client.files.content(fileId ?? '')).text();
    const { text } = await service.call(`/v1/batches/${id}/results`);
    expect(text).toBe((await textOf(output)) + (await textOf(errors)));
    await service.client.files.delete(output ?? '');
    expect(errorOf(await service.call(`/v1/batches/${id}/results`))).toEqual(
      refusal(404, `No such File object: ${output}`, 'id'),
    );
  });

  it('are none where it failed', async () => {
    const { id } = await service.submit(['{"custom_id":"a"}']);
    await service.end(id);
    expect(await results(id)).toEqual({ ids: [], incomplete: null, next: null });
  });

  const badCursor = (after: string) =>
    refusal(
      400,
      `Invalid 'after': '${after}'. Expected the x-next-after of an earlier answer.`,
      'after',
      'invalid_value',
    );
  it.each<[string, ReturnType<typeof refusal>]>([
    [
      'status=done',
      refusal(
        400,
        "Invalid value: 'done'. Supported values are: 'succeeded' and 'failed'.",
        'status',
        'invalid_value',
      ),
    ],
    ['after=abc', badCursor('abc')],
    ['after=-1', badCursor('-1')],
    ['after=1.5', badCursor('1.5')],
    ['after=batch_req_1', badCursor('batch_req_1')],
    [`after=${'9'.repeat(16)}`, badCursor('9'.repeat(16))],
  ])('are refused with ?%s', async (query, expected) => {
    const { id } = await service.submit(['{"custom_id":"a"}']);
    expect(errorOf(await service.call(`/v1/batches/${id}/results?${query}`))).toEqual(expected);
    await service.end(id);
  });
});

describe.each(['events', 'results'])('/v1/batches/{id}/%s', (part) => {
  it('does not know unknown batches, nor Message Batches', async () => {
    const ask = async (id: string) => errorOf(await service.call(`/v1/batches/${id}/${part}`));
    expect(await ask('batch_unknown')).toEqual(unknown);
    expect(await ask('x-1')).toEqual(malformed);
    const { id } = await service.anthropic.messages.batches.create({
      requests: [{ custom_id: 'a', params: { model: 'm', max_tokens: 1, messages: [] } }],
    });
    const hidden = id.replace('msgbatch_', 'batch_');
    expect(await ask(hidden)).toEqual(refusal(404, `No batch found with id '${hidden}'.`));
  });

  it.each(['POST', 'PUT', 'DELETE'])('knows no %s', async (method) => {
    const path = `/v1/batches/batch_unknown/${part}`;
    expect(errorOf(await service.call(path, { method }))).toEqual(
      refusal(404, `Invalid URL (${method} ${path})`),
    );
  });
});
