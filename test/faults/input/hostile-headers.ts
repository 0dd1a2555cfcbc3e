/** Hostile values of headers: keys, hosts, and what proxies say of clients. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Fault, Trials } from '../harness/fault.ts';
import type { World } from '../harness/world.ts';
import { ask, assertClean, assertOk, assertRefused, exchange, requestBytes } from './http.ts';
import { assertAlive, assertStillWorks, startWorld } from './still-works.ts';

const KEY = 'a key of the input faults';
const MIB = 1024 * 1024;

const VALUES: Readonly<Record<string, string>> = {
  nothing: '',
  spaces: '   ',
  SQL: "' or 1=1; drop table files; --",
  'SQL in quotes': '"; delete from batches where "1"="1',
  'a NUL': 'a\0b',
  'only a NUL': '\0',
  'a CRLF': 'a\r\nx-injected: b',
  'a CR': 'a\rx-injected: b',
  'an LF': 'a\nx-injected: b',
  'a tab': 'a\tb',
  'control characters': '\u0001\u001f\u007f',
  unicode: 'schlüssel-🎉-ключ-鍵',
  'right to left': '\u202Ekey',
  'a byte order mark': `\uFEFF${KEY}`,
  '8 KB': 'x'.repeat(8 * 1024),
  '2 MB': 'x'.repeat(2 * MIB),
  'much of the same': `${KEY} `.repeat(100),
  'another key': 'a key of the input fault',
  'a longer key': `${KEY}0`,
  'the key in capitals': KEY.toUpperCase(),
  braces: '{"$ne":null}',
  'a path': '../../etc/passwd',
  'a format': '%s%n%x{{7*7}}${7*7}',
};

export const hostileKeys: Fault = {
  family: 'input',
  name: 'hostile values of Authorization, where keys are set',
  async run(trials) {
    await trials.attempt('all of them', async (scope) => {
      const world = await startWorld(scope, { API_KEYS: KEY });
      for (const [name, value] of Object.entries(VALUES)) {
        if (trials.quick && name.length % 3 !== 0) continue;
        for (const scheme of ['Bearer ', 'bearer  ', 'Basic ', 'Digest ', 'Bearer', '']) {
          await trials.attempt(`${scheme}${name}`, () => checkKey(world, `${scheme}${value}`));
        }
        const basic = Buffer.from(`user:${value}`).toString('base64');
        await trials.attempt(`Basic of ${name}`, () => checkKey(world, `Basic ${basic}`));
      }
      await trials.attempt('two headers', () => checkTwoKeys(world));
      await trials.attempt('the key itself', () => checkRightKey(world));
      // The harness has no key.
      assertAlive(world);
      assert.equal(await world.stop(), 0);
      await world.start({ env: { API_KEYS: '' } });
      await assertStillWorks(world);
    });
  },
};

/** No value but the key opens anything; none is repeated; none adds a header. */
async function checkKey(world: World, authorization: string): Promise<void> {
  for (const target of ['/v1/files', '/v1/batches/batch_a', '/v1/unknown']) {
    const request = requestBytes({ target, headers: { authorization } });
    const answer = await ask(world.service.url, request);
    const { message } = assertRefused(answer, [400, 401, 431]);
    assert.ok(message.length < 200, message);
    assert.ok(!message.includes('drop table'), message);
    assert.equal(answer.headers['x-injected'], undefined);
  }
  assertAlive(world);
}

async function checkTwoKeys(world: World): Promise<void> {
  const request = `GET /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer no\r\nauthorization: Bearer ${KEY}\r\nconnection: close\r\n\r\n`;
  // The first one counts, or the request is refused as such.
  assertRefused(await ask(world.service.url, request), [400, 401]);
}

async function checkRightKey(world: World): Promise<void> {
  const request = requestBytes({ target: '/v1/files', headers: { authorization: `Bearer ${KEY}` } });
  assertOk(await ask(world.service.url, request));
}

/** Names of headers by which a service may be led to believe something. */
const NAMES = [
  'host',
  'x-forwarded-host',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-prefix',
  'x-original-url',
  'x-rewrite-url',
  'x-http-method-override',
  'forwarded',
  'via',
  'referer',
  'user-agent',
  'cookie',
  'accept-encoding',
  'if-modified-since',
  'x-request-id',
  'idempotency-key',
  'openai-organization',
];

/** Hostile values of other headers, and forged hosts. */
export async function hostileHeaders(trials: Trials, world: World): Promise<void> {
  for (const name of NAMES) {
    for (const [kind, value] of Object.entries(VALUES)) {
      if (trials.quick && kind.length % 3 !== 0) continue;
      await trials.attempt(`${name}: ${kind}`, () => checkHeader(world, name, value));
    }
    await trials.attempt(`a forged ${name}`, () => checkForged(world, name));
  }
  await trials.attempt('a great many headers', () => checkManyHeaders(world));
}

async function checkHeader(world: World, name: string, value: string): Promise<void> {
  const answer = await ask(
    world.service.url,
    requestBytes({ target: '/v1/files', headers: { [name]: value } }),
  );
  assertClean(answer);
  assert.equal(answer.headers['x-injected'], undefined);
  assertAlive(world);
}

/** No answer names a host that the client has claimed, nor obeys a method or path that a header tells. */
async function checkForged(world: World, name: string): Promise<void> {
  const mark = `evil-${randomUUID()}.test`;
  const value = name === 'forwarded' ? `for=${mark};host=${mark};proto=https` : mark;
  for (const [method, target] of [
    ['GET', '/v1/files'],
    ['GET', '/v1/files?limit=1&after='],
    ['GET', '/v1/unknown'],
    ['GET', '//v1/files'],
    ['GET', '/v1/files/'],
    ['GET', '/v1/%zz'],
    ['POST', '/v1/batches'],
    ['GET', `http://${mark}/v1/files`],
    ['GET', `http://${mark}/v1/unknown`],
    ['GET', `HTTPS://${mark}:443/v1/%zz`],
    ['GET', `http://user@${mark}`],
    ['GET', `http://${mark}?a`],
  ] as const) {
    const answer = await ask(world.service.url, requestBytes({ method, target, headers: { [name]: value } }));
    assertClean(answer);
    assert.ok(
      !JSON.stringify(answer).includes(mark),
      `${method} ${target} was answered with the forged host`,
    );
    assert.equal(answer.headers['location'], undefined);
  }
  assertAlive(world);
}

/** 16 KB of headers are read, with as many as there is room for; more are refused. */
async function checkManyHeaders(world: World): Promise<void> {
  for (const count of [100, 1999, 2001, 3500, 100_000]) {
    const lines = 'a:\r\n'.repeat(count);
    const request = `GET /v1/files HTTP/1.1\r\nhost: x\r\n${lines}connection: close\r\n\r\n`;
    const { answers } = await exchange(world.service.url, request);
    assert.ok(answers.length === 1 && answers[0] !== undefined);
    assertClean(answers[0]);
  }
}
