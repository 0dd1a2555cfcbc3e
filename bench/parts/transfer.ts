import { request } from 'undici';
import { inputFile } from '../input.ts';
import { atLeast, atMost, MIB } from '../part.ts';
import type { BenchContext, Figure, Part } from '../part.ts';
import { firstMessage, startNode, stop } from '../processes.ts';
import { repeat, withService } from '../running.ts';
import { residentBytes } from '../service.ts';

const LINES = 200_000;
const BOUNDARY = 'bench-boundary';

interface Transfer {
  readonly up: number;
  readonly down: number;
}

/** Uploads and downloads of 200 MB, next to plain Fastify streaming to and from a file. */
export const transfer: Part = {
  name: 'transfer',
  title: 'Upload and download of 200 MB',
  async run(context) {
    const form = multipartForm(Buffer.concat([...inputFile(LINES)]));
    const plain = startNode(0, ['bench/programs/plain-fastify.ts', await context.folder()]);
    try {
      const { port } = await firstMessage<{ port: number }>(plain);
      return await withService(context, {}, ({ service }) =>
        measure(context, form, `http://127.0.0.1:${port}/`, service),
      );
    } finally {
      await stop(plain);
    }
  },
};

async function measure(
  context: BenchContext,
  form: Buffer,
  plainUrl: string,
  service: { readonly pid: number; readonly url: string; peak(): number; forgetPeak(): void },
): Promise<Figure[]> {
  await send(`${service.url}/v1/files`, form.subarray(0, 0)).catch(() => {});
  const idle = residentBytes(service.pid);
  service.forgetPeak();
  const rounds = await repeat(context.runs, async (): Promise<{ plain: Transfer; ours: Transfer }> => {
    const plain = { up: (await send(plainUrl, form)).speed, down: await receive(plainUrl) };
    const upload = await send(`${service.url}/v1/files`, form);
    const { id } = JSON.parse(upload.answer) as { id: string };
    return {
      plain,
      ours: { up: upload.speed, down: await receive(`${service.url}/v1/files/${id}/content`) },
    };
  });
  const ratio = (of: (transfer: Transfer) => number) => rounds.map(({ plain, ours }) => of(ours) / of(plain));
  return [
    { name: 'upload', unit: 'MB/s', values: rounds.map(({ ours }) => ours.up) },
    { name: '… ÷ plain Fastify', unit: '', values: ratio(({ up }) => up), goal: atLeast(0.7) },
    { name: 'download', unit: 'MB/s', values: rounds.map(({ ours }) => ours.down) },
    { name: '… ÷ plain Fastify', unit: '', values: ratio(({ down }) => down), goal: atLeast(0.7) },
    { name: 'memory above idle', unit: 'MiB', values: [(service.peak() - idle) / MIB], goal: atMost(120) },
  ];
}

function multipartForm(file: Buffer): Buffer {
  const purpose = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n`;
  const head = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="bench.jsonl"\r\ncontent-type: application/jsonl\r\n\r\n`;
  return Buffer.concat([Buffer.from(purpose + head), file, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)]);
}

async function send(url: string, form: Buffer): Promise<{ speed: number; answer: string }> {
  const from = performance.now();
  const { statusCode, body } = await request(url, {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: form,
  });
  const answer = await body.text();
  if (statusCode !== 200) throw new Error(`the upload was answered ${statusCode}: ${answer}`);
  return { speed: speedOf(form.length, from), answer };
}

async function receive(url: string): Promise<number> {
  const from = performance.now();
  const { body } = await request(url);
  let bytes = 0;
  for await (const chunk of body) bytes += (chunk as Buffer).length;
  return speedOf(bytes, from);
}

/** MB/s. */
function speedOf(bytes: number, from: number): number {
  return bytes / 1e3 / (performance.now() - from);
}
