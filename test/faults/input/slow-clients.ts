/** Many clients that send and read slowly, or not at all, beside one that behaves well. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, Trials } from '../harness/fault.ts';
import type { PromisedFile } from '../harness/ledger.ts';
import { makeInput } from '../harness/lines.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import type { World } from '../harness/world.ts';
import { createWorld } from '../harness/world.ts';
import { field, filePart, FORM_TYPE, formBytes, get, openForm, postForm } from './batches.ts';
import { assertOk, openSocket, requestBytes } from './http.ts';
import { assertAlive, assertStillWorks, residentBytes, startWorld } from './still-works.ts';

const MIB = 1024 * 1024;
/** How often a trickling client sends a byte. */
const TRICKLE_MS = 500;
const GOOD_TRIES = { quick: 5, all: 20 };
/** The longest that a call may take, on a machine that has nothing else to do. */
const LIMIT_MS = 1000;
/** The most that a thousand slow clients may make the service hold; uploads that have sent a good deal hold that. */
const HELD_BYTES = { forms: 600 * MIB, others: 300 * MIB };

type Kind = 'silent' | 'head' | 'body' | 'form' | 'stalled form' | 'reader' | 'pipeliner';
const KINDS: readonly Kind[] = ['silent', 'head', 'body', 'form', 'stalled form', 'reader', 'pipeliner'];

export const slowClients: Fault = {
  family: 'input',
  name: '1,000 slow senders and readers beside a client that behaves well',
  async run(trials) {
    let slowest = 0;
    for (const kind of [...KINDS, 'all'] as const) {
      // Each kind by itself costs the time of a thousand sockets.
      if (trials.quick && kind !== 'all') continue;
      await trials.attempt(kind, async (scope) => {
        const world = await startWorld(scope);
        const kinds = kind === 'all' ? KINDS : [kind];
        slowest = Math.max(slowest, await besideSlowClients(trials, scope, world, kinds));
        await assertStillWorks(world);
      });
    }
    await trials.attempt('an upload in chunks of one byte', async (scope) => {
      const world = await startWorld(scope);
      slowest = Math.max(slowest, await besideTinyChunks(trials, scope, world));
      await assertStillWorks(world);
    });
    trials.note(`the slowest call took ${Math.round(slowest)} ms`);
  },
};

/** One line of a megabyte, each byte of it in a chunk of its own. */
async function besideTinyChunks(trials: Trials, scope: Scope, world: World): Promise<number> {
  const files = await uploadFiles(trials, world);
  const alone = await behaveWell(world, files.splice(files.length / 2));
  const headers = { 'content-type': FORM_TYPE, 'transfer-encoding': 'chunked' };
  const head = requestBytes({ method: 'POST', target: '/v1/files', headers });
  const start = openForm(filePart(''));
  const socket = openSocket(world.service.url);
  scope.defer(() => socket.destroy());
  socket.write(
    Buffer.concat([head, Buffer.from(`${start.length.toString(16)}\r\n`), start, Buffer.from('\r\n')]),
  );
  socket.write('1\r\nx\r\n'.repeat(MIB));
  const slowest = await behaveWell(world, files);
  assertQuick(slowest, alone);
  await waitFor('all was taken', () => socket.writableLength === 0);
  socket.destroy();
  return slowest;
}

async function besideSlowClients(
  trials: Trials,
  scope: Scope,
  world: World,
  kinds: readonly Kind[],
): Promise<number> {
  const requests = await slowRequests(world);
  const count = trials.quick ? 150 : 1000;
  const files = await uploadFiles(trials, world);
  const alone = await behaveWell(world, files.splice(files.length / 2));
  const before = residentBytes(world).now;
  const crowd = await openCrowd(scope, world, { requests, kinds, count });
  const slowest = await behaveWell(world, files);
  const held = residentBytes(world).most - before;
  for (const socket of crowd) socket.destroy();
  assertQuick(slowest, alone);
  const limit = kinds.includes('stalled form') ? HELD_BYTES.forms : HELD_BYTES.others;
  assert.ok(held < limit, `the service held ${Math.round(held / MIB)} MiB more`);
  return slowest;
}

/** What each kind sends at once, and what it sends byte by byte. */
interface SlowRequest {
  readonly atOnce: Uint8Array | string;
  readonly trickle: string | null;
}

async function slowRequests(world: World): Promise<Readonly<Record<Kind, SlowRequest>>> {
  const large = [field('purpose', 'user_data'), filePart(Buffer.alloc(16 * MIB, 'x'))];
  const { id } = assertOk(await postForm(world, large)) as { id: string };
  const json = { 'content-type': 'application/json', 'content-length': '100000' };
  const form = { 'content-type': FORM_TYPE, 'content-length': '100000000' };
  const post = (target: string, headers: Readonly<Record<string, string>>): Buffer =>
    requestBytes({ method: 'POST', target, headers });
  // As much as an upload holds in memory before any of it is written.
  const start = openForm(filePart(Buffer.alloc(250 * 1024, 'x')));
  const keptAlive = 'GET /v1/batches HTTP/1.1\r\nhost: x\r\n\r\n';
  return {
    silent: { atOnce: '', trickle: null },
    head: { atOnce: 'GET /v1/files HTTP/1.1\r\nhost: x\r\nx-slow: ', trickle: 'x' },
    body: { atOnce: Buffer.concat([post('/v1/batches', json), Buffer.from('{')]), trickle: ' ' },
    form: { atOnce: Buffer.concat([post('/v1/files', form), start.subarray(0, 500)]), trickle: 'x' },
    'stalled form': { atOnce: Buffer.concat([post('/v1/files', form), start]), trickle: null },
    reader: { atOnce: requestBytes({ target: `/v1/files/${id}/content` }), trickle: null },
    pipeliner: { atOnce: keptAlive.repeat(5), trickle: null },
  };
}

