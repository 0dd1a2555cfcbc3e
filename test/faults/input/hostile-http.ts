/** Requests that are odd as HTTP: targets, methods, versions, and such as smuggle another one in. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Trials } from '../harness/fault.ts';
import { waitFor } from '../harness/wait.ts';
import type { World } from '../harness/world.ts';
import { assertClean, assertRefused, ask, exchange, requestBytes } from './http.ts';
import { assertAlive } from './still-works.ts';

const TARGETS: readonly string[] = [
  '/',
  '//',
  '///',
  '//evil.test/v1/files',
  '//evil.test/..',
  '/\\evil.test',
  '/\\/evil.test',
  '/v1//files',
  '/v1/files/',
  '/V1/FILES',
  '/v1/files/..',
  '/v1/files/../batches/x',
  '/v1/./files/x',
  '/v1/files/%2e%2e/x',
  '/v1/files/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  '/v1/files/%252e%252e%252f',
  '/v1/files/..%2f..%2f..%2fetc%2fpasswd/content',
  '/v1/files/..%5c..%5cboot.ini/content',
  '/v1/files/%00',
  '/v1/files/a%00b/content',
  '/v1/files/%',
  '/v1/files/%2',
  '/v1/files/%zz',
  '/v1/files/%c0%ae%c0%ae',
  '/v1/files/%ff',
  '/v1/files/%ed%a0%80',
  '/v1/files/%0d%0ax-injected:%20b',
  '/v1/files/a;b=c',
  '/v1/files/a/content/',
  '/v1/files/a/content/b',
  '/v1%2ffiles/a',
  '/%76%31/files/a',
  '/v1/batches/batch_%27%3bdrop%20table%20batches%3b--',
  `/v1/files/${'a'.repeat(8000)}`,
  `/v1/files/${'%61'.repeat(4000)}`,
  `/v1/files/${'../'.repeat(4000)}`,
  `/${'a/'.repeat(6000)}`,
  `/v1/files/${'a'.repeat(100_000)}`,
  `/v1/files/${'a'.repeat(2_000_000)}`,
  '*',
  '/*',
  '/:id',
  '/v1/files/:id',
  '/__proto__',
  '/v1/files/__proto__',
  '/v1/batches/constructor',
  '/.env',
  '/.git/config',
  'v1/files/a',
  '?',
  '#',
  '/v1/files/a#b',
  'http://',
  'http:///v1/unknown',
  'http://[::1/v1/unknown',
  'file:///etc/passwd',
  'javascript:alert(1)',
  'evil.test:443',
];

const METHODS: readonly string[] = [
  'TRACE',
  'TRACK',
  'CONNECT',
  'OPTIONS',
  'PUT',
  'PATCH',
  'PROPFIND',
  'PURGE',
  'QUERY',
  'SEARCH',
  'LINK',
  'SOURCE',
  'PRI',
  'get',
  'GeT',
  'GETT',
  'FOO',
  'X'.repeat(10_000),
  '',
  'GET\t',
  '__proto__',
];

/** Whole heads, of which none is a request of HTTP/1. */
const PREFACES: Readonly<Record<string, string | Uint8Array>> = {
  'HTTP/0.9': 'GET /v1/files\r\n\r\n',
  'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0',
  'a version of 2.0': 'GET /v1/files HTTP/2.0\r\nhost: x\r\n\r\n',
  'a version of 1.9': 'GET /v1/files HTTP/1.9\r\nhost: x\r\n\r\n',
  'a version of 0.9': 'GET /v1/files HTTP/0.9\r\nhost: x\r\n\r\n',
  'a version in words': 'GET /v1/files HTTP/one\r\nhost: x\r\n\r\n',
  TLS: Buffer.from('16030100c8010000c40303', 'hex'),
  'a WebSocket':
    'GET /v1/unknown HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhl\r\nsec-websocket-version: 13\r\n\r\n',
  SSH: 'SSH-2.0-OpenSSH_9.0\r\n\r\n',
  Redis: '*1\r\n$4\r\nPING\r\n\r\n',
  'no host': 'GET /v1/files HTTP/1.1\r\n\r\n',
  'a space before the first header': 'GET /v1/files HTTP/1.1\r\n x: y\r\nhost: x\r\n\r\n',
  'a header without a colon': 'GET /v1/files HTTP/1.1\r\nhost: x\r\nnonsense\r\n\r\n',
  'a header without a name': 'GET /v1/files HTTP/1.1\r\nhost: x\r\n: y\r\n\r\n',
  'a folded header': 'GET /v1/files HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n',
  'an expectation': 'GET /v1/files HTTP/1.1\r\nhost: x\r\nexpect: 200-ok\r\n\r\n',
};

