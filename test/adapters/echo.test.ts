import type Anthropic from '@anthropic-ai/sdk';
import type OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { createEchoUpstream } from '../../src/adapters/upstream/index.ts';
import type { Outcome, Upstream } from '../../src/engine/ports.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';

const NOW = Date.UTC(2026, 10, 23, 12);

function ask(url: string, body: unknown, upstream = createEchoUpstream({ clock: createFakeClock(NOW) })) {
  return new Promise<Outcome>((resolve) => {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    upstream.send({ model: 'echo', url, body: bytes, idempotencyKey: 'batch_req_1' }, resolve);
  });
}

/** The status and the parsed body. */
async function answerTo(url: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const outcome = await ask(url, body);
  if (outcome.kind !== 'answer') throw new Error(outcome.kind);
  return { status: outcome.status, body: JSON.parse(outcome.body.toString()) };
}

interface Bodies {
  '/v1/chat/completions': OpenAI.ChatCompletion;
  '/v1/responses': OpenAI.Responses.Response;
  '/v1/completions': OpenAI.Completion;
  '/v1/embeddings': OpenAI.CreateEmbeddingResponse;
  '/v1/moderations': OpenAI.ModerationCreateResponse;
  '/v1/messages': Anthropic.Message;
}

/** The body of a 200, typed as the official SDK has it. */
async function bodyOf<U extends keyof Bodies>(url: U, request: unknown): Promise<Bodies[U]> {
  const { status, body } = await answerTo(url, request);
  expect(status).toBe(200);
  return body as Bodies[U];
}

describe('the echo upstream', () => {
  it('serves its own model only, and says what to set for others', () => {
    const upstream = createEchoUpstream();
    expect(upstream.refuses('echo')).toBeNull();
    expect(upstream.refuses('gpt-5')).toBe(
      "Only the built-in model 'echo' is available until UPSTREAM_BASE_URL names a model server.",
    );
  });

  it('answers with nothing but a status and a body, which may be retried as any other', async () => {
    expect(await ask('/v1/embeddings', { input: 'x' })).toMatchObject({
      kind: 'answer',
      status: 200,
      requestId: null,
      retryAfterMs: null,
      retryAfter: null,
      shouldRetry: null,
      contentEncoding: null,
    });
  });

  it('dates its answers by the system’s clock where it is given none', async () => {
    const before = Math.floor(Date.now() / 1000);
    const outcome = await ask('/v1/completions', { prompt: 'x' }, createEchoUpstream());
    const { created } = JSON.parse((outcome as Outcome & { kind: 'answer' }).body.toString()) as {
      created: number;
    };
    expect(created).toBeGreaterThanOrEqual(before);
  });
});

describe('a chat completion of echo', () => {
  it('repeats what the user said last', async () => {
    const body = await bodyOf('/v1/chat/completions', {
      model: 'echo',
      messages: [
        { role: 'system', content: 'You are an echo.' },
        { role: 'user', content: 'first' },
        { role: 'assistant', content: 'first' },
        { role: 'user', content: 'Grüezi  mitenand 🎉' },
      ],
    });
    expect(body).toEqual({
      id: 'chatcmpl-batch_req_1',
      object: 'chat.completion',
      created: NOW / 1000,
      model: 'echo',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Grüezi  mitenand 🎉', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
    });
  });

  it.each([
    [
      'the texts of several parts',
      [
        {
          role: 'user',
          content: [{ type: 'text', text: 'a ' }, { type: 'image_url' }, { type: 'text', text: 'b' }],
        },
      ],
      'a b',
    ],
    ['nothing where the user said nothing', [{ role: 'system', content: 'x' }], ''],
    ['nothing where the content is null', [{ role: 'user', content: null }], ''],
    ['nothing where there is no content', [{ role: 'user' }], ''],
  ])('repeats %s', async (_what, messages, expected) => {
    const body = await bodyOf('/v1/chat/completions', { messages });
    expect(body.choices[0]?.message.content).toBe(expected);
  });
});

