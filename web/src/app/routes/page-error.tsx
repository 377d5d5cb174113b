/** A page that failed: what went wrong, and a way to try again. */
import { Button } from '@mantine/core';
import { errorText } from '@/components/error-state';
import { MessageState } from '@/components/message-state';

export function PageError({ error, reset }: { error: unknown; reset: () => void }) {
  return (
    <MessageState
      icon="alert-triangle"
      tone="bad"
      title="This page failed"
      actions={
        <>
          <Button onClick={reset}>Try again</Button>
          <Button variant="default" onClick={() => window.location.reload()}>
            Reload
          </Button>
        </>
      }
    >
      {errorText(error)}
    </MessageState>
  );
}
