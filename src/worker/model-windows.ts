/** How many slots a model may hold: a model that answers nobody must not keep the slots from one that does. */
import type { ChunkRun } from '../engine/index.ts';

/** The share of the slots that a model may hold beside others before it has answered once. */
const TRIAL_SHARE = 1 / 50;
/** Models that answered are remembered so long as there are not more of them; then the longest known is forgotten. */
const MAX_KNOWN = 1000;

interface ModelUse {
  /** Chunks of it that are held. */
  runs: number;
  inFlight: number;
}

export interface ModelWindows {
  /** True while no model is on trial: all may take whatever slots are free. */
  readonly allOpen: boolean;
  /** Chunks held of models on trial. */
  readonly runsOnTrial: number;
  /** True where the model is on trial: it has not answered yet, or not since a request of it timed out, and is not alone. */
  isOnTrial(model: string): boolean;
  /** True where another request of the model may be in flight now. */
  hasRoom(model: string): boolean;
  addRun(run: ChunkRun): void;
  removeRun(run: ChunkRun): void;
  /** A line of the model took a slot. */
  began(model: string): void;
  /** It gave the slot back. */
  ended(model: string): void;
  /** The model answered, with whatever status. */
  noteAnswer(model: string): void;
  /** A request of the model had no answer in time. */
  noteSilence(model: string): void;
}

/**
 * Requests to a model that hangs hold their slots until they time out, which may be ten minutes. So beside other models a
 * model gets a fiftieth of the slots until it has answered once, and its full share from then on; a request that times out
 * puts it on trial again. A model that is alone may use every slot at once.
 */
export function createModelWindows(options: {
  readonly maxConcurrency: number;
  /** Told when no chunk of the model is held and no request of it in flight any more. */
  readonly onUnused?: ((model: string) => void) | undefined;
}): ModelWindows {
  const { maxConcurrency, onUnused = () => {} } = options;
  const trialSlots = Math.max(1, Math.floor(maxConcurrency * TRIAL_SHARE));
  const used = new Map<string, ModelUse>();
  /** Models whose last request in time was answered, the longest known first. */
  const answering = new Set<string>();
  /** How many models in use are not among them. */
  let silent = 0;
  /** How many chunks of these are held. */
  let silentRuns = 0;

  function useOf(model: string): ModelUse {
    let use = used.get(model);
    if (use === undefined) {
      used.set(model, (use = { runs: 0, inFlight: 0 }));
      if (!answering.has(model)) silent++;
    }
    return use;
  }

  function dropUnused(model: string, use: ModelUse): void {
    if (use.runs > 0 || use.inFlight > 0) return;
    used.delete(model);
    if (!answering.has(model)) silent--;
    onUnused(model);
  }

  function forget(model: string): void {
    const use = used.get(model);
    if (!answering.delete(model) || use === undefined) return;
    silent++;
    silentRuns += use.runs;
  }

  const isOnTrial = (model: string): boolean => silent > 0 && used.size > 1 && !answering.has(model);

  return {
    get allOpen() {
      return silent === 0 || used.size < 2;
    },
    get runsOnTrial() {
      return used.size > 1 ? silentRuns : 0;
    },
    isOnTrial,
    hasRoom: (model) => !isOnTrial(model) || (used.get(model)?.inFlight ?? 0) < trialSlots,
    addRun({ model }) {
      useOf(model).runs++;
      if (!answering.has(model)) silentRuns++;
    },
    removeRun({ model }) {
      const use = useOf(model);
      use.runs--;
      if (!answering.has(model)) silentRuns--;
      dropUnused(model, use);
    },
    began(model) {
      useOf(model).inFlight++;
    },
    ended(model) {
      const use = useOf(model);
      use.inFlight--;
      dropUnused(model, use);
    },
    noteAnswer(model) {
      if (answering.has(model)) return;
      if (answering.size === MAX_KNOWN) forget(answering.values().next().value as string);
      answering.add(model);
      const use = used.get(model);
      if (use === undefined) return;
      silent--;
      silentRuns -= use.runs;
    },
    noteSilence: forget,
  };
}
