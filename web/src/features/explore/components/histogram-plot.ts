/** The histogram's canvas: stacked bars by level with a brush. Everything that touches uPlot is here. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Bucket } from '@/features/explore/api/histogram';
import { formatCompact } from '@/lib/format';
import { LEVEL_GROUPS, type LevelGroup } from '@/lib/level';

export interface PlotData {
  buckets: readonly Bucket[];
  intervalMs: number;
  fromMs: number;
  toMs: number;
}

export interface PlotHandlers {
  /** A brushed range, in milliseconds. */
  onBrush: ((fromMs: number, toMs: number) => void) | undefined;
  /** The bucket under the pointer and its middle in CSS pixels. */
  onHover: (index: number | null, left: number) => void;
}

export interface Plot {
  setData: (data: PlotData) => void;
  setSize: (width: number, height: number) => void;
  destroy: () => void;
}

/** Bottom to top: the severe levels stand on the base line, where their heights compare. */
export const STACK: readonly LevelGroup[] = [...LEVEL_GROUPS].reverse();
/** A drag of fewer pixels is a click. */
const BRUSH_PX_MIN = 5;

export function createPlot(host: HTMLElement, data: PlotData, handlers: PlotHandlers): Plot {
  const color = (name: string) => getComputedStyle(host).getPropertyValue(name).trim();
  let current = data;
  const axis = {
    stroke: color('--text-3'),
    font: '11px "Inter Variable", system-ui, sans-serif',
    ticks: { show: false },
  };
  const plot = new uPlot(
    {
      width: host.clientWidth || 300,
      height: host.clientHeight || 100,
      padding: [6, 20, 0, 0],
      legend: { show: false },
      cursor: {
        x: false,
        y: false,
        points: { show: false },
        drag: { x: handlers.onBrush !== undefined, y: false, setScale: false, dist: BRUSH_PX_MIN },
      },
      scales: {
        x: { time: true, range: () => [current.fromMs / 1000, current.toMs / 1000] },
        y: { range: (_, __, max) => [0, Math.max(1, max)] },
      },
      axes: [
        { ...axis, size: 22, gap: 4, space: 90, grid: { show: false }, values: timeLabels },
        {
          ...axis,
          size: 44,
          gap: 6,
          space: 30,
          incrs: [
            1, 2, 5, 10, 20, 50, 1e2, 2e2, 5e2, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7, 1e8,
          ],
          grid: { stroke: color('--border'), width: 1 },
          values: (_, splits) => splits.map((value) => formatCompact(value)),
        },
      ],
      // The whole stack is drawn first, then each shorter one over it.
      series: [{}, ...[...STACK].reverse().map((level) => bars(color(`--bar-${level}`)))],
      hooks: {
        setCursor: [(self) => reportHover(self, current, handlers)],
        setSelect: [(self) => reportBrush(self, handlers)],
      },
    },
    stacked(data),
    host,
  );
  return {
    setData: (next) => {
      current = next;
      plot.setData(stacked(next));
    },
    setSize: (width, height) => plot.setSize({ width, height }),
    destroy: () => plot.destroy(),
  };
}

function bars(fill: string): uPlot.Series {
  return {
    fill,
    width: 0,
    points: { show: false },
    paths: uPlot.paths.bars?.({ size: [0.86, 40], align: 1 }),
  };
}

/** Columns for uPlot: seconds, then sums from the whole stack down to the most severe level alone. */
function stacked({ buckets }: PlotData): uPlot.AlignedData {
  const seconds = buckets.map((bucket) => bucket.startMs / 1000);
  const sums = STACK.map((_, top) =>
    buckets.map((bucket) => STACK.slice(0, top + 1).reduce((sum, level) => sum + bucket.levels[level], 0)),
  );
  return [seconds, ...sums.reverse()];
}

function reportHover(plot: uPlot, data: PlotData, handlers: PlotHandlers): void {
  const { left } = plot.cursor;
  if (left === undefined || left === null || left < 0) {
    handlers.onHover(null, 0);
    return;
  }
  const ms = plot.posToVal(left, 'x') * 1000;
  const index = data.buckets.findIndex((item) => ms >= item.startMs && ms < item.startMs + data.intervalMs);
  handlers.onHover(index < 0 ? null : index, left + plot.over.offsetLeft);
}

function reportBrush(plot: uPlot, handlers: PlotHandlers): void {
  const { left, width } = plot.select;
  if (width < BRUSH_PX_MIN || handlers.onBrush === undefined) return;
  const fromMs = Math.floor(plot.posToVal(left, 'x') * 1000);
  const toMs = Math.ceil(plot.posToVal(left + width, 'x') * 1000);
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  handlers.onBrush(fromMs, Math.max(toMs, fromMs + 1));
}

function timeLabels(plot: uPlot, splits: number[]): string[] {
  const spanSeconds = (plot.scales.x?.max ?? 0) - (plot.scales.x?.min ?? 0);
  return splits.map((seconds) => {
    const date = new Date(seconds * 1000);
    const clock = date.toLocaleTimeString('en-GB', {
      hour: '2-digit',
      minute: '2-digit',
      second: spanSeconds < 600 ? '2-digit' : undefined,
    });
    const day = date.toLocaleDateString('en-US', { month: 'short', day: 'numeric' });
    if (spanSeconds > 3 * 86_400) return day;
    return spanSeconds > 86_400 ? `${day} ${clock}` : clock;
  });
}
