/** Showing a record's time. Records carry nanoseconds, so the fraction is taken from the text. */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Nov 22 10:00:00.123`, local time; the text as it came when it is no time. */
export function rowTime(timestamp: string): string {
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) return timestamp || '—';
  const day = `${MONTHS[date.getMonth()]} ${pad(date.getDate(), 2)}`;
  return `${day} ${clock(date)}.${pad(date.getMilliseconds(), 3)}`;
}

/** `10:00:00.123`, for narrow rows. */
export function shortTime(timestamp: string): string {
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) return timestamp || '—';
  return `${clock(date)}.${pad(date.getMilliseconds(), 3)}`;
}

/** Date, time with all its digits and zone, for headings. */
export function fullTime(timestamp: string): string {
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) return timestamp || 'no time';
  const fraction = /\.(\d+)/.exec(timestamp)?.[1] ?? pad(date.getMilliseconds(), 3);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1, 2)}-${pad(date.getDate(), 2)}`;
  return `${day} ${clock(date)}.${fraction} ${zone(date)}`;
}

/** `3 min ago`, `in 2 h`; empty for what is no time. */
export function relativeTime(timestamp: string, nowMs: number): string {
  const ms = Date.parse(timestamp);
  if (Number.isNaN(ms)) return '';
  const seconds = Math.round(Math.abs(nowMs - ms) / 1000);
  if (seconds < 5) return 'just now';
  const amount =
    seconds < 60
      ? `${seconds} s`
      : seconds < 3_600
        ? `${Math.round(seconds / 60)} min`
        : seconds < 86_400
          ? `${Math.round(seconds / 3_600)} h`
          : `${Math.round(seconds / 86_400)} d`;
  return ms > nowMs ? `in ${amount}` : `${amount} ago`;
}

/** Orders two timestamps to the nanosecond: negative when `a` is the earlier. */
export function compareTimes(a: string, b: string): number {
  const ms = Date.parse(a) - Date.parse(b);
  if (ms !== 0 && !Number.isNaN(ms)) return ms;
  return nanos(a) - nanos(b);
}

function nanos(timestamp: string): number {
  return Number((/\.(\d{1,9})/.exec(timestamp)?.[1] ?? '').padEnd(9, '0'));
}

function clock(date: Date): string {
  return `${pad(date.getHours(), 2)}:${pad(date.getMinutes(), 2)}:${pad(date.getSeconds(), 2)}`;
}

function zone(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const sign = minutes < 0 ? '-' : '+';
  const size = Math.abs(minutes);
  return `UTC${sign}${pad(Math.floor(size / 60), 2)}:${pad(size % 60, 2)}`;
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
