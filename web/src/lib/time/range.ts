/** Time ranges as they stand in the URL: `-15m`, `now`, RFC 3339 or epoch milliseconds; relative ones stay relative. */

export interface TimeRange {
  from: string;
  to: string;
}

/** Milliseconds since the epoch; `from` is in the range, `to` is not. */
export interface ResolvedRange {
  fromMs: number;
  toMs: number;
}

export const DEFAULT_RANGE: TimeRange = { from: '-1h', to: 'now' };

export const PRESETS: readonly { from: string; label: string }[] = [
  { from: '-5m', label: 'Last 5 minutes' },
  { from: '-15m', label: 'Last 15 minutes' },
  { from: '-30m', label: 'Last 30 minutes' },
  { from: '-1h', label: 'Last hour' },
  { from: '-3h', label: 'Last 3 hours' },
  { from: '-6h', label: 'Last 6 hours' },
  { from: '-12h', label: 'Last 12 hours' },
  { from: '-24h', label: 'Last 24 hours' },
  { from: '-2d', label: 'Last 2 days' },
  { from: '-7d', label: 'Last 7 days' },
  { from: '-14d', label: 'Last 14 days' },
  { from: '-30d', label: 'Last 30 days' },
];

const UNIT_MS: Record<string, number> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Reads one end of a range; undefined when it is no time. */
export function parseTime(text: string, nowMs: number): number | undefined {
  const trimmed = text.trim();
  if (trimmed === 'now') return nowMs;
  const relative = /^(?:now)?-(\d{1,6})([smhdw])$/.exec(trimmed);
  if (relative) return nowMs - Number(relative[1]) * (UNIT_MS[relative[2] ?? ''] ?? 0);
  if (/^\d{10,16}$/.test(trimmed)) return Number(trimmed);
  if (!/^\d{4}-\d{2}-\d{2}/.test(trimmed)) return undefined;
  const ms = Date.parse(trimmed.replace(/^(\d{4}-\d{2}-\d{2}) /, '$1T'));
  return Number.isNaN(ms) ? undefined : ms;
}

/** The range in milliseconds; the last hour when it can't be read or is empty. */
export function resolveRange(range: TimeRange, nowMs: number): ResolvedRange {
  const fromMs = parseTime(range.from, nowMs);
  const toMs = parseTime(range.to, nowMs);
  if (fromMs === undefined || toMs === undefined || fromMs >= toMs) {
    return { fromMs: nowMs - 3_600_000, toMs: nowMs };
  }
  return { fromMs: Math.floor(fromMs), toMs: Math.ceil(toMs) };
}

export function isRelative(range: TimeRange): boolean {
  return range.to === 'now' && range.from.startsWith('-');
}

/** A range as the API takes it. */
export function timeQuery({ fromMs, toMs }: ResolvedRange): { from: string; to: string } {
  return { from: String(fromMs), to: String(toMs) };
}

/** What the time picker's button says. */
export function rangeLabel(range: TimeRange, nowMs: number): string {
  const preset = range.to === 'now' ? PRESETS.find((item) => item.from === range.from) : undefined;
  if (preset) return preset.label;
  if (isRelative(range)) return `Last ${range.from.slice(1)}`;
  const { fromMs, toMs } = resolveRange(range, nowMs);
  return `${shortDateTime(fromMs)} – ${range.to === 'now' ? 'now' : shortDateTime(toMs)}`;
}

/** The next wider preset, for "nothing matched" advice; undefined when there is none. */
export function widerPreset(spanMs: number): { from: string; label: string } | undefined {
  const wanted = ['-1h', '-24h', '-7d', '-30d'];
  return PRESETS.find(
    (item) => wanted.includes(item.from) && (parseTime(item.from, 0) ?? 0) < -spanMs - 1_000,
  );
}

/** Local time for a `datetime-local` field: `2026-11-22T10:00:00`. */
export function toLocalInput(ms: number): string {
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 19);
}

function shortDateTime(ms: number): string {
  const date = new Date(ms);
  const day = date.toLocaleDateString('en-US', { month: 'short', day: 'numeric' });
  return `${day}, ${date.toLocaleTimeString('en-GB')}`;
}