/** Node's parser reads these as requests of HTTP/1. */
const NEAR_MISSES: Readonly<Record<string, string>> = {
  'another protocol': 'GET /v1/files RTSP/1.0\r\nhost: x\r\nconnection: close\r\n\r\n',
  'spaces in the request line': 'GET  /v1/files  HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  'line breaks before the request':
    '\r\n\r\n\nGET /v1/files HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  'two hosts': 'GET /v1/files HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n',
};

/** Odd targets, methods and versions of HTTP. */
export async function hostileRequests(trials: Trials, world: World): Promise<void> {
  for (const target of TARGETS) {
    await trials.attempt(target.slice(0, 60), () => checkTarget(world, target));
  }
  for (const method of METHODS) {
    await trials.attempt(`the method ${method.slice(0, 20)}`, () => checkMethod(world, method));
  }
  for (const [name, bytes] of Object.entries(PREFACES)) {
    await trials.attempt(name, async () => {
      assertRefused(await ask(world.service.url, bytes));
      assertAlive(world);
    });
  }
  for (const [name, bytes] of Object.entries(NEAR_MISSES)) {
    await trials.attempt(name, async () => assertClean(await ask(world.service.url, bytes)));
  }
}

async function checkTarget(world: World, target: string): Promise<void> {
  for (const method of ['GET', 'POST', 'DELETE']) {
    const request = requestBytes({ method, target, headers: { 'content-type': 'application/json' } });
    const answer = await ask(world.service.url, request);
    // A list is no harm: an empty id in a path is none at all.
    assertRefused(answer, [400, 404, 414, 431]);
    assert.equal(answer.headers['location'], undefined);
    assert.equal(answer.headers['x-injected'], undefined);
  }
  assertAlive(world);
}

async function checkMethod(world: World, method: string): Promise<void> {
  for (const target of ['/v1/files', '/v1/batches/batch_a/cancel', '*', '/']) {
    const { answers } = await exchange(world.service.url, requestBytes({ method, target }));
    assert.equal(answers.length, 1);
    assertRefused(answers[0] as (typeof answers)[number], [400, 404, 405]);
  }
  assertAlive(world);
}

/**
 * Requests whose end can be read in two ways; by one of them, `inner` is a request of its own. None of them may be taken
 * for two, and those that are plainly two are not among them.
 */
