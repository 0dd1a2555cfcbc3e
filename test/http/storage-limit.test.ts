import { describe, expect, it } from 'vitest';
import { NO_LIMITS } from '../../src/engine/owners/owner.ts';
import {
  createTestApp,
  errorOf,
  expectNothingLeft,
  fileParts,
  FORM_TYPE,
  refusal,
  uploadFile,
  uploadOf,
} from '../helpers/http-app.ts';
import { answer, createScriptedUpstream } from '../helpers/scripted-upstream.ts';
import { inputLine } from '../helpers/test-engine.ts';
import { BODY, postBatch } from './batch-calls.ts';
import { endedBatch } from './ended-batches.ts';
import { aRequest, create, messageErrorOf, messageRefusal } from './messages/calls.ts';
import { addedParts, createdUpload, postJson, postPart, UPLOAD } from './upload-calls.ts';

const limitedApp = (maxStoredBytes: number) =>
  createTestApp({ settings: { ownerLimits: { ...NO_LIMITS, maxStoredBytes } } });

const message = (max: number, used: number, added: number) =>
  `The owner 'default' may store at most ${max} bytes (max_stored_bytes) and has stored ${used}: there is no room for ${added} more. Delete files that are no longer needed.`;
const noRoom = (max: number, used: number, added: number) =>
  refusal(403, { message: message(max, used, added), code: 'storage_limit_exceeded' });

describe('the limit of stored bytes', () => {
  it('refuses a file that has no room, and keeps nothing of it', async () => {
    const testApp = limitedApp(18);
    expect(errorOf(await testApp.call(uploadOf(fileParts({ content: '{"custom_id":"ab"}\n' }))))).toEqual(
      noRoom(18, 0, 19),
    );
    await expectNothingLeft(testApp);
    await uploadFile(testApp, { content: '{"custom_id":"a"}\n' });
    expect(errorOf(await testApp.call(uploadOf(fileParts({ content: '1' }))))).toEqual(noRoom(18, 18, 1));
  });

  it('refuses, before the body is read, a file that cannot have room', async () => {
    const testApp = limitedApp(1000);
    const request = (length: number) =>
      testApp.call({
        method: 'POST',
        url: '/v1/files',
        headers: { 'content-type': FORM_TYPE, 'content-length': String(length) },
        payload: 'no form',
      });
    const slack = 1024 * 1024;
    expect(errorOf(await request(slack + 1001))).toEqual(noRoom(1000, 0, 1001));
    // There the form itself may be what is large.
    expect((await request(slack + 1000)).statusCode).toBe(400);
  });

  it('refuses uploads in parts when they are declared, added to and completed', async () => {
    const testApp = limitedApp(100);
    expect(errorOf(await postJson(testApp, '', { ...UPLOAD, bytes: 101 }))).toEqual(noRoom(100, 0, 101));
    const { id } = await createdUpload(testApp);
    await testApp.engine.owners.change('default', { maxStoredBytes: 20 });
    expect(errorOf(await postPart(testApp, id, 'a'.repeat(21)))).toEqual(noRoom(20, 0, 21));
    await expectNothingLeft(testApp);
    await testApp.engine.owners.change('default', { maxStoredBytes: 21 });
    const partIds = await addedParts(testApp, id);
    // All there already: a lower limit takes nothing away.
    await testApp.engine.owners.change('default', { maxStoredBytes: 1 });
    const completed = await postJson(testApp, `/${id}/complete`, { part_ids: partIds });
    expect(completed.statusCode).toBe(200);
  });

  it('refuses a Message Batch whose requests have no room, in its envelope', async () => {
    const testApp = limitedApp(200);
    const refused = await create(testApp, { requests: [aRequest('a', { system: 'x'.repeat(300) })] });
    expect(refused.statusCode).toBe(403);
    expect(refused.json()).toMatchObject({ type: 'error', error: { type: 'permission_error' } });
    await expectNothingLeft(testApp);
    expect((await create(testApp, { requests: [aRequest('a')] })).statusCode).toBe(200);
    await testApp.engine.owners.change('default', { maxStoredBytes: 1 });
    const { usage } = await testApp.engine.owners.get('default');
    // Before its body is read, which is no JSON.
    expect(messageErrorOf(await create(testApp, '{'))).toEqual(
      messageRefusal(403, 'permission_error', message(1, usage.storedBytes, 1)),
    );
  });

  it('refuses a batch where nothing of its results has room', async () => {
    const content = `${inputLine('a')}\n`;
    const testApp = limitedApp(content.length);
    const input_file_id = await uploadFile(testApp, { content });
    const response = await postBatch(testApp, { ...BODY, input_file_id });
    expect(errorOf(response)).toEqual(noRoom(content.length, content.length, 1));
  });

  it('refuses a retry whose input has no room, but never the files that a batch ends with', async () => {
    const upstream = createScriptedUpstream(() => answer('{}', 400));
    const testApp = createTestApp({ upstream });
    const content = `${inputLine('a')}\n`;
    const max = content.length + 1;
    await testApp.engine.owners.change('default', { maxStoredBytes: max });
    const { id, error_file_id } = await endedBatch(testApp, content);
    expect(error_file_id).toMatch(/^file-/);
    const { usage } = await testApp.engine.owners.get('default');
    expect(usage.storedBytes).toBeGreaterThan(max);
    const retry = () => testApp.call({ method: 'POST', url: `/v1/batches/${id}/retry` });
    expect(errorOf(await retry())).toEqual(noRoom(max, usage.storedBytes, 1));
    await testApp.engine.owners.change('default', { maxStoredBytes: usage.storedBytes + 1 });
    const blobs = await testApp.countBlobs();
    expect(errorOf(await retry())).toEqual(noRoom(usage.storedBytes + 1, usage.storedBytes, content.length));
    expect(await testApp.countBlobs()).toBe(blobs);
    await testApp.engine.owners.change('default', { maxStoredBytes: null });
    expect((await retry()).statusCode).toBe(200);
  });
});
