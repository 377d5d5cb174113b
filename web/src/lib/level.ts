/** The six levels, from the least to the most severe, and `none` for records without one. */
export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

export type Level = (typeof LEVELS)[number];
export type LevelGroup = Level | 'none';

export const LEVEL_GROUPS: readonly LevelGroup[] = ['none', ...LEVELS];

/** Any level name from the server; what is none of ours, or missing, is `none`. */
export function levelGroup(name: string | null | undefined): LevelGroup {
  const lower = name?.toLowerCase() ?? '';
  return LEVELS.find((level) => level === lower) ?? 'none';
}

/** A count of nothing for each level. */
export function emptySums(): Record<LevelGroup, number> {
  return { none: 0, trace: 0, debug: 0, info: 0, warn: 0, error: 0, fatal: 0 };
}
