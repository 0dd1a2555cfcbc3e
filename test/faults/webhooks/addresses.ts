/** Webhooks of clients that lead to private addresses: however these are spelled or found, nobody is connected to. */
import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import { openPinnedSocket } from '../../../src/adapters/webhook/connect.ts';
import type { OpenSocket, PinnedTarget } from '../../../src/adapters/webhook/connect.ts';
import { createSender } from '../../../src/adapters/webhook/sender.ts';
import type { WebhookOutcome, WebhookSender } from '../../../src/engine/index.ts';
import { startRawServer } from '../../helpers/upstream-server.ts';
import type { Fault } from '../harness/fault.ts';
import type { Random } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';
import { PRIVATE_ADDRESSES, PRIVATE_SPELLINGS, PUBLIC_ADDRESSES } from './spellings.ts';

const NOT_PUBLIC = 'its host is not on the public internet';
const LEADS_ASTRAY = 'the name of its host leads to an address that is not public';

interface GuardedSender {
  readonly sender: WebhookSender;
  /** Where it wanted to connect to. */
  readonly targets: readonly PinnedTarget[];
  /** Names that it asked for. */
  readonly names: readonly string[];
}

/** A sender with a resolver of the try. Connections are those of `openSocket`; by default it stops before them. */
function guardedSender(
  scope: Scope,
  resolve: (name: string) => readonly LookupAddress[],
  openSocket: OpenSocket = stopHere,
): GuardedSender {
  const targets: PinnedTarget[] = [];
  const names: string[] = [];
  const sender = createSender({
    allowPrivate: false,
    timeoutMs: 10_000,
    lookup: async (name) => {
      names.push(name);
      return resolve(name);
    },
    openSocket(target) {
      targets.push(target);
      return openSocket(target);
    },
  });
  scope.defer(() => sender.close());
  return { sender, targets, names };
}

/** What says that the decision was to connect. */
const stopHere: OpenSocket = () => {
  throw Object.assign(new Error('the decision was to connect'), { code: 'STOPPED_HERE' });
};
const STOPPED: WebhookOutcome = { kind: 'failed', message: 'no answer: STOPPED_HERE' };

async function post(sender: WebhookSender, url: string): Promise<WebhookOutcome> {
  return await sender.send({ url, trusted: false, headers: {}, body: '{}' }, new AbortController().signal);
}

const toAddress = (address: string): LookupAddress => ({ address, family: isIP(address) === 6 ? 6 : 4 });

export const spelledAddresses: Fault = {
  family: 'webhooks',
  name: 'URLs with private hosts in all spellings: the decision',
  async run(trials) {
    for (const { host, isIllFormed = false } of PRIVATE_SPELLINGS) {
      await trials.attempt(host, async (scope) => {
        const { sender, targets, names } = guardedSender(scope, () => PUBLIC_ADDRESSES.map(toAddress));
        for (const url of [`http://${host}/`, `https://${host}:8443/a?b=c`, `HTTP:\\\\${host}/`]) {
          const reason = sender.check(url);
          if (isIllFormed) assert.match(String(reason), /^it (is not|has)/, url);
          else assert.equal(reason, NOT_PUBLIC, url);
          assert.deepEqual(await post(sender, url), { kind: 'refused', message: reason });
        }
        assert.deepEqual([targets, names], [[], []], 'a name was asked for, or a connection opened');
      });
    }
    for (const address of PUBLIC_ADDRESSES) {
      await trials.attempt(`${address} is public`, async (scope) => {
        const { sender } = guardedSender(scope, () => []);
        const url = `http://${address.includes(':') ? `[${address}]` : address}/hook`;
        assert.equal(sender.check(url), null);
        assert.deepEqual(await post(sender, url), STOPPED);
      });
    }
  },
};

export const resolvedAddresses: Fault = {
  family: 'webhooks',
  name: 'names that lead to private addresses, alone or among public ones',
  async run(trials) {
    for (const address of PRIVATE_ADDRESSES) {
      await trials.attempt(address, async (scope) => {
        const others = trials.random.pick(PUBLIC_ADDRESSES);
        for (const found of [[address], [address, others], [others, address], [others, others, address]]) {
          const { sender, targets } = guardedSender(scope, () => found.map(toAddress));
          const outcome = await post(sender, 'https://hooks.example.com/');
          assert.deepEqual(outcome, { kind: 'refused', message: LEADS_ASTRAY }, found.join());
          assert.deepEqual(targets, []);
        }
      });
    }
  },
};

export const rebinding: Fault = {
  family: 'webhooks',
  name: 'names that lead to another address each time (DNS rebinding)',
  async run(trials) {
    const { quick, random } = trials;
    for (let run = 1; run <= (quick ? 3 : 20); run++) {
      await trials.attempt(`names ${run}`, async (scope) => await rebind(scope, random));
    }
    await trials.attempt('between the decision and the connection', rebindLate);
  },
};

/** A hundred attempts: what is connected to is what was judged in the same attempt, and all of it is public. */
async function rebind(scope: Scope, random: Random): Promise<void> {
  let found: readonly string[] = [];
  const { sender, targets, names } = guardedSender(scope, () => {
    found = Array.from({ length: random.between(1, 3) }, () =>
      random.pick(random.pick([PUBLIC_ADDRESSES, PUBLIC_ADDRESSES, PRIVATE_ADDRESSES])),
    );
    return found.map(toAddress);
  });
  for (let attempt = 1; attempt <= 100; attempt++) {
    const before = targets.length;
    const outcome = await post(sender, 'http://rebinding.example.com/');
    assert.equal(names.length, attempt, 'not one question an attempt');
    if (found.every((address) => PUBLIC_ADDRESSES.includes(address))) {
      assert.deepEqual(outcome, STOPPED, found.join());
      assert.deepEqual(targets.at(-1)?.addresses, found.map(toAddress));
      assert.equal(targets.length, before + 1);
    } else {
      assert.deepEqual(outcome, { kind: 'refused', message: LEADS_ASTRAY }, found.join());
      assert.equal(targets.length, before, 'a connection was opened');
    }
  }
}

/** Whoever connects is led to this machine by a second answer of the resolver: not a byte may be sent there. */
async function rebindLate(scope: Scope): Promise<void> {
  const server = await startRawServer(() => {});
  scope.defer(() => server.close());
  for (const protocol of ['http', 'https']) {
    const { sender, targets } = guardedSender(
      scope,
      () => [toAddress('93.184.216.34')],
      (target) => openPinnedSocket({ ...target, addresses: [toAddress('127.0.0.1')] }),
    );
    const outcome = await post(sender, `${protocol}://rebinding.example.com:${server.port}/`);
    assert.deepEqual(outcome, { kind: 'refused', message: 'the connection led to another address' });
    assert.deepEqual(targets[0]?.addresses, [toAddress('93.184.216.34')]);
  }
  assert.deepEqual(
    server.connections.map((socket) => socket.bytesRead),
    [0, 0],
    'bytes were sent',
  );
}
