/** Stops in the middle of an upload and of a download. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeInput } from '../harness/lines.ts';
import type { Input } from '../harness/lines.ts';
import type { World } from '../harness/world.ts';
import { resume, stopWithin } from './stopping.ts';
import type { StopSignal } from './stopping.ts';

const MB = 1024 * 1024;
const BOUNDARY = 'boundary-of-the-form';

/** What a slow sender was told: a status and a body, or that its connection broke. */
type Told = { readonly status: number; readonly body: string } | 'broken';

/** Sends a form in `pieces` pieces, one every `pauseMs`; `onPiece` is told of each. */
async function uploadSlowly(
  url: string,
  input: Input,
  options: {
    readonly pieces: number;
    readonly pauseMs: number;
    readonly onPiece: (piece: number) => void;
  },
): Promise<Told> {
  const { pieces, pauseMs, onPiece } = options;
  const part = (name: string, more = ''): string =>
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n`;
  const form = Buffer.from(
    `${part('purpose')}batch\r\n${part('file', '; filename="input.jsonl"')}${input.text}\r\n--${BOUNDARY}--\r\n`,
  );
  const sending = request(`${url}/v1/files`, {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}`, 'content-length': form.length },
  });
  const told = new Promise<Told>((resolve) => {
    sending.once('error', () => resolve('broken'));
    sending.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (data: string) => (body += data));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.once('error', () => resolve('broken'));
    });
  });
  const size = Math.ceil(form.length / pieces);
  for (let piece = 0; piece < pieces && !sending.destroyed; piece++) {
    sending.write(form.subarray(piece * size, (piece + 1) * size));
    onPiece(piece);
    await sleep(pauseMs);
  }
  sending.end();
  return await told;
}

/** What a sender is told is true: a 200 is a file, anything else is none. `isInTime`: it could end within the grace. */
export async function stopUploading(world: World, signal: StopSignal, isInTime: boolean): Promise<void> {
  const graceMs = isInTime ? 20_000 : 400;
  await world.start({ env: { SHUTDOWN_GRACE_MS: String(graceMs) } });
  const input = makeInput(4, { bytes: MB });
  let stopping: Promise<unknown> = Promise.resolve();
  const told = await uploadSlowly(world.service.url, input, {
    pieces: 20,
    pauseMs: 60,
    onPiece: (piece) => {
      if (piece === 8) stopping = stopWithin(world, signal, isInTime ? 3000 : graceMs);
    },
  });
  await stopping;
  if (told !== 'broken' && told.status === 200) {
    const { id } = JSON.parse(told.body) as { id: string };
    world.ledger.files.push({ id, input, isDeleted: false });
  } else {
    assert.ok(!isInTime, `an upload that could end within the grace: ${JSON.stringify(told)}`);
    assert.ok(told === 'broken' || [408, 503].includes(told.status), JSON.stringify(told));
  }
  await resume(world);
  const list = await fetch(`${world.service.url}/v1/files`);
  const { data } = (await list.json()) as { data: unknown[] };
  assert.equal(data.length, world.ledger.files.length, 'files that nobody was told of');
}

/** A reader that stops reading does not hold the stop up, and the file is whole afterwards. */
export async function stopDownloading(world: World, signal: StopSignal): Promise<void> {
  await world.start({ env: { SHUTDOWN_GRACE_MS: '400' } });
  const file = await world.client.upload(makeInput(24, { bytes: MB }));
  const reading = request(`${world.service.url}/v1/files/${file.id}/content`).end();
  const [response] = (await once(reading, 'response')) as [NodeJS.ReadableStream];
  response.once('error', () => {});
  await once(response, 'readable');
  response.read();
  await stopWithin(world, signal, 400);
  reading.destroy();
  await resume(world);
}
