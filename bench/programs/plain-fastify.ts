/**
 * The yardstick of transfers: Fastify that streams a multipart file to disk and a file from disk, and nothing else. Argument:
 * a folder. Sends {port} to its parent and ends when that disconnects.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import multipart from '@fastify/multipart';
import fastify from 'fastify';

const path = join(process.argv[2] ?? '', 'file');
const app = fastify();
await app.register(multipart, { limits: { fileSize: 2 ** 40 } });
app.post('/', async (request) => {
  const part = await request.file();
  if (part === undefined) throw new Error('there is no file');
  await pipeline(part.file, createWriteStream(path));
  return {};
});
app.get('/', async (_request, reply) => await reply.send(createReadStream(path)));
await app.listen({ port: 0, host: '127.0.0.1' });
process.on('disconnect', () => process.exit(0));
process.send?.({ port: (app.server.address() as AddressInfo).port });
