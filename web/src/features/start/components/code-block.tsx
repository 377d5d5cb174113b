/** A snippet with its name and a button to copy it. */
import { CopyButton } from '@/components/copy-button';
import classes from '@/features/start/components/start.module.css';

export function CodeBlock({ title, code }: { title: string; code: string }) {
  return (
    <div className={classes.code}>
      <div className={classes.codeHead}>
        <span>{title}</span>
        <CopyButton text={code} label={`Copy ${title}`} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: wide code scrolls sideways, by keyboard too */}
      <pre tabIndex={0}>{code}</pre>
    </div>
  );
}
