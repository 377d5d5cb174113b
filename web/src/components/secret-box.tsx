/** A key that is shown once, with a button to copy it. */
import { CopyButton } from '@/components/copy-button';
import classes from '@/components/secret-box.module.css';

export function SecretBox({ secret, note }: { secret: string; note: string }) {
  return (
    <div className={classes.box} role="status">
      <p className={classes.note}>{note}</p>
      <div className={classes.line}>
        <code className={classes.secret} data-testid="new-key">
          {secret}
        </code>
        <CopyButton text={secret} label="Copy key" wide />
      </div>
    </div>
  );
}
