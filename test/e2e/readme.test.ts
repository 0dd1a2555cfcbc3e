import { execFile } from 'node:child_process';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startUpstreamServer } from '../helpers/upstream-server.ts';
import { listeningUrl, ROOT, startNode } from './node-process.ts';
import { chatLines, startTestService, temporaryFolder } from './test-service.ts';

const readme = await readFile(join(ROOT, 'README.md'), 'utf8');

/** The code of the README's example of that name. */
function example(name: string): string {
  const code = new RegExp(`<!-- example: ${name} -->\\s*\`\`\`ts\\n([^]*?)\`\`\``).exec(readme)?.[1];
  if (code === undefined) throw new Error(`the README has no example '${name}'`);
  return code;
}

/** A project of somebody who installed the package: the example, and what it reads. */
async function project(code: string): Promise<string> {
  const folder = await temporaryFolder();
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  await writeFile(join(folder, 'package.json'), '{"name":"anyllm-batch","type":"module"}');
  await writeFile(join(folder, 'requests.jsonl'), chatLines(3, 'echo'));
  await writeFile(join(folder, 'example.ts'), code);
  return folder;
}

/** Runs the example against the package's sources, under the package's own name. */
async function startExample(name: string, edit: (code: string) => string, env: Record<string, string> = {}) {
  const cwd = await project(edit(example(name)));
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { exports: object };
  await symlink(join(ROOT, 'src'), join(cwd, 'src'));
  await symlink(join(ROOT, 'migrations'), join(cwd, 'migrations'));
  await writeFile(
    join(cwd, 'package.json'),
    JSON.stringify({ name: 'anyllm-batch', type: 'module', exports: manifest.exports }),
  );
  return { cwd, process: startNode(['--conditions=anyllm-source', 'example.ts'], { cwd, env }) };
}

/** The blocks with curl that `select` picks, as one script for the service at `url`. */
function curlScript(url: string, select: (block: string) => boolean): string {
  const blocks = [...readme.matchAll(/```sh\n([^]*?)```/g)].map((match) => match[1] ?? '');
  return blocks
    .filter((block) => block.includes('curl') && select(block))
    .join('\n')
    .replaceAll('http://127.0.0.1:8080', url);
}

const asPrinted = (code: string): string => code;

