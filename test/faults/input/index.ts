import type { Fault, Trials } from '../harness/fault.ts';
import type { World } from '../harness/world.ts';
import { hostileHeaders, hostileKeys } from './hostile-headers.ts';
import { hostileRequests, smuggledRequests } from './hostile-http.ts';
import { jsonAsAnswers, jsonAsCreates } from './json-bodies.ts';
import { jsonAsLines } from './json-lines.ts';
import { oddForms } from './multipart.ts';
import { naughtyCustomIds, naughtyMembers } from './naughty-fields.ts';
import { naughtyFilenames, naughtyUrls } from './naughty-requests.ts';
import { scannerAgainstOracle } from './scanner.ts';
import { slowClients, slowClientsAreCut } from './slow-clients.ts';
import { assertStillWorks, startWorld } from './still-works.ts';

/** A fault of several parts, all against one service, which must still work behind them. */
function inOneWorld(
  name: string,
  ...parts: readonly ((trials: Trials, world: World) => Promise<void>)[]
): Fault {
  return {
    family: 'input',
    name,
    async run(trials) {
      await trials.attempt('the service still works', async (scope) => {
        const world = await startWorld(scope);
        for (const part of parts) await part(trials, world);
        await assertStillWorks(world);
      });
    },
  };
}

export const inputFaults: readonly Fault[] = [
  inOneWorld(
    'every text of JSONTestSuite as a file, a line, the body of a line and of a create, and as an answer',
    jsonAsCreates,
    jsonAsLines,
    jsonAsAnswers,
  ),
  inOneWorld(
    'naughty strings as custom ids, metadata, file names, fields, ids, queries and headers',
    naughtyCustomIds,
    naughtyMembers,
    naughtyFilenames,
    naughtyUrls,
  ),
  scannerAgainstOracle,
  inOneWorld('forms that no honest client sends', oddForms),
  slowClients,
  slowClientsAreCut,
  hostileKeys,
  inOneWorld(
    'hostile headers, hosts, targets, methods and versions, and smuggled requests',
    hostileHeaders,
    hostileRequests,
    smuggledRequests,
  ),
];
