/** What the model `echo` answers: pure, and the same for the same request. */
import { createHash } from 'node:crypto';
import { z } from 'zod';

export interface EchoRequest {
  /** The line's `url`. */
  readonly url: string;
  readonly body: Uint8Array;
  /** Part of the answer's id. */
  readonly id: string;
  /** Unix seconds. */
  readonly createdAt: number;
}

export interface EchoAnswer {
  readonly status: number;
  /** To be printed as JSON. */
  readonly body: unknown;
}

type Endpoint = (body: unknown, request: EchoRequest) => unknown;

const MESSAGES = '/v1/messages';

const endpoints = new Map<string, Endpoint>([
  ['/v1/chat/completions', chatCompletion],
  ['/v1/responses', response],
  ['/v1/completions', completion],
  ['/v1/embeddings', embeddings],
  ['/v1/moderations', moderation],
  [MESSAGES, anthropicMessage],
]);

/** Answers in the endpoint's shape; 400 where the body does not fit it, 404 for an endpoint that echo has not. */
export function answerEcho(request: EchoRequest): EchoAnswer {
  const endpoint = endpoints.get(request.url);
  if (endpoint === undefined)
    return refuse(request, 404, `The model 'echo' does not serve ${request.url}.`, null);
  try {
    return { status: 200, body: endpoint(JSON.parse(Buffer.from(request.body).toString()), request) };
  } catch (error) {
    if (error instanceof SyntaxError) return refuse(request, 400, 'The body is not valid JSON.', null);
    if (!(error instanceof z.ZodError)) throw error;
    return refuseBody(request, error);
  }
}

function refuseBody(request: EchoRequest, error: z.ZodError): EchoAnswer {
  const { path = [], message = error.message } = error.issues[0] ?? {};
  if (path.length === 0) return refuse(request, 400, `Invalid body: ${message}.`, null);
  const param = path.join('.');
  return refuse(request, 400, `Invalid value for '${param}': ${message}.`, param);
}

function refuse({ url }: EchoRequest, status: number, message: string, param: string | null): EchoAnswer {
  const type = 'invalid_request_error';
  if (url === MESSAGES) return { status, body: { type: 'error', error: { type, message } } };
  return { status, body: { error: { message, type, param, code: null } } };
}

/** Text, or a list of parts of which those with text count. */
const content = z.union([z.string(), z.array(z.looseObject({ text: z.string().optional() })), z.null()]);
const message = z.looseObject({ role: z.string().optional(), content: content.optional() });
/** A text, texts, or the same as token numbers. */
const oneOrMoreTexts = z.union([
  z.string(),
  z.array(z.string()).min(1),
  z.array(z.number()).min(1),
  z.array(z.array(z.number())).min(1),
]);

const chatBody = z.looseObject({ messages: z.array(message).min(1) });
const messagesBody = z.looseObject({ messages: z.array(message).min(1), system: content.optional() });
const responseBody = z.looseObject({ input: z.union([z.string(), z.array(message).min(1)]) });
const completionBody = z.looseObject({ prompt: oneOrMoreTexts });
const embeddingsBody = z.looseObject({
  input: oneOrMoreTexts,
  encoding_format: z.enum(['float', 'base64']).default('float'),
});
const moderationBody = z.looseObject({
  // A list of parts (text and images) is one input; a list of texts is several.
  input: z.union([
    z.string(),
    z.array(z.string()).min(1),
    z.array(z.looseObject({ type: z.string() })).min(1),
  ]),
});

function chatCompletion(body: unknown, { id, createdAt }: EchoRequest): unknown {
  const { messages } = chatBody.parse(body);
  const text = lastUserText(messages);
  return {
    id: `chatcmpl-${id}`,
    object: 'chat.completion',
    created: createdAt,
    model: 'echo',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: promptUsage(countTokens(messages.map(textOfMessage)), countTokens([text])),
  };
}

function anthropicMessage(body: unknown, { id }: EchoRequest): unknown {
  const { messages, system } = messagesBody.parse(body);
  const text = lastUserText(messages);
  return {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model: 'echo',
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: {
      input_tokens: countTokens([{ content: system }, ...messages].map(textOfMessage)),
      output_tokens: countTokens([text]),
    },
  };
}