interface Crowd {
  readonly requests: Readonly<Record<Kind, SlowRequest>>;
  readonly kinds: readonly Kind[];
  readonly count: number;
}

/** Opens all sockets at once; resolves when they are connected. None of them ever reads. */
async function openCrowd(
  scope: Scope,
  world: World,
  { requests, kinds, count }: Crowd,
): Promise<readonly Socket[]> {
  const trickling: { readonly socket: Socket; readonly byte: string }[] = [];
  const sockets = Array.from({ length: count }, (_, i) => {
    const { atOnce, trickle } = requests[kinds[i % kinds.length] as Kind];
    const socket = openSocket(world.service.url).pause();
    socket.write(atOnce);
    if (trickle !== null) trickling.push({ socket, byte: trickle });
    return socket;
  });
  const timer = setInterval(() => {
    for (const { socket, byte } of trickling) if (socket.writable) socket.write(byte);
  }, TRICKLE_MS);
  scope.defer(() => {
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  });
  await waitFor('all are connected', () => sockets.every(({ localPort }) => localPort !== undefined));
  return sockets;
}

/** Files for as many tries without a crowd as with it. */
async function uploadFiles({ quick }: Trials, world: World): Promise<PromisedFile[]> {
  const files: PromisedFile[] = [];
  const tries = GOOD_TRIES[quick ? 'quick' : 'all'];
  for (let i = 0; i < 2 * tries; i++) files.push(await world.client.upload(makeInput(2)));
  return files;
}

/** `alone`: the slowest call without slow clients. Where others want the processors too, everything takes longer. */
function assertQuick(slowest: number, alone: number): void {
  const crowded = Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
  const limitMs = Math.max(LIMIT_MS * crowded, 10 * alone);
  assert.ok(slowest < limitMs, `a call of the client that behaves well took ${Math.round(slowest)} ms`);
}

/** Lists, creates and retrieves; answers how long the slowest call took, milliseconds. */
async function behaveWell(world: World, files: readonly PromisedFile[]): Promise<number> {
  let slowest = 0;
  async function timed<T>(call: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const result = await call();
    slowest = Math.max(slowest, performance.now() - startedAt);
    return result;
  }
  for (const file of files) {
    await timed(() => world.client.list());
    const batch = await timed(() => world.client.create(file));
    await timed(() => world.client.retrieve(batch));
    await sleep(20);
  }
  return slowest;
}

/** By when they are closed: heads long before the time for a whole request is over, 6 s. Room for a busy machine. */
const END_MS: Readonly<Record<Kind, number>> = {
  silent: 4000,
  head: 4000,
  body: 30_000,
  form: 30_000,
  'stalled form': 30_000,
  reader: 30_000,
  pipeliner: 30_000,
};

export const slowClientsAreCut: Fault = {
  family: 'input',
  name: 'the service itself closes the connections of slow senders and readers',
  async run(trials) {
    await trials.attempt('each kind', async (scope) => {
      const world = await createWorld(scope);
      await world.start({ preload: [new URL('scaled-limits.ts', import.meta.url)] });
      const requests = await slowRequests(world);
      // Those that end only with the time for a whole request take longest.
      const kinds = trials.quick ? KINDS.filter((kind) => kind !== 'body' && kind !== 'form') : KINDS;
      const cuts = kinds.map(async (kind) => {
        await trials.attempt(kind, async (own) => {
          const count = trials.quick ? 5 : 50;
          const crowd = await openCrowd(own, world, { requests, kinds: [kind], count });
          const ports = new Set(crowd.map(({ localPort = 0 }) => localPort));
          await waitFor('the service has closed all', () => hasClosedAll(world, ports), END_MS[kind]);
        });
      });
      cuts.push(
        trials.attempt('but not those of a slow upload that goes on', () => slowUpload(trials, world)),
      );
      await Promise.all(cuts);
      assertAlive(world);
      await world.stop();
      await world.start();
      await assertStillWorks(world);
    });
  },
};

/**
 * Whether none of the connections is established at the service's end any more, by the kernel's table: who does not read
 * learns nothing of that.
 */
async function hasClosedAll(world: World, ports: ReadonlySet<number>): Promise<boolean> {
  const own = Number(new URL(world.service.url).port);
  const rows = (await readFile('/proc/net/tcp', 'latin1')).split('\n').slice(1, -1);
  return !rows.some((row) => {
    const [, local = '', remote = '', state] = row.trim().split(/\s+/);
    return state === ESTABLISHED && portOf(local) === own && ports.has(portOf(remote));
  });
}

const ESTABLISHED = '01';

/** Of an address as the table has it: `0100007F:1F90`. */
const portOf = (address: string): number => Number.parseInt(address.split(':')[1] ?? '', 16);

/** 3 s of upload, which in proportion are half an hour; each pause is a quarter of what is allowed. */
async function slowUpload({ quick }: Trials, world: World): Promise<void> {
  const body = formBytes([field('purpose', 'batch'), filePart('{"a":1}\n'.repeat(1000))]);
  const headers = { 'content-type': FORM_TYPE };
  const bytes = requestBytes({ method: 'POST', target: '/v1/files', headers, body });
  const socket = openSocket(world.service.url);
  let received = '';
  socket.on('data', (data: Buffer) => (received += data.toString()));
  try {
    const size = Math.ceil(bytes.length / (quick ? 2 : 6));
    for (let at = 0; at < bytes.length; at += size) {
      socket.write(bytes.subarray(at, at + size));
      await sleep(500);
    }
    await waitFor('the answer to the slow upload', () => received.includes('"object":"file"'), 5000);
  } finally {
    socket.destroy();
  }
  assertOk(await get(world, '/v1/files'));
}
