import type { Clock, Log } from '../engine/index.ts';

/** The longest pause between two probes of an upstream that cannot be reached, milliseconds. */
const MAX_PAUSE_MS = 30_000;
/** What is in flight for longer than this has a connection: an upstream that cannot be connected to says so in 10 s. */
const CONNECTED_AFTER_MS = 15_000;

/** Closed while the upstream of a model cannot be reached; then one line at a time probes it. */
interface Gate {
  pauseMs: number;
  /** `waiting`: nothing is sent; `probing`: one line may be, or is, on its way. */
  state: 'waiting' | 'probe due' | 'probing';
  /** Of the pause or of the probe. */
  cancelTimer: () => void;
}

export interface UpstreamGates {
  /** True while every model may be sent. */
  readonly allOpen: boolean;
  /** True where a line of this model may be sent now. */
  isOpen(model: string): boolean;
  /** A line of this model is being sent. */
  noteSent(model: string): void;
  /** No connection could be opened: closes the gate, or doubles the pause of a closed one whose probe this was. */
  noteUnreachable(model: string, message: string): void;
  /** The upstream answered, or an attempt failed after its connection was open: opens the gate. */
  noteReached(model: string): void;
  /** The attempt was aborted or not made at all, and tells nothing: another line may probe. */
  noteUntold(model: string): void;
  /** There are no lines of this model any more. */
  forget(model: string): void;
  /** Ends all timers. */
  close(): void;
}

/**
 * An upstream that is down must not use up the retries of every line: its lines wait, uncounted, while one of
 * them probes it after pauses that double from `firstPauseMs` to 30 s. The gate opens when the probe ends otherwise
 * than unreachable, or is in flight for 15 s: then it has a connection, and an answer may take ten minutes. `onOpen` is
 * told when sending may go on.
 */
export function createUpstreamGates(options: {
  readonly clock: Clock;
  readonly log: Log;
  readonly firstPauseMs: number;
  readonly onOpen: () => void;
}): UpstreamGates {
  const { clock, log, firstPauseMs, onOpen } = options;
  const gates = new Map<string, Gate>();

  function pause(gate: Gate): void {
    gate.state = 'waiting';
    gate.cancelTimer = clock.after(gate.pauseMs, () => {
      gate.state = 'probe due';
      onOpen();
    });
  }

  function open(model: string, gate: Gate): void {
    gate.cancelTimer();
    gates.delete(model);
    log.info({ model }, 'upstream can be reached again');
    onOpen();
  }

  return {
    get allOpen() {
      return gates.size === 0;
    },
    isOpen(model) {
      if (gates.size === 0) return true;
      const gate = gates.get(model);
      return gate === undefined || gate.state === 'probe due';
    },
    noteSent(model) {
      if (gates.size === 0) return;
      const gate = gates.get(model);
      if (gate === undefined) return;
      gate.state = 'probing';
      gate.cancelTimer = clock.after(CONNECTED_AFTER_MS, () => open(model, gate));
    },
    noteUnreachable(model, message) {
      const gate = gates.get(model);
      if (gate === undefined) {
        log.warn({ model, reason: message }, 'upstream cannot be reached; its lines wait');
        const closed: Gate = { pauseMs: firstPauseMs, state: 'waiting', cancelTimer: () => {} };
        gates.set(model, closed);
        pause(closed);
      } else if (gate.state === 'probing') {
        gate.cancelTimer();
        gate.pauseMs = Math.min(MAX_PAUSE_MS, gate.pauseMs * 2);
        pause(gate);
      }
    },
    noteReached(model) {
      if (gates.size === 0) return;
      const gate = gates.get(model);
      if (gate !== undefined) open(model, gate);
    },
    noteUntold(model) {
      const gate = gates.get(model);
      if (gate?.state !== 'probing') return;
      gate.cancelTimer();
      gate.state = 'probe due';
    },
    forget(model) {
      gates.get(model)?.cancelTimer();
      gates.delete(model);
    },
    close() {
      for (const gate of gates.values()) gate.cancelTimer();
      gates.clear();
    },
  };
}
