/** Batches that end while their receiver comes and goes, and the service is killed. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { startUpstreamServer } from '../../helpers/upstream-server.ts';
import type { Reply } from '../../helpers/upstream-server.ts';
import type { Fault } from '../harness/fault.ts';
import { checkInvariants } from '../harness/invariants/index.ts';
import { makeInput } from '../harness/lines.ts';
import type { Random } from '../harness/random.ts';
import { SIGNING_SECRET } from '../harness/receiver.ts';
import type { ReceivedEvent, WebhookReceiver } from '../harness/receiver.ts';
import type { Scope } from '../harness/scope.ts';
import { waitFor } from '../harness/wait.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';

const SHORT_SCHEDULE = new URL('short-schedule.ts', import.meta.url);
const BATCHES = 6;
const LINES = 40;
/** So long the receiver stays in a mood, milliseconds. */
const MOOD_MS = 150;
type Mood = 'refuses' | 'is dead' | 'hangs' | 'accepts';

interface MoodyReceiver extends WebhookReceiver {
  mood: Mood;
  /** What was not accepted. */
  readonly turnedAway: readonly ReceivedEvent[];
}

export const flappingReceiver: Fault = {
  family: 'webhooks',
  name: `a receiver that comes and goes while ${BATCHES} batches end and the service is killed`,
  async run(trials) {
    const { quick, random } = trials;
    let kills = 0;
    let turnedAway = 0;
    const tries = Array.from({ length: quick ? 1 : 8 }, (_, at) => at + 1);
    await trials.each(tries, async (number) => {
      await trials.attempt(`try ${number}`, async (scope) => {
        const receiver = await startMoodyReceiver(scope);
        const world = await createWorld(scope, { receiver });
        world.upstream.latencyMs = 20;
        await start(world);
        const end = flap(receiver, random, quick ? 4 : 10);
        for (let n = 0; n < (quick ? BATCHES / 2 : BATCHES); n++) {
          const file = await world.client.upload(makeInput(LINES));
          await world.client.create(file, { webhookUrl: receiver.url(`own-${n}`) });
        }
        for (let kill = 0; kill < (quick ? 1 : 2); kill++) {
          await waitForMoment(receiver, random);
          await world.kill();
          kills++;
          await start(world);
        }
        await world.settle();
        await end;
        await checkInvariants(world);
        checkIds(receiver);
        turnedAway += receiver.turnedAway.length;
      });
    });
    trials.note(`${kills} kills, ${turnedAway} attempts in vain, seed ${trials.seed}`);
  },
};

async function start(world: World): Promise<void> {
  await world.start({ preload: [SHORT_SCHEDULE], env: { MAX_CONCURRENCY: '8' } });
}

/** A moment with webhooks under way or on the schedule. */
async function waitForMoment(receiver: MoodyReceiver, random: Random): Promise<void> {
  const seen = receiver.turnedAway.length + receiver.events.length;
  await waitFor('more webhooks', () => receiver.turnedAway.length + receiver.events.length >= seen + 3);
  await sleep(random.between(0, 2 * MOOD_MS));
}

/** Changes its mood so many times, sooner than a delivery has made its last attempt, and stays friendly at the end. */
async function flap(receiver: MoodyReceiver, random: Random, times: number): Promise<void> {
  const moods: readonly Mood[] = ['refuses', 'is dead', 'accepts', 'refuses', 'hangs', 'is dead'];
  for (let n = 0; n < times; n++) {
    receiver.mood = n < moods.length ? (moods[n] as Mood) : random.pick(moods);
    await sleep(random.between(MOOD_MS / 2, MOOD_MS * 2));
  }
  receiver.mood = 'accepts';
}

async function startMoodyReceiver(scope: Scope): Promise<MoodyReceiver> {
  const events: ReceivedEvent[] = [];
  const turnedAway: ReceivedEvent[] = [];
  const faults: string[] = [];
  const webhook = new Webhook(SIGNING_SECRET);
  const server = await startUpstreamServer(async (request): Promise<Reply | 'drop'> => {
    const { mood } = receiver;
    try {
      webhook.verify(request.body, request.headers);
    } catch (error) {
      faults.push(String(error));
    }
    const { id, type, data } = request.json() as { id: string; type: string; data: { id: string } };
    if (id !== request.headers['webhook-id']) faults.push(`${id} has another webhook-id`);
    const event = { id, type, batchId: data.id, path: request.path };
    (mood === 'accepts' ? events : turnedAway).push(event);
    if (mood === 'hangs') await waitFor('a better mood', () => receiver.mood !== 'hangs');
    return mood === 'accepts' ? { status: 204, body: '' } : mood === 'refuses' ? { status: 500 } : 'drop';
  });
  scope.defer(() => server.close());
  const receiver: MoodyReceiver = {
    url: (name) => `${server.origin}/${name}`,
    events,
    turnedAway,
    faults,
    status: 204,
    mood: 'accepts',
  };
  return receiver;
}

/** Attempts in vain have the id under which the event then arrives. */
function checkIds(receiver: MoodyReceiver): void {
  const idOf = new Map<string, string>();
  for (const { id, type, batchId, path } of [...receiver.turnedAway, ...receiver.events]) {
    const key = `${type} of ${batchId} at ${path}`;
    assert.equal(idOf.get(key) ?? id, id, `${key} came with two ids`);
    idOf.set(key, id);
  }
}
