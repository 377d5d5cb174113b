/** What a page or panel says in place of its content: nothing there, something failed. Always with a way on. */
import type { ReactNode } from 'react';
import { Icon, type IconName } from '@/components/icon';
import classes from '@/components/message-state.module.css';

interface MessageStateProps {
  icon: IconName;
  title: string;
  children?: ReactNode;
  /** Buttons: what the user can do now. */
  actions?: ReactNode;
  tone?: 'neutral' | 'bad' | 'good';
}

export function MessageState({ icon, title, children, actions, tone = 'neutral' }: MessageStateProps) {
  return (
    <div className={classes.root} role={tone === 'bad' ? 'alert' : 'status'}>
      <span className={classes.icon} data-tone={tone}>
        <Icon name={icon} size={22} />
      </span>
      <h2 className={classes.title}>{title}</h2>
      {children !== undefined && <p className={classes.text}>{children}</p>}
      {actions !== undefined && <div className={classes.actions}>{actions}</div>}
    </div>
  );
}
