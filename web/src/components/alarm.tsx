/** What went wrong, in the place where it did. */
import type { ReactNode } from 'react';
import classes from '@/components/alarm.module.css';
import { Icon } from '@/components/icon';

export function Alarm({ children }: { children: ReactNode }) {
  return (
    <div className={classes.alarm} role="alert">
      <Icon name="alert-triangle" size={16} />
      <span>{children}</span>
    </div>
  );
}