describe('the examples of the README run as printed:', () => {
  it('the official SDK', async () => {
    const { url } = await startTestService();
    const { process } = await startExample('sdk', (code) => code.replace('http://127.0.0.1:8080', url));
    const { code, stdout, stderr } = await process.ended;
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain('completed { total: 3, completed: 3, failed: 0 }');
    expect(stdout.match(/"custom_id":"line-/g)).toHaveLength(3);
  });

  it('an upload in parts', async () => {
    const { url } = await startTestService();
    const { process } = await startExample('uploads', (code) => code.replace('http://127.0.0.1:8080', url));
    const { code, stdout, stderr } = await process.ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^file-\\w+ ${chatLines(3, 'echo').length}\n$`));
  });

  it('validating a JSONL stream', async () => {
    const { cwd, process } = await startExample('validate', asPrinted);
    expect((await process.ended).stdout).toBe('3 lines\n');
    const lines = chatLines(3).split('\n');
    await writeFile(join(cwd, 'requests.jsonl'), [lines[0], '{"custom_id":', lines[0]].join('\n'));
    const again = startNode(['--conditions=anyllm-source', 'example.ts'], { cwd, env: {} });
    const { stdout } = await again.ended;
    expect(stdout).toMatch(/line 2: invalid_json_line: .*\nline 3: duplicate_custom_id: /);
  });

  it('the Anthropic SDK', async () => {
    const { url } = await startTestService();
    const { process } = await startExample('anthropic', (code) => code.replace('http://127.0.0.1:8080', url));
    const { code, stdout } = await process.ended;
    expect(stdout).toMatch(
      /succeeded: 2.*\none succeeded \[ \{ type: 'text', text: 'Hello!' \} \]\ntwo succeeded /,
    );
    expect(code).toBe(0);
  });

  it('an engine in memory', async () => {
    const { process } = await startExample('memory', asPrinted);
    const { code, stdout } = await process.ended;
    expect(stdout).toBe('one true {"heard":{"model":"any","input":"Hello"}}\n');
    expect(code).toBe(0);
  });

  it('a persistent engine, which goes on after a kill and tells the configured URLs', async () => {
    let answers = 0;
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    const upstream = await startUpstreamServer(async () => {
      if (answers++ > 0) await released;
      return {};
    });
    onTestFinished(() => upstream.close());
    const receiver = await startUpstreamServer(() => ({}));
    onTestFinished(() => receiver.close());
    const env = { UPSTREAM_BASE_URL: upstream.baseUrl, WEBHOOK_URL: receiver.origin };
    const submit = `
      const file = await engine.files.upload({
        owner: 'me',
        filename: 'x',
        purpose: 'batch',
        source: (await import('node:fs')).createReadStream('requests.jsonl'),
      });
      await engine.batches.create({
        owner: 'me',
        inputFileId: file.id,
        endpoint: '/v1/chat/completions',
        completionWindow: '24h',
      });`;
    const { cwd, process } = await startExample('persistent', (code) => code + submit, env);
    await expect.poll(() => receiver.requests.length, { timeout: 10_000 }).toBe(2);
    expect(receiver.requests.map((request) => (request.json() as { type: string }).type).toSorted()).toEqual([
      'batch.in_progress',
      'batch.queued',
    ]);
    await expect.poll(() => upstream.requests.length).toBe(3);
    process.kill('SIGKILL');
    await process.ended;

    await writeFile(join(cwd, 'example.ts'), example('persistent'));
    const again = startNode(['--conditions=anyllm-source', 'example.ts'], { cwd, env });
    await expect.poll(() => again.stdout(), { timeout: 10_000 }).toMatch(/^batch_\w+ goes on: \{"total":3,/);
    // After a crash the lines that may have caused it are tried one at a time.
    await expect.poll(() => upstream.requests.length).toBe(4);
    again.kill('SIGTERM');
    release();
    expect((await again.ended).code).toBe(0);
  });

  it('a store of one’s own', async () => {
    const { process } = await startExample('store', asPrinted);
    expect((await process.ended).stdout).toBe('file-1: batch.queued\n');
  });

  it('curl', async () => {
    const service = startNode(['src/main.ts'], {
      cwd: ROOT,
      env: { PORT: '0', DATA_DIR: await temporaryFolder() },
    });
    const url = await listeningUrl(service);
    const script = curlScript(url, (block) => !block.includes('$ADMIN'));
    // Between creating and downloading the reader waits; so does the script.
    const wait = `until curl -s ${url}/v1/batches/$BATCH_ID | grep -q '"status":"completed"'; do :; done\n`;
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'try.sh'), script.replace('OUTPUT_ID=', `${wait}OUTPUT_ID=`));
    const { execFileSync } = await import('node:child_process');
    const output = execFileSync('bash', ['-e', 'try.sh'], { cwd, encoding: 'utf8', timeout: 20_000 });
    expect(output).toMatch(/"custom_id":"one".*\n.*"custom_id":"two"/);
    expect(output).toMatch(/"object":"batch.validation","valid":true.*"input_tokens":\d+,"is_estimate":true/);
    expect(output).toContain('has no failed lines to retry');
    expect(output).toContain('"deleted":true');
  });

  it('curl, with keys for teams', async () => {
    const { url } = await startTestService({ API_KEYS: 'choose-a-long-key' });
    const cwd = await temporaryFolder();
    const script = curlScript(url, (block) => block.includes('$ADMIN'));
    // Each answer on a line of its own; and the key once more, when it is dead.
    const lines = script.replaceAll(/^curl .*$/gm, '$& && echo');
    await writeFile(join(cwd, 'try.sh'), `${lines}\ncurl -s ${url}/v1/files -H "Authorization: Bearer $KEY"`);
    const { stdout } = await promisify(execFile)('bash', ['-e', 'try.sh'], { cwd, timeout: 20_000 });
    expect(stdout.split('\n').map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { object: 'list', data: [] },
      { object: 'list', data: [{ object: 'api_key', name: 'laptop', owner: 'team-a' }] },
      { object: 'api_key', key: expect.stringMatching(/^sk-/) },
      { object: 'api_key', deleted: true },
      { object: 'owner', id: 'team-a', limits: { requests_per_minute: 600, max_live_batches: 20 } },
      { object: 'owner', id: 'team-a', usage: { stored_bytes: 0, queued_lines: 0, live_batches: 0 } },
      { error: { code: 'invalid_api_key' } },
    ]);
  });
});