function response(body: unknown, { id, createdAt }: EchoRequest): unknown {
  const { input } = responseBody.parse(body);
  const messages = typeof input === 'string' ? [{ role: 'user', content: input }] : input;
  const text = lastUserText(messages);
  const inputTokens = countTokens(messages.map(textOfMessage));
  const outputTokens = countTokens([text]);
  return {
    id: `resp_${id}`,
    object: 'response',
    created_at: createdAt,
    status: 'completed',
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: {},
    model: 'echo',
    output: [
      {
        id: `msg_${id}`,
        type: 'message',
        status: 'completed',
        role: 'assistant',
        content: [{ type: 'output_text', text, annotations: [] }],
      },
    ],
    parallel_tool_calls: true,
    tool_choice: 'auto',
    tools: [],
    usage: {
      input_tokens: inputTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: outputTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: inputTokens + outputTokens,
    },
  };
}

function completion(body: unknown, { id, createdAt }: EchoRequest): unknown {
  const prompts = textsOf(completionBody.parse(body).prompt);
  const tokens = countTokens(prompts);
  return {
    id: `cmpl-${id}`,
    object: 'text_completion',
    created: createdAt,
    model: 'echo',
    choices: prompts.map((text, index) => ({ text, index, logprobs: null, finish_reason: 'stop' })),
    usage: promptUsage(tokens, tokens),
  };
}

function embeddings(body: unknown): unknown {
  const { input, encoding_format } = embeddingsBody.parse(body);
  const texts = textsOf(input);
  const tokens = countTokens(texts);
  return {
    object: 'list',
    data: texts.map((text, index) => {
      const vector = vectorOf(text);
      const embedding =
        encoding_format === 'float' ? [...vector] : Buffer.from(vector.buffer).toString('base64');
      return { object: 'embedding', index, embedding };
    }),
    model: 'echo',
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

const MODERATION_CATEGORIES = [
  'harassment',
  'harassment/threatening',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm',
  'self-harm/instructions',
  'self-harm/intent',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
];

function moderation(body: unknown, { id }: EchoRequest): unknown {
  const { input } = moderationBody.parse(body);
  const inputs = typeof input !== 'string' && typeof input[0] === 'string' ? input.length : 1;
  const result = { flagged: false, categories: eachCategory(false), category_scores: eachCategory(0) };
  return { id: `modr-${id}`, model: 'echo', results: Array.from({ length: inputs }, () => result) };
}

function eachCategory(value: unknown): unknown {
  return Object.fromEntries(MODERATION_CATEGORIES.map((name) => [name, value]));
}

type Message = z.infer<typeof message>;

/** What the last message of the user says; empty where there is none. */
function lastUserText(messages: readonly Message[]): string {
  const last = messages.findLast((message) => message.role === 'user');
  return last === undefined ? '' : textOfMessage(last);
}

function textOfMessage({ content }: Message): string {
  if (content === undefined || content === null) return '';
  return typeof content === 'string' ? content : content.map((part) => part.text ?? '').join('');
}

/** Each text of an input; token numbers become a text of numbers. */
function textsOf(input: z.infer<typeof oneOrMoreTexts>): string[] {
  if (typeof input === 'string') return [input];
  if (typeof input[0] === 'number') return [input.join(' ')];
  return input.map((item) => (Array.isArray(item) ? item.join(' ') : String(item)));
}

/** Words, which is near enough for a model that has no tokens. */
function countTokens(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + (text.match(/\S+/g)?.length ?? 0), 0);
}

function promptUsage(promptTokens: number, completionTokens: number): unknown {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

const DIMENSIONS = 8;

/** A vector of length 1 that only depends on the text. */
function vectorOf(text: string): Float32Array {
  const hash = createHash('sha256').update(text).digest();
  const values = Array.from({ length: DIMENSIONS }, (_, at) => hash.readInt32LE(at * 4));
  const length = Math.hypot(...values) || 1;
  return Float32Array.from(values, (value) => value / length);
}
