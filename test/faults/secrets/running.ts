/** A service that runs, on all its ways, good and bad. */
import assert from 'node:assert/strict';
import { unusedPort } from '../../helpers/upstream-server.ts';
import type { Fault } from '../harness/fault.ts';
import { createRandom } from '../harness/random.ts';
import { waitFor } from '../harness/wait.ts';
import { createCanaries } from './canaries.ts';
import { createHousehold } from './household.ts';
import type { Household } from './household.ts';
import { talkNonsense, tryKeys } from './intruders.ts';
import { badInput, createOwner, goodInput, lineOf, makeMistakes, uploadOf } from './owner.ts';
import type { Owner } from './owner.ts';

/** What the log says where the try has been. */
const LANDMARKS = [
  '"msg":"ready"',
  '"msg":"request"',
  '"msg":"batch created"',
  '"msg":"batch ended"',
  '"status":"cancelled"',
  '"msg":"batch failed validation"',
  '"msg":"webhook delivered"',
  '"msg":"webhook not delivered"',
  '"msg":"upstream cannot be reached; its lines wait"',
  '"msg":"request failed"',
  '"msg":"the store cannot be read"',
  '"msg":"results cannot be stored; no new requests until they can"',
  '"msg":"unexpected error"',
];

export const runningService: Fault = {
  family: 'secrets',
  name: 'keys, prompts and answers in logs, errors, files and arguments of a service that runs',
  async run(trials) {
    const { quick, seed } = trials;
    const tries = quick ? [0] : [0, 1, 2, 3];
    let answers = 0;
    let logLines = 0;
    await trials.each(tries, async (number) => {
      const fromFiles = number % 2 === 1;
      await trials.attempt(`try ${number}${fromFiles ? ', secrets from files' : ''}`, async (scope) => {
        const canaries = createCanaries(createRandom(seed + number));
        const household = await createHousehold(scope, canaries, { fromFiles });
        await visit(household, quick);
        household.check();
        for (const landmark of LANDMARKS) {
          assert.ok(household.log().includes(landmark), `the try has not come past ${landmark}`);
        }
        answers += household.visitor.answers.length;
        logLines += household.log().split('\n').length;
      });
    });
    trials.note(`${answers} answers, ${logLines} lines of log`);
  },
};

async function visit(household: Household, quick: boolean): Promise<void> {
  const { canaries, visitor } = household;
  const owner = createOwner(visitor, canaries);
  await household.start();
  for (const { status, what, text } of await tryKeys(visitor, canaries, quick ? 8 : 1)) {
    if (!what.includes('/health/')) assert.equal(status, 401, `${what}: ${text}`);
  }
  await talkNonsense(visitor, canaries);
  await runBatches(household, owner);
  await ailing(household, owner);
  const running = await dieTwice(household, owner);
  if (!quick) await stopWithoutTls(household, owner, running);
}

/** All kinds of lines, batches and webhooks. */
async function runBatches({ canaries, peers, visitor }: Household, owner: Owner): Promise<void> {
  const good = await owner.upload(goodInput(canaries));
  const bad = await owner.upload(badInput(canaries));
  const hanging = await owner.upload(goodInput(canaries, ['hangs', 'answers']));
  await makeMistakes(owner, canaries, good);
  const hook = (kind: string) => ({
    webhook_url: `${peers.receiver.origin}/${kind}/${canaries.webhookUrlToken.text}?token=${canaries.webhookUrlToken.text}`,
  });
  const dead = `http://127.0.0.1:${await unusedPort()}/${canaries.webhookUrlToken.text}`;
  const ids = [
    await owner.create(good, hook('good')),
    await owner.create(bad, hook('fail')),
    await owner.create('file-none', hook('redirect')),
    await owner.create('file-none', { webhook_url: dead }),
    await owner.create('file-none', { webhook_url: dead.replace('http:', 'https:') }),
    await owner.create('file-none', { webhook_url: `${peers.receiver.origin.replace('http:', 'https:')}/x` }),
  ];
  for (const kind of ['gone', 'noise', 'overflow', 'reset', 'slow']) {
    ids.push(await owner.create('file-none', hook(kind)));
  }
  const cancelled = await owner.create(hanging, hook('fail'));
  await owner.send('a cancel', { method: 'POST', target: `/v1/batches/${cancelled}/cancel` });
  for (const batch of await owner.endOf([...ids, cancelled])) {
    for (const id of [batch.input_file_id, batch.output_file_id, batch.error_file_id]) {
      if (id !== null) await owner.send('a download', { target: `/v1/files/${id}/content` });
    }
  }
  const [done] = ids;
  await owner.send('a late cancel', { method: 'POST', target: `/v1/batches/${done}/cancel` });
  await owner.send('a list', { target: '/v1/batches?limit=100' });
  await owner.send('a list', { target: '/v1/files' });
  await owner.send('a delete', { method: 'DELETE', target: `/v1/files/${bad}` });
  for (const path of ['/health/live', '/health/ready']) await visitor.send('a probe', { target: path });
}

