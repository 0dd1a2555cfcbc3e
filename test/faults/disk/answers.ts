/** What a client may be told while the disk fails. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refused } from '../harness/client.ts';
import { makeInput } from '../harness/lines.ts';
import { troubles } from '../harness/log.ts';
import type { PromisedFile } from '../harness/ledger.ts';
import type { World } from '../harness/world.ts';

/** Longer than any call may take, milliseconds. */
const HANG_MS = 20_000;

/** What the call answers, or null where the disk has refused it as it should: 503 or 507, in the envelope. */
export async function orRefused<T>(what: string, call: Promise<T>): Promise<T | null> {
  const hang = new AbortController();
  const hangs = sleep(HANG_MS, null, { signal: hang.signal }).then(() => {
    throw new Error(`${what} hangs`);
  });
  // The call answers first: nobody waits for this then.
  hangs.catch(() => {});
  try {
    return await Promise.race([call, hangs]);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    assert.ok(error.status === 503 || error.status === 507, `${what} on a failing disk: ${error.message}`);
    const { error: told } = JSON.parse(error.body) as { error: Record<string, unknown> };
    assert.deepEqual(Object.keys(told).toSorted(), ['code', 'message', 'param', 'type'], what);
    assert.equal(told['type'], 'server_error', what);
    return null;
  } finally {
    hang.abort();
  }
}

/** As `orRefused`, where the call cannot succeed. */
export async function mustBeRefused(what: string, call: Promise<unknown>): Promise<void> {
  let answered = true;
  const watched = call.catch((error: unknown) => {
    answered = false;
    throw error;
  });
  await orRefused(what, watched);
  assert.ok(!answered, `${what} was accepted without room for it`);
}

/** Calls that a client might make meanwhile: all are answered, and those that only read succeed. */
export async function useFailingDisk(world: World, spare: PromisedFile): Promise<void> {
  const { client, service } = world;
  await orRefused('an upload', client.upload(makeInput(20)));
  await orRefused('a create', client.create(spare));
  await client.list();
  assert.equal(await client.content(spare.id), spare.input.text, 'a download');
  for (const probe of ['live', 'ready']) {
    const { status } = await fetch(`${service.url}/health/${probe}`);
    assert.ok(status === 200 || status === 503, `/health/${probe} answers ${status}`);
  }
}

/** Watches the log while something is wrong; the answer is to be called when it is over. */
export function watchLog({ service }: World): (needed?: RegExp) => void {
  const from = service.output().length;
  const startedAt = performance.now();
  return (needed) => {
    const lines = troubles(service, from);
    const seconds = (performance.now() - startedAt) / 1000;
    assert.ok(lines.length <= 15 + 4 * seconds, `${lines.length} lines of log in ${seconds.toFixed(1)} s`);
    if (needed !== undefined) {
      assert.ok(
        lines.some(({ msg }) => needed.test(msg)),
        `the log does not say ${needed.source}, but ${lines.map((line) => line.msg).join(' | ')}`,
      );
    }
  };
}