function smugglers(inner: string): Readonly<Record<string, string>> {
  const length = inner.length;
  const chunked = `0\r\n\r\n${inner}`;
  const whole = `${length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`;
  const post = (headers: string, body: string): string =>
    `POST /v1/batches HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${headers}\r\n\r\n${body}`;
  const CL = `content-length: ${chunked.length}`;
  return {
    'a length and chunks': post(`${CL}\r\ntransfer-encoding: chunked`, chunked),
    'chunks and a length': post(`transfer-encoding: chunked\r\n${CL}`, chunked),
    'a length of nothing and chunks': post('content-length: 0\r\ntransfer-encoding: chunked', whole),
    'two lengths': post(`content-length: 0\r\ncontent-length: ${length}`, inner),
    'two lengths, the other way round': post(`content-length: ${length}\r\ncontent-length: 0`, inner),
    'two lengths in one': post(`content-length: 0, ${length}`, inner),
    'a length with a sign': post(`content-length: +${length}`, inner),
    'a negative length': post('content-length: -1', inner),
    'a length with a fraction': post(`content-length: ${length}.0`, inner),
    'a length in hexadecimal': post(`content-length: 0x${length.toString(16)}`, inner),
    'a length with an exponent': post('content-length: 1e1', inner),
    'a length in two words': post(`content-length: 0 ${length}`, inner),
    'an empty length': post('content-length:', inner),
    'a length beyond all numbers': post(`content-length: ${'9'.repeat(30)}`, inner),
    'a length beyond 2^64': post(`content-length: ${2n ** 64n + BigInt(length)}`, inner),
    'a space behind the name of a length': post(`content-length : ${length}`, inner),
    'a folded length': post(`content-length:\r\n ${length}`, inner),
    'a folded coding': post(`${CL}\r\ntransfer-encoding:\r\n chunked`, chunked),
    'a space behind the name of a coding': post(`${CL}\r\ntransfer-encoding : chunked`, chunked),
    'a tab before a coding': post(`${CL}\r\ntransfer-encoding:\tchunked`, chunked),
    'a vertical tab before a coding': post(`${CL}\r\ntransfer-encoding: \vchunked`, chunked),
    'an unknown coding': post(`${CL}\r\ntransfer-encoding: xchunked`, chunked),
    'an unknown coding behind chunks': post('transfer-encoding: chunked, identity', whole),
    'chunks twice': post('transfer-encoding: chunked, chunked', whole),
    'chunks in two headers': post('transfer-encoding: chunked\r\ntransfer-encoding: identity', whole),
    'chunks in quotes': post(`${CL}\r\ntransfer-encoding: "chunked"`, chunked),
    'chunks and a NUL': post(`${CL}\r\ntransfer-encoding: chunked\0`, chunked),
    'a name with a NUL': post(`${CL}\r\ntransfer\0-encoding: chunked`, chunked),
    'an underscore in a name': post(`${CL}\r\ntransfer_encoding: chunked`, chunked),
    'a bare CR before a header': post(`x: y\rtransfer-encoding: chunked\r\n${CL}`, chunked),
    'a bare LF before a header': post(`x: y\ntransfer-encoding: chunked\r\n${CL}`, chunked),
    'a chunk size beyond 2^64': post('transfer-encoding: chunked', `1${'0'.repeat(16)}\r\n${inner}`),
    'a negative chunk size': post('transfer-encoding: chunked', `-1\r\n${inner}`),
    'a chunk size with 0x': post('transfer-encoding: chunked', `0x0\r\n\r\n${inner}`),
    'a chunk size with a space': post('transfer-encoding: chunked', `0 1\r\n\r\n${inner}`),
    'a chunk that is longer than told': post('transfer-encoding: chunked', `1\r\nab\r\n0\r\n\r\n${inner}`),
    'a chunk ending in a bare LF': post('transfer-encoding: chunked', `1\na\n0\n\n${inner}`),
    'a bare LF in a chunk extension': post('transfer-encoding: chunked', `2;\nxx\r\n0\r\n\r\n${inner}`),
    'a GET with a length': `GET /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n${inner}`,
    'a GET with chunks': `GET /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${whole}`,
    'a body behind an upgrade': `GET /v1/files HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: ${length}\r\n\r\n${inner}`,
    'a body behind a CONNECT': `CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n${inner}`,
    'a refused expectation': post(`expect: nonsense\r\ncontent-length: ${length}`, inner),
    'a version of 1.0 with chunks': `POST /v1/batches HTTP/1.0\r\n${CL}\r\ntransfer-encoding: chunked\r\n\r\n${chunked}`,
  };
}

/** Requests that smuggle another one in. */
export async function smuggledRequests(trials: Trials, world: World): Promise<void> {
  for (const name of Object.keys(smugglers(''))) {
    await trials.attempt(name, () => checkSmuggler(world, name));
  }
}

/** At most one answer comes, and the service has seen no second request. */
async function checkSmuggler(world: World, name: string): Promise<void> {
  const path = `/v1/smuggled-${randomUUID()}`;
  const bytes = smugglers(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)[name] as string;
  // A second answer would follow at once; where none does, the first request was read as unfinished, or refused.
  const { answers } = await exchange(world.service.url, bytes, { count: 2, quietMs: 400 });
  assert.ok(answers.length <= 1, `there were ${answers.length} answers`);
  for (const answer of answers) assertClean(answer);
  const mark = `/v1/after-${randomUUID()}`;
  assertRefused(await ask(world.service.url, requestBytes({ target: mark })), [404]);
  await waitFor('the next request is in the log', () => world.service.output().includes(mark));
  assert.ok(!world.service.output().includes(`"path":"${path}"`), 'the inner request was taken for one');
  assertAlive(world);
}