describe('a message of echo', () => {
  const URL = '/v1/messages';

  it('repeats what the user said last', async () => {
    const body = await bodyOf(URL, {
      model: 'echo',
      max_tokens: 10,
      system: [{ type: 'text', text: 'You are an echo.' }],
      messages: [
        { role: 'user', content: 'first' },
        { role: 'assistant', content: 'first' },
        {
          role: 'user',
          content: [{ type: 'text', text: 'hello ' }, { type: 'image' }, { type: 'text', text: 'there' }],
        },
      ],
    });
    expect(body).toEqual({
      id: 'msg_batch_req_1',
      type: 'message',
      role: 'assistant',
      model: 'echo',
      content: [{ type: 'text', text: 'hello there' }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 8, output_tokens: 2 },
    });
  });

  it('counts a system prompt that is a text, too', async () => {
    const { usage } = await bodyOf(URL, {
      system: 'one two',
      messages: [{ role: 'user', content: 'three' }],
    });
    expect(usage.input_tokens).toBe(3);
  });

  it('is refused in the shape of its API', async () => {
    expect(await answerTo(URL, { messages: [] })).toEqual({
      status: 400,
      body: {
        type: 'error',
        error: { type: 'invalid_request_error', message: expect.stringContaining("'messages'") },
      },
    });
    expect(await answerTo(URL, '{')).toMatchObject({ status: 400, body: { type: 'error' } });
  });
});

describe('a response of echo', () => {
  it.each([
    ['a text', 'hello there'],
    ['a list of messages', [{ role: 'user', content: [{ type: 'input_text', text: 'hello there' }] }]],
  ])('repeats %s', async (_what, input) => {
    const body = await bodyOf('/v1/responses', { model: 'echo', input });
    expect(body).toMatchObject({
      id: 'resp_batch_req_1',
      object: 'response',
      status: 'completed',
      model: 'echo',
    });
    expect(body.output).toEqual([
      {
        id: 'msg_batch_req_1',
        type: 'message',
        status: 'completed',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'hello there', annotations: [] }],
      },
    ]);
    expect(body.usage).toEqual({
      input_tokens: 2,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 2,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 4,
    });
  });
});

describe('a completion of echo', () => {
  it('repeats each prompt', async () => {
    const body = await bodyOf('/v1/completions', { prompt: ['one', 'two three'] });
    expect(body).toEqual({
      id: 'cmpl-batch_req_1',
      object: 'text_completion',
      created: NOW / 1000,
      model: 'echo',
      choices: [
        { text: 'one', index: 0, logprobs: null, finish_reason: 'stop' },
        { text: 'two three', index: 1, logprobs: null, finish_reason: 'stop' },
      ],
      usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
    });
  });
});

describe('embeddings of echo', () => {
  const vectors = async (body: object) =>
    (await bodyOf('/v1/embeddings', body)).data.map((item) => item.embedding);

  it('are one vector for each input, of length 1, the same for the same text', async () => {
    const [a, b, again] = await vectors({ input: ['a', 'b', 'a'] });
    expect(a).toHaveLength(8);
    expect(Math.hypot(...(a ?? []))).toBeCloseTo(1);
    expect(again).toEqual(a);
    expect(b).not.toEqual(a);
    expect(await vectors({ input: 'a' })).toEqual([a]);
  });

  it('may be of tokens: one list of numbers is one input', async () => {
    expect(await vectors({ input: [1, 2, 3] })).toHaveLength(1);
    expect(await vectors({ input: [[1, 2], [3]] })).toHaveLength(2);
  });

  it('are packed as base64 where that is asked for', async () => {
    const [floats] = await vectors({ input: 'a' });
    const [packed] = await vectors({ input: 'a', encoding_format: 'base64' });
    const bytes = Uint8Array.from(Buffer.from(String(packed), 'base64'));
    expect([...new Float32Array(bytes.buffer)]).toEqual(floats);
  });

  it('tell their list and their usage', async () => {
    const body = await bodyOf('/v1/embeddings', {
      input: ['a b', 'c'],
    });
    expect(body).toMatchObject({
      object: 'list',
      model: 'echo',
      usage: { prompt_tokens: 3, total_tokens: 3 },
    });
    expect(body.data).toMatchObject([
      { object: 'embedding', index: 0 },
      { object: 'embedding', index: 1 },
    ]);
  });
});

