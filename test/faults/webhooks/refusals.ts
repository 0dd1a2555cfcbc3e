/** The whole service and clients that want it to call private addresses. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { Refused } from '../harness/client.ts';
import type { Fault } from '../harness/fault.ts';
import { makeInput } from '../harness/lines.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { unusedPort } from '../../helpers/upstream-server.ts';
import { startTrap } from './machine.ts';
import type { Trap } from './machine.ts';
import { PRIVATE_SPELLINGS } from './spellings.ts';
import type { Spelling } from './spellings.ts';

/** Schemes that lead somewhere too. */
const SCHEMES = ['ftp', 'file', 'gopher', 'javascript', 'data', 'ws', 'unix'];

export const privateWebhooks: Fault = {
  family: 'webhooks',
  name: 'URLs with private hosts in all spellings: create, and delivery where create was passed',
  async run(trials) {
    const spellings = PRIVATE_SPELLINGS.filter((_, at) => !trials.quick || at % 8 === 0);
    await trials.attempt(`${spellings.length} spellings`, async (scope) => {
      const trap = await startTrap(scope);
      const world = await createWorld(scope);
      const created = await createWhileAllowed(world, trap, spellings);
      await refuseToDeliver(world, created);
      await refuseToCreate(world, trap, spellings);
      await refuseNamesOfThisMachine(world, trap);
      assert.deepEqual(trap.visitors, [], 'a private address was connected to');
    });
  },
};

/** With the guard off, while no batch can end: the URLs are in the database then. Answers how many. */
async function createWhileAllowed(world: World, trap: Trap, spellings: readonly Spelling[]): Promise<number> {
  const dead = `http://127.0.0.1:${await unusedPort()}/v1`;
  await world.start({ env: { UPSTREAM_BASE_URL: dead, WEBHOOK_URLS: '' } });
  const file = await world.client.upload(makeInput(1));
  let created = 0;
  for (const { host, isIllFormed = false } of spellings) {
    const webhook_url = `http://${host}:${trap.port}/hook`;
    const batch = await world.client.create(file, { body: { webhook_url } }).catch(asRefused);
    assert.equal(batch instanceof Refused, isIllFormed, `${webhook_url} with private addresses allowed`);
    if (!isIllFormed) created++;
  }
  await world.kill();
  return created;
}

/** With the guard on, the batches end, and each delivery is a failure that says why. */
async function refuseToDeliver(world: World, created: number): Promise<void> {
  await world.start({ env: { WEBHOOK_ALLOW_PRIVATE: 'false', WEBHOOK_URLS: '' } });
  const refusals = (): number =>
    world.service.output().match(/"error":"its host is not on the public internet".*not delivered/g)
      ?.length ?? 0;
  await waitFor(`${created} deliveries are refused`, () => refusals() >= created, 30_000);
}

async function refuseToCreate(world: World, trap: Trap, spellings: readonly Spelling[]): Promise<void> {
  const [file] = world.ledger.files;
  assert.ok(file !== undefined);
  const urls = spellings.map(({ host }) => `http://${host}:${trap.port}/hook`);
  for (const webhook_url of [...urls, ...SCHEMES.map((scheme) => `${scheme}://127.0.0.1:${trap.port}/`)]) {
    const refused: unknown = await world.client.create(file, { body: { webhook_url } }).catch(asRefused);
    assert.ok(refused instanceof Refused, `${webhook_url} is accepted`);
    assert.equal(refused.status, 400, webhook_url);
    const { error } = JSON.parse(refused.body) as { error: Record<string, string> };
    assert.equal(error['param'], 'webhook_url');
    assert.match(
      error['message'] ?? '',
      /^Invalid 'webhook_url': it(s host is not| is not| has)/,
      webhook_url,
    );
  }
}

/** A name that looks like any other, until the system resolves it. */
async function refuseNamesOfThisMachine(world: World, trap: Trap): Promise<void> {
  const names = loopbackNames();
  const from = world.service.output().length;
  const [file] = world.ledger.files;
  assert.ok(file !== undefined);
  for (const name of names) {
    await world.client.create(file, { body: { webhook_url: `http://${name}:${trap.port}/` } });
  }
  const refusals = (): number =>
    world.service
      .output()
      .slice(from)
      .match(/"error":"the name of its host leads to [^"]*not public"/g)?.length ?? 0;
  await waitFor(`deliveries to ${names.join()} are refused`, () => refusals() >= names.length, 30_000);
}

const HOSTS = '/etc/hosts';

/** Names of this machine that no rule about names knows, so that they are resolved without asking anybody else. */
function loopbackNames(): string[] {
  const lines = existsSync(HOSTS) ? readFileSync(HOSTS, 'utf8').split('\n') : [];
  const names = lines
    .map((line) => line.replace(/#.*/, '').trim().split(/\s+/))
    .flatMap(([address = '', ...names]) => (/^(127\.|::1$)/.test(address) ? names : []));
  return names.filter((name) => !/(^|\.)(localhost|internal)$/i.test(name)).slice(0, 3);
}

function asRefused(error: unknown): Refused {
  if (error instanceof Refused) return error;
  throw error;
}