/** Storage that fails under every call. */
async function ailing(household: Household, owner: Owner): Promise<void> {
  const { canaries, service, visitor } = household;
  const fileId = await owner.upload(goodInput(canaries, ['answers', 'hangs']));
  const running = await owner.create(fileId);
  await waitFor('its lines are sent', async () => {
    const { status } = (await owner.send('a batch', { target: `/v1/batches/${running}` })).json();
    return status === 'in_progress';
  });
  service.kill('SIGUSR2');
  const isReady = async (): Promise<boolean> =>
    (await visitor.send('a probe', { target: '/health/ready' })).status === 200;
  await waitFor('the store fails', async () => !(await isReady()));
  const calls = [
    uploadOf(lineOf(canaries, 'answers', 1), `${canaries.filename.text}.jsonl`),
    { target: '/v1/files' },
    { target: `/v1/files/${fileId}` },
    { target: `/v1/files/${fileId}/content` },
    { method: 'DELETE', target: `/v1/files/${fileId}` },
    { target: '/v1/batches' },
    { target: `/v1/batches/${running}` },
    { method: 'POST', target: `/v1/batches/${running}/cancel` },
  ];
  for (const call of calls) {
    const { status, text } = await owner.send('with ill storage', call);
    assert.equal(status, 503, text);
  }
  await waitFor('results cannot be stored', () => service.output().includes('results cannot be stored'));
  service.kill('SIGUSR2');
  await waitFor('the store is well', isReady);
  await owner.endOf([running]);
}

/** Killed in the middle, and ended by an error that nobody foresaw, with no upstream to reach. Answers the batch that runs. */
async function dieTwice(household: Household, owner: Owner): Promise<string> {
  const { upstreamPassword, upstreamUrlToken } = household.canaries;
  const fileId = await owner.upload(goodInput(household.canaries, ['hangs', 'answers', 'fails', 'hangs']));
  const running = await owner.create(fileId);
  await waitFor('it runs', async () => {
    const { status } = (await owner.send('a batch', { target: `/v1/batches/${running}` })).json();
    return status === 'in_progress';
  });
  household.service.kill('SIGKILL');
  await household.service.ended;
  household.check();
  const origin = `127.0.0.1:${await unusedPort()}`;
  await household.start({
    UPSTREAM_BASE_URL: `http://x:${upstreamPassword.text}@${origin}/v1?token=${upstreamUrlToken.text}`,
  });
  await waitFor('no upstream', () => household.service.output().includes('cannot be reached'));
  household.service.kill('SIGHUP');
  assert.equal(await household.service.ended, 1);
  return running;
}

/** An upstream that is asked for TLS and speaks none, and a proper end. */
async function stopWithoutTls(household: Household, owner: Owner, running: string): Promise<void> {
  const { canaries, peers } = household;
  await household.start({
    UPSTREAM_BASE_URL: `https://x:${canaries.upstreamPassword.text}@127.0.0.1:${peers.upstream.port}/`,
  });
  await waitFor('no TLS', () => household.service.output().includes('cannot be reached'));
  await owner.send('a cancel', { method: 'POST', target: `/v1/batches/${running}/cancel` });
  await owner.endOf([running]);
  household.check();
  household.service.kill('SIGTERM');
  assert.equal(await household.service.ended, 0);
  assert.match(household.log(), /"msg":"stopped"/);
}
