/** A level's name in its colour, with the square that the histogram's legend uses. */
import classes from '@/components/level-badge.module.css';
import { levelGroup } from '@/lib/level';

export function LevelBadge({ level }: { level: string | undefined }) {
  const group = levelGroup(level);
  return (
    <span className={classes.level} data-level={group}>
      <span className={classes.dot} aria-hidden="true" />
      {group === 'none' ? (level ?? '—') : group}
    </span>
  );
}