describe('a moderation of echo', () => {
  it.each([
    ['a text', 'x', 1],
    ['a list of texts', ['x', 'y'], 2],
    ['a list of parts', [{ type: 'text', text: 'x' }, { type: 'image_url' }], 1],
  ])('flags nothing of %s', async (_what, input, results) => {
    const body = await bodyOf('/v1/moderations', { input });
    expect(body).toMatchObject({ id: 'modr-batch_req_1', model: 'echo' });
    expect(body.results).toHaveLength(results);
    expect(body.results[0]).toMatchObject({
      flagged: false,
      categories: { violence: false, 'self-harm/intent': false },
      category_scores: { violence: 0 },
    });
  });
});

describe('echo refuses', () => {
  it.each([
    ['/v1/chat/completions', { model: 'echo' }, 'messages'],
    ['/v1/chat/completions', { messages: [] }, 'messages'],
    ['/v1/chat/completions', { messages: ['hello'] }, 'messages.0'],
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 5 }] }, 'messages.0.content'],
    ['/v1/responses', {}, 'input'],
    ['/v1/completions', { prompt: 5 }, 'prompt'],
    ['/v1/embeddings', { input: [] }, 'input'],
    ['/v1/embeddings', { input: 'a', encoding_format: 'xml' }, 'encoding_format'],
    ['/v1/moderations', { input: [5] }, 'input'],
  ])('with 400 for %s a body of %j', async (url, body, param) => {
    const answer = await answerTo(url, body);
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({
      error: {
        message: expect.stringContaining(`'${param}'`),
        type: 'invalid_request_error',
        param,
        code: null,
      },
    });
  });

  it.each(['{"messages":', '[]', 'null', '5'])('with 400 a body of %s', async (body) => {
    const answer = await answerTo('/v1/chat/completions', body);
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { type: 'invalid_request_error', param: null } },
    });
  });

  it('with 404 an endpoint that it does not have', async () => {
    expect(await answerTo('/v1/images/generations', { prompt: 'a cat' })).toEqual({
      status: 404,
      body: {
        error: {
          message: "The model 'echo' does not serve /v1/images/generations.",
          type: 'invalid_request_error',
          param: null,
          code: null,
        },
      },
    });
  });
});

describe('a call of echo', () => {
  function start(upstream: Upstream) {
    const told: Outcome[] = [];
    const request = {
      model: 'echo',
      url: '/v1/embeddings',
      body: Buffer.from('{"input":"x"}'),
      idempotencyKey: 'k',
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    const abort = upstream.send(request, (outcome) => {
      told.push(outcome);
      resolve();
    });
    return { told, abort, ended: promise };
  }

  it('is settled once, never before send has returned', async () => {
    const call = start(createEchoUpstream());
    expect(call.told).toEqual([]);
    await call.ended;
    call.abort();
    await new Promise((resolve) => setImmediate(resolve));
    expect(call.told).toMatchObject([{ kind: 'answer' }]);
  });

  it('can be aborted', async () => {
    const call = start(createEchoUpstream());
    call.abort();
    await call.ended;
    expect(call.told).toEqual([{ kind: 'aborted' }]);
  });

  it('is aborted where the upstream is closed, before or after it is sent', async () => {
    const upstream = createEchoUpstream();
    const before = start(upstream);
    await upstream.close();
    expect(before.told).toEqual([{ kind: 'aborted' }]);
    const after = start(upstream);
    await after.ended;
    expect(after.told).toEqual([{ kind: 'aborted' }]);
  });
});
