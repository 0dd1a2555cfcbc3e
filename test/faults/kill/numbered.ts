/** SIGKILL before and after each fsync, rename, removal and commit on the way of a batch. */
import type { Fault } from '../harness/fault.ts';
import { killAtEach } from './each-point.ts';
import { runProgram } from './program.ts';

const LINES = 500;

export const killAtEachPoint: Fault = {
  family: 'kill',
  name: 'SIGKILL before and after each fsync, rename, removal and commit of a 500-line batch',
  run: (trials) =>
    killAtEach(trials, {
      quickStep: 8,
      run: (world) => runProgram(world, { lines: LINES, restart: () => world.start() }),
    }),
};
