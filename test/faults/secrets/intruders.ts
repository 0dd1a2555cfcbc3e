/** Requests with keys in all wrong places, and requests that are none. */
import type { Canaries } from './canaries.ts';
import type { Answer, Visitor } from './wire.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** On every route, since each could log or repeat what it is sent. */
const TARGETS: readonly (readonly [method: string, target: string])[] = [
  ['GET', '/health/live'],
  ['GET', '/health/ready'],
  ['GET', '/v1/files'],
  ['POST', '/v1/files'],
  ['GET', '/v1/files/file-unknown'],
  ['DELETE', '/v1/files/file-unknown'],
  ['GET', '/v1/files/file-unknown/content'],
  ['GET', '/v1/batches'],
  ['POST', '/v1/batches'],
  ['GET', '/v1/batches/batch_unknown'],
  ['POST', '/v1/batches/batch_unknown/cancel'],
  ['GET', '/v1/admin/keys'],
  ['POST', '/v1/admin/keys'],
  ['GET', '/v1/admin/keys/key_unknown'],
  ['DELETE', '/v1/admin/keys/key_unknown'],
  ['POST', '/v1/admin/keys/key_unknown/rotate'],
  ['POST', '/v1/batches/batch_unknown/retry'],
  ['DELETE', '/v1/batches/batch_unknown'],
  ['POST', '/v1/batches/validate'],
  ['GET', '/v1/batches/batch_unknown/results'],
  ['GET', '/v1/batches/batch_unknown/events'],
  ['POST', '/v1/uploads'],
  ['POST', '/v1/uploads/upload_unknown/parts'],
  ['POST', '/v1/uploads/upload_unknown/complete'],
  ['POST', '/v1/uploads/upload_unknown/cancel'],
  ['GET', '/v1/webhook_event_types'],
  ['GET', '/v1/webhook_endpoints'],
  ['POST', '/v1/webhook_endpoints'],
  ['GET', '/v1/webhook_endpoints/whe_unknown'],
  ['POST', '/v1/webhook_endpoints/whe_unknown'],
  ['DELETE', '/v1/webhook_endpoints/whe_unknown'],
  ['POST', '/v1/webhook_endpoints/whe_unknown/rotate_secret'],
  ['POST', '/v1/webhook_endpoints/whe_unknown/test'],
  ['POST', '/v1/webhook_endpoints/whe_unknown/replay'],
  ['GET', '/v1/webhook_endpoints/whe_unknown/deliveries'],
  ['POST', '/v1/webhook_endpoints/whe_unknown/deliveries/whd_unknown/replay'],
  ['GET', '/v1/unknown'],
  ['PATCH', '/v1/files'],
];

/** On these a key may also stand in `x-api-key`. */
const MESSAGE_TARGETS: readonly (readonly [method: string, target: string])[] = [
  ['GET', '/v1/messages/batches'],
  ['POST', '/v1/messages/batches'],
  ['GET', '/v1/messages/batches/msgbatch_unknown'],
  ['DELETE', '/v1/messages/batches/msgbatch_unknown'],
  ['POST', '/v1/messages/batches/msgbatch_unknown/cancel'],
  ['GET', '/v1/messages/batches/msgbatch_unknown/results'],
  ['POST', '/v1/messages'],
];

function messageWays({ apiKey, wrongKey }: Canaries): readonly Readonly<Record<string, string>>[] {
  const key = `sk-${apiKey.text}`;
  const wrong = `sk-${wrongKey.text}`;
  return [
    { 'x-api-key': wrong },
    { 'x-api-key': `${key}x` },
    { 'x-api-key': `Bearer ${key}` },
    { 'x-api-key': `${key}, ${key}` },
    { 'x-api-key': wrong, authorization: `Bearer ${key}` },
    { authorization: `Bearer ${wrong}`, 'api-key': key },
    { 'anthropic-auth-token': key },
  ];
}

/** The keys of all kinds, in headers of all kinds. */
function ways({ apiKey, wrongKey, secondApiKey }: Canaries): readonly Readonly<Record<string, string>>[] {
  const key = `sk-${apiKey.text}`;
  const wrong = `sk-${wrongKey.text}`;
  return [
    { authorization: `Bearer ${wrong}` },
    { authorization: `Bearer ${key}x` },
    { authorization: `Bearer ${key} ${wrong}` },
    { authorization: `Bearer  ${wrong}` },
    { authorization: `Bearer${key}` },
    { authorization: key },
    { authorization: `Token ${key}` },
    { authorization: `Basic ${base64(`user:${wrong}`)}` },
    { authorization: `Basic ${base64(wrong)}` },
    { authorization: `Basic ${base64(wrong)}x!` },
    { authorization: `Basic ${key}` },
    { authorization: `Digest username="${wrong}", response="${key}"` },
    { cookie: `key=${key}; other=sk-${secondApiKey.text}` },
    { 'x-api-key': key, 'api-key': wrong, 'proxy-authorization': `Bearer ${key}` },
    { 'openai-organization': key, referer: `https://x.example/?key=${key}`, 'user-agent': key, origin: key },
    { authorization: `Bearer sk-é${wrong}` },
  ];
}

