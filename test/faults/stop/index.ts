/** SIGTERM and SIGINT at every point of a service's work: what was done is kept, what was not is done afterwards. */
import type { Fault, Trials } from '../harness/fault.ts';
import type { Random } from '../harness/random.ts';
import { createWorld } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import {
  stopFinalizing,
  stopPreparing,
  stopTwice,
  stopWithQuickCalls,
  stopWithSlowCalls,
} from './running.ts';
import { stopWithoutReader, stopWithStuckReader } from './log-readers.ts';
import { stopDownloading, stopUploading } from './transfers.ts';
import type { StopSignal } from './stopping.ts';

interface Scenario {
  readonly name: string;
  /** How often with each signal. */
  readonly times: number;
  /** May answer something to be counted. */
  readonly run: (world: World, signal: StopSignal, random: Random) => Promise<string | null | void>;
}

const inFlight: readonly Scenario[] = [
  { name: 'requests that outlast the grace', times: 2, run: stopWithSlowCalls },
  { name: 'requests that end within the grace', times: 2, run: stopWithQuickCalls },
  { name: 'a second signal', times: 2, run: stopTwice },
];

const steps: readonly Scenario[] = [
  { name: 'finalizing', times: 4, run: stopFinalizing },
  { name: 'preparing', times: 4, run: stopPreparing },
];

const transfers: readonly Scenario[] = [
  {
    name: 'an upload that outlasts the grace',
    times: 2,
    run: (world, signal) => stopUploading(world, signal, false),
  },
  {
    name: 'an upload that ends within the grace',
    times: 2,
    run: (world, signal) => stopUploading(world, signal, true),
  },
  { name: 'a download', times: 2, run: stopDownloading },
];

const logReaders: readonly Scenario[] = [
  { name: 'the reader of the log is gone', times: 2, run: stopWithoutReader },
  { name: 'the reader of the log is stuck', times: 2, run: stopWithStuckReader },
];

export const stopFaults: readonly Fault[] = [
  stopFault('with requests in flight, once or twice', inFlight),
  stopFault('while preparing or finalizing', steps),
  stopFault('during an upload or a download', transfers),
  stopFault('while nobody reads the log', logReaders),
];

function stopFault(name: string, scenarios: readonly Scenario[]): Fault {
  return {
    family: 'stop',
    name: `SIGTERM or SIGINT ${name}`,
    run: (trials) => runScenarios(scenarios, trials),
  };
}

async function runScenarios(scenarios: readonly Scenario[], trials: Trials): Promise<void> {
  const all = scenarios.flatMap((scenario) =>
    Array.from({ length: scenario.times }, () => [
      { ...scenario, signal: 'SIGTERM' as const },
      { ...scenario, signal: 'SIGINT' as const },
    ]).flat(),
  );
  const counts = new Map<string, number>();
  await trials.each(trials.quick ? all.slice(0, 1) : all, async ({ name, signal, run }) => {
    await trials.attempt(`${signal}, ${name}`, async (scope) => {
      const counted = await run(await createWorld(scope), signal, trials.random);
      if (typeof counted === 'string') counts.set(counted, (counts.get(counted) ?? 0) + 1);
    });
  });
  for (const [what, count] of counts) trials.note(`${count} ${what}`);
}
