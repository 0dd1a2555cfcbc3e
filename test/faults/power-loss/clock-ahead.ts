/** Loaded into the service before its entry file: its wall clock is ahead by `FAULT_CLOCK_AHEAD_MS`, from the start on. */
const aheadMs = Number(process.env['FAULT_CLOCK_AHEAD_MS']);
const real = Date.now;
Date.now = () => real() + aheadMs;