/** Every way on some route, every route by some ways. `each`: take every so many of them. */
export async function tryKeys(
  visitor: Visitor,
  canaries: Canaries,
  each: number,
): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  let number = 0;
  const query = `?api_key=sk-${canaries.apiKey.text}&token=sk-${canaries.wrongKey.text}`;
  const all = [
    { targets: TARGETS, headersOf: ways(canaries) },
    { targets: MESSAGE_TARGETS, headersOf: messageWays(canaries) },
  ];
  for (const { targets, headersOf } of all) {
    for (const [at, headers] of headersOf.entries()) {
      for (const [method, target] of targets) {
        // Else only some ways would meet some routes where one number is a multiple of the other.
        if ((number++ + at) % each !== 0) continue;
        const request = { method, target: target + query, headers };
        answers.push(await visitor.send('a key in a wrong place', request));
      }
    }
  }
  return answers;
}

/** What no HTTP client would send. */
export async function talkNonsense(visitor: Visitor, canaries: Canaries): Promise<void> {
  const key = `sk-${canaries.apiKey.text}`;
  const { prompt } = canaries;
  const withKey = `host: x\r\nauthorization: Bearer ${key}\r\n`;
  const nonsense = [
    `GET /v1/files?key=${key} HTTP/9.9\r\n${withKey}\r\n`,
    `GET /v1/files\r\n${withKey}\r\n`,
    `GET  /v1/files HTTP/1.1\r\n${withKey}\r\n`,
    `${key} ${key} ${key}\r\n\r\n`,
    `GET /v1/files HTTP/1.1\r\n${withKey}bad header\r\n\r\n`,
    `GET /v1/files HTTP/1.1\r\n${withKey}x: a\u0000b\r\n\r\n`,
    `GET /v1/files HTTP/1.1\r\nhost: x\r\nauthorization : Bearer ${key}\r\n\r\n`,
    `GET /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer\r\n ${key}\r\n\r\n`,
    `GET /v1/files HTTP/1.1\r\n${withKey}x-filler: ${'x'.repeat(20_000)}\r\n\r\n`,
    `GET /v1/files HTTP/1.1\r\nauthorization: Bearer ${key}\r\n\r\n`,
    `GET http://${key}:${key}@service.test/v1/files?key=${key} HTTP/1.1\r\n${withKey}connection: close\r\n\r\n`,
    `GET /v1/fi%fftes?key=${key} HTTP/1.1\r\n${withKey}connection: close\r\n\r\n`,
    `GET /v1/files#${key} HTTP/1.1\r\n${withKey}connection: close\r\n\r\n`,
    `CONNECT ${key}:443 HTTP/1.1\r\n${withKey}\r\n`,
    `POST /v1/batches HTTP/1.1\r\n${withKey}expect: ${key}\r\ncontent-length: 5\r\n\r\n`,
    `POST /v1/batches HTTP/1.1\r\n${withKey}content-length: ${key}\r\n\r\n`,
    `POST /v1/batches HTTP/1.1\r\n${withKey}transfer-encoding: ${key}\r\n\r\n`,
    `POST /v1/batches HTTP/1.1\r\n${withKey}content-type: ${key}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`,
    `POST /v1/batches HTTP/1.1\r\n${withKey}transfer-encoding: chunked\r\n\r\n${prompt.text}\r\n`,
    `POST /v1/files HTTP/1.1\r\n${withKey}content-type: multipart/form-data; boundary="${key}\r\nconnection: close\r\n\r\n`,
    `GET /v1/files HTTP/1.1\r\n${withKey}upgrade: ${key}\r\nconnection: upgrade, close\r\n\r\n`,
    `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${key}`,
    `\u0016\u0003\u0001${key}`,
    `${prompt.text}\r\n\r\n`,
  ];
  for (const bytes of nonsense) await visitor.sendBytes('nonsense', Buffer.from(bytes, 'latin1'));
  await visitor.leaveAfter(
    `POST /v1/batches HTTP/1.1\r\n${withKey}content-length: 999\r\n\r\n{"a": "${prompt.text}"`,
  );
}
