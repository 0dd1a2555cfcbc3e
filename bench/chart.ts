/** The chart of the README: how fast the service is next to the loops, drawn from the saved results. */
import { writeFile } from 'node:fs/promises';
import { readResult, RESULTS } from './report.ts';
import type { Result } from './report.ts';

const WIDTH = 760;
const LABEL_WIDTH = 330;
const BAR_HEIGHT = 26;
const GAP = 14;
const TOP = 44;

/** Writes `bench/results/throughput.svg`; does nothing where the throughput was never measured. */
export async function writeChart(): Promise<void> {
  const saved = await readResult('throughput');
  if (saved !== null) await writeFile(`${RESULTS}/throughput.svg`, drawChart(saved));
}

/** Bars on a background of their own, so that it can be read on light and dark pages alike. */
function drawChart({ machine, figures }: Result): string {
  const bars = figures.filter(({ unit }) => unit === 'items/s');
  const most = Math.max(...bars.map(({ median }) => median));
  const scale = (WIDTH - LABEL_WIDTH - 90) / most;
  const height = TOP + bars.length * (BAR_HEIGHT + GAP) + 30;
  const rows = bars.map(({ name, median }, i) => {
    const y = TOP + i * (BAR_HEIGHT + GAP);
    const colour = name === 'the service' ? '#1a7f5a' : '#9aa5b1';
    const middle = y + BAR_HEIGHT / 2 + 5;
    return [
      `<text x="${LABEL_WIDTH - 10}" y="${middle}" text-anchor="end">${escapeText(name)}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${Math.round(median * scale)}" height="${BAR_HEIGHT}" rx="3" fill="${colour}"/>`,
      `<text x="${LABEL_WIDTH + Math.round(median * scale) + 8}" y="${middle}">${Math.round(median).toLocaleString('en-US')}</text>`,
    ].join('\n');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="14" fill="#1f2933">`,
    `<rect width="${WIDTH}" height="${height}" rx="6" fill="#ffffff"/>`,
    `<text x="16" y="26" font-weight="600">Requests a second on one core: 1 KB lines, 600-byte answers, 256 in flight</text>`,
    ...rows,
    `<text x="16" y="${height - 14}" font-size="11" fill="#616e7c">${escapeText(machine)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
